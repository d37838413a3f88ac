"""Weights from which nothing is copied: a warning, with the names that may be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from rigs.net_rig import inner_product, inputs, layer, logged, make_net, messages


def warnings(folder: Path, ours: list[str], theirs: list[str]) -> list[str]:
    """Those of a net with layers `ours` that takes the weights of `theirs`; PATH stands for the file."""
    nets = ["".join([inputs(x=[2, 3]), *(inner_product(name, "x", 2) for name in names)]) for names in (theirs, ours)]
    path = str(folder / "w.caffemodel")
    make_net(nets[0]).save(path)
    net, lines = make_net(nets[1] + layer("relu", "ReLU", ["x"], ["relu"])), logged()
    net.copy_from(path)
    return [text.replace(path, "PATH") for text in messages([line for line in lines if line.startswith("W")])]


@pytest.mark.parametrize(
    ("ours", "theirs", "why"),
    [
        (
            ["fc6", "score"],
            ["FC6", "other"],
            'no layer with parameters has the same name in both; "fc6" of the net may be "FC6" of the file.',
        ),
        (
            ["conv6", "conv7"],
            ["conv6_x", "conv7_x"],
            'no layer with parameters has the same name in both; "conv6" of the net may be "conv6_x" of the file, '
            '"conv7" of the net may be "conv7_x" of the file.',
        ),
        (
            ["a", "b"],
            [f"layer{i}" for i in range(7)],
            'no layer with parameters has the same name in both; those of the net are "a", "b", of the file "layer0", '
            '"layer1", "layer2", "layer3", "layer4", and 2 more.',
        ),
        (["fc"], [], "it has no parameters."),
    ],
)
def test_a_warning_tells_why(tmp_path: Path, ours: list[str], theirs: list[str], why: str) -> None:
    assert warnings(tmp_path, ours, theirs) == [f"Nothing was copied from PATH: {why}"]


@pytest.mark.parametrize(("ours", "theirs"), [(["fc", "new"], ["fc", "old"]), ([], ["fc"]), ([], [])])
def test_no_warning_if_something_is_copied_or_there_is_nothing_to_copy_to(
    tmp_path: Path, ours: list[str], theirs: list[str]
) -> None:
    assert warnings(tmp_path, ours, theirs) == []
