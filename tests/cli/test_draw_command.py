"""The command draw; what the drawings hold is tested with caffe.draw."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from rigs.cli_rig import Command
from rigs.model_zoo import ROOT, models

LENET = str(ROOT / "configs" / "lenet" / "train_test.prototxt")


@pytest.fixture
def googlenet(here: Path) -> str:
    (here / "net.prototxt").write_text(models.googlenet(1))
    return "net.prototxt"


def test_the_text_is_printed_or_written(here: Path) -> None:
    printed = Command("draw", LENET, "--phase", "TRAIN", "--rankdir=TB")
    assert printed.status == 0
    assert "Convolution" in printed.output
    assert "Accuracy" not in printed.output
    assert "Accuracy" in Command("draw", LENET).output
    assert "lr mult: 1.0, 2.0" in Command("draw", LENET, "--display_lrm").output
    for arguments in (["-o", "net.dot"], ["net.gv"]):
        command = Command("draw_net", LENET, *arguments, "--phase", "TRAIN", "--rankdir=TB")
        assert (here / arguments[-1]).read_text() == printed.output
        assert command.said == [f"Wrote {arguments[-1]}"]


def test_compact(googlenet: str) -> None:
    text = Command("draw", googlenet, "--compact", "--phase=TRAIN").output
    whole = Command("draw", googlenet, "--phase=TRAIN").output
    assert r'"conv1\nConvolution 7 /2, 64\n+ ReLU" [shape=box' in text
    assert r'"inception_3a/1x1\nConvolution 1, 64\n+ ReLU" -> "inception_3a/output\nConcat"' in text
    assert r'"pool5\nPooling AVE global\n+ Dropout" [' in text
    assert 2 * len(re.findall("->", text)) < len(re.findall("->", whole))


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz")
@pytest.mark.parametrize("more", [[], ["--compact"]])
@pytest.mark.parametrize(("kind", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_pictures(more: list[str], kind: str, start: bytes, here: Path) -> None:
    assert Command("draw", LENET, "-o", f"net.{kind}", *more).status == 0
    assert (here / f"net.{kind}").read_bytes().startswith(start)


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz")
def test_googlenet_can_be_read_on_a_page_of_a3(googlenet: str, here: Path) -> None:
    """A3 is 842 x 1191 points; type of 14 points must not be smaller than 5 there."""
    assert Command("draw", googlenet, "-o", "net.svg", "--compact", "--rankdir=TB", "--phase=TRAIN").status == 0
    size = re.search(r'width="(\d+)pt" height="(\d+)pt"', (here / "net.svg").read_text())
    assert size is not None
    assert 14 * min(842 / int(size[1]), 1191 / int(size[2])) >= 5


@pytest.mark.parametrize("more", [[], ["--compact"]])
def test_without_graphviz(more: list[str], here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(here))
    command = Command("draw", LENET, "-o", "net.svg", *more)
    assert command.status == 1
    assert "needs Graphviz" in command.sentence()
    assert os.listdir(here) == []


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["nowhere.prototxt"], 1, 'no file "nowhere.prototxt"'),
        ([LENET, "a.dot", "-o", "b.dot"], 2, "expected one file to write"),
        ([LENET, "-o", "net"], 2, "expected a name that ends in"),
        ([LENET, "-o", "no/net.dot"], 1, "there is no folder"),
        ([LENET, "--compact", "--display-lrm"], 2, "give one of them"),
        ([LENET, "--rankdir=XY"], 2, "'--rankdir'"),
        ([], 2, "Missing argument 'NET'"),
    ],
)
def test_wrong_uses(arguments: list[str], status: int, sentence: str, here: Path) -> None:
    command = Command("draw", *arguments)
    assert command.status == status
    assert sentence in command.sentence()
