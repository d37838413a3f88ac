"""check: all that is wrong with a file, at once."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.net import Net
from pycaffe_lite.proto.caffe_pb2 import BlobProto, BlobShape
from pycaffe_lite.tools.check import check
from rigs.cli_rig import Command
from rigs.data_tools import run
from rigs.model_zoo import ROOT
from rigs.net_rig import inner_product, inputs, layer, net_param, softmax_loss

WRONG = Path(__file__).parent / "wrong_solvers"
SOLVERS = sorted(WRONG.glob("*_solver.prototxt"))
MARK = re.compile(r"# (FILE )?((?:ERROR|WARNING) .*)")


@pytest.fixture
def wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder, with its mean image and its weights, as the working folder."""
    folder = tmp_path / "wrong"
    shutil.copytree(WRONG, folder)
    mean = BlobProto(shape=BlobShape(dim=[1, 5, 1, 1]), data=[0.0] * 5)
    (folder / "wrong_mean.binaryproto").write_bytes(mean.SerializeToString())
    for name, fc, outputs in (("other", "ip", 4), ("wide", "fc", 9)):
        Net(net_param(inputs(x=[1, 3]) + inner_product(fc, "x", outputs)), 0).save(str(folder / f"{name}.caffemodel"))
    monkeypatch.chdir(folder)
    return folder


def expected(path: Path) -> list[tuple[int, str, str]]:
    """Line, level and a part of the text of each finding, from the comments."""
    found = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        mark = MARK.search(line)
        if mark:
            for part in re.split(r"; (?=WARNING )", mark[2]):
                level, text = part.split(" ", 1)
                found.append((0 if mark[1] else number, level.lower(), text))
    return found


def test_there_are_thirty() -> None:
    assert len(SOLVERS) >= 30


@pytest.mark.parametrize("path", SOLVERS, ids=lambda path: path.stem.removesuffix("_solver"))
def test_everything_in_a_file_is_found_in_one_go(path: Path, wrong: Path) -> None:
    wanted = sorted(expected(path))
    assert wanted
    found = sorted((finding.line, finding.level, finding.text) for finding in check(path.name))
    assert [finding[:2] for finding in found] == [finding[:2] for finding in wanted], found
    for (_, _, text), (_, _, part) in zip(found, wanted, strict=True):
        assert part in text
    assert {finding.path for finding in check(path.name)} == {path.name}


@pytest.mark.parametrize("path", SOLVERS, ids=lambda path: path.stem.removesuffix("_solver"))
def test_the_status_tells_errors_from_warnings(path: Path, wrong: Path) -> None:
    errors = any(level == "error" for _, level, _ in expected(path))
    assert Command("check", path.name).status == errors
    assert Command("check", path.name, "--strict").status == 1


def test_errors_in_a_net_file_have_its_name(wrong: Path) -> None:
    text = (wrong / "good_net.prototxt").read_text()
    (wrong / "net.prototxt").write_text(text.replace("InnerProduct", "Inner").replace("SoftmaxWithLoss", "Softmax2"))
    (wrong / "solver.prototxt").write_text('net: "net.prototxt"\nlr_policy: "none"\nmax_iter: 1\n')
    places = [(finding.path, finding.line) for finding in check("solver.prototxt")]
    assert places == [("solver.prototxt", 2), ("net.prototxt", 7), ("net.prototxt", 11)]


# -- nets by themselves -------------------------------------------------------------------------------------


def of(text: str, folder: Path, **options) -> list[str]:
    path = folder / "net.prototxt"
    path.write_text(text)
    return [str(finding).removeprefix(f"{path}:") for finding in check(str(path), **options)]


def test_a_net_is_built_for_both_phases(tmp_path: Path) -> None:
    text = (
        inputs(x=[2, 3], label=[2])
        + layer("a", "Relu", ["x"], ["a"], "include { phase: TRAIN }")
        + layer("b", "Sigmod", ["x"], ["b"], "include { phase: TEST }")
    )
    assert [found.split(":")[0] for found in of(text, tmp_path)] == ["2", "3"]


def test_a_net_is_built_for_each_stage_its_rules_name(tmp_path: Path) -> None:
    text = "".join(
        inputs(x=[2, size]).replace("layer {", f'layer {{ include {{ stage: "{stage}" }}')
        for size, stage in ((3, "a"), (4, "b"))
    )
    text += layer("r", "Reshape", ["x"], ["y"], "reshape_param { shape { dim: 3 dim: 2 } }")
    assert len(of(text, tmp_path)) == 1
    assert of(text, tmp_path, stages=["a"]) == []


def test_a_net_to_run_may_be_full_of_zeros(tmp_path: Path) -> None:
    fc = layer("fc", "InnerProduct", ["x"], ["fc"], "inner_product_param { num_output: 2 }")
    assert of(inputs(x=[2, 3]) + fc, tmp_path) == []
    train = inputs(x=[2, 3], label=[2]) + fc + softmax_loss("fc")
    assert [found.split(": ")[1] for found in of(train, tmp_path)] == ["warning"]


def test_weights_of_the_command_line(wrong: Path) -> None:
    text = inputs(x=[2, 3]) + layer("fc", "InnerProduct", ["x"], ["fc"], "inner_product_param { num_output: 9 }")
    assert of(text, wrong, weights=["wide.caffemodel"]) == []
    assert "fit no layer" in of(text, wrong, weights=["other.caffemodel"])[0]
    assert of(text + layer("l", "Accuracy", ["fc", "fc"], ["l"]), wrong, weights=["wide.caffemodel"])[0].startswith(
        "3:"
    )


def test_without_its_data_the_rest_of_a_net_is_looked_at(tmp_path: Path) -> None:
    data = 'data_param { source: "nowhere" batch_size: 2 } transform_param { crop_size: 5 }'
    text = layer("data", "Data", top=["x"], more=data)
    text += layer("c", "Convolution", ["x"], ["y"], "convolution_param { num_output: 1 kernel_size: 9 }")
    assert [found.split(" ")[0] for found in of(text, tmp_path)] == ["1:", "2:"]


def test_an_error_of_a_python_layer_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_layer.py").write_text("class Broken:\n    def setup(self, bottom, top):\n        1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    text = layer("p", "Python", top=["x"], more='python_param { module: "broken_layer" layer: "Broken" }')
    assert any("1: error" in found for found in of(text, tmp_path))


@pytest.mark.parametrize(
    "text", ["layer { name: 'a' ", "name: 3 3 3", "layer { type: }\nlayer", "net: [", "}" * 50, "\u00e9 {"]
)
def test_whatever_a_text_is_there_is_an_error(text: str, tmp_path: Path) -> None:
    assert of(text, tmp_path)


# -- the nets that ship --------------------------------------------------------------------------------------

HAVE_TO_BE_MADE = ("cifar10", "ssd_shapes", "seg_shapes")
"""Folders whose data are not in the repository; tests/test_shapes.py has the latter two."""


@pytest.mark.parametrize(
    "path",
    [path for path in sorted((ROOT / "configs").glob("*/*.prototxt")) if path.parent.name not in HAVE_TO_BE_MADE],
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_the_configs_are_without_fault(path: Path, here: Path) -> None:
    assert check(str(path)) == []


def test_those_of_cifar10_are_once_their_data_are_there(here: Path) -> None:
    pytest.importorskip("lmdb")
    shutil.copytree(ROOT / "configs" / "cifar10", here / "configs" / "cifar10")
    (here / "data" / "cifar10").mkdir(parents=True)
    (here / "binary").mkdir()
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        records = np.zeros((100, 3073), np.uint8)
        records[:, 0] = np.arange(100) % 10
        records.tofile(here / "binary" / f"{name}.bin")
    run("convert-cifar", here / "binary", here / "data" / "cifar10")
    for path in sorted((here / "configs" / "cifar10").iterdir()):
        # There are 100 images to test, and no 10,000.
        path.write_text(path.read_text().replace("test_iter: 100 ", "test_iter: 1 "))
        assert check(str(path)) == []


# -- the command --------------------------------------------------------------------------------------------


def test_text_json_and_annotations(wrong: Path) -> None:
    name = "26_stepvalues_solver.prototxt"
    assert Command("check", name).output.splitlines() == [
        f"{name}:7: warning: stepvalue 40 is not above the one before it, 50.",
        f"{name}:8: warning: stepvalue 100 is never reached: max_iter is 100.",
        "No errors, 2 warnings.",
    ]
    found = json.loads(Command("check", name, "--format", "json").output)
    assert found[0] == {
        "path": name, "line": 7, "level": "warning", "text": "stepvalue 40 is not above the one before it, 50."
    }  # fmt: skip
    assert Command("check", name, "--format", "github").output.splitlines() == [
        f"::warning file={name},line=7::stepvalue 40 is not above the one before it, 50.",
        f"::warning file={name},line=8::stepvalue 100 is never reached: max_iter is 100.",
    ]
    shutil.copy(name, "a,b.prototxt")
    assert "file=a%2Cb.prototxt,line=7" in Command("check", "a,b.prototxt", "--format", "github").output


def test_a_file_without_fault(wrong: Path) -> None:
    command = Command("check", "good_net.prototxt", "--strict")
    assert (command.status, command.output) == (0, "No errors, no warnings.\n")
    assert Command("check", "good_net.prototxt", "--format", "json").output == "[]\n"
    assert Command("check", "good_net.prototxt", "--format", "github").output == ""


@pytest.mark.parametrize(
    ("name", "sentence"), [("gone", 'There is no file "gone"'), (".", "Cannot read .: it is a folder")]
)
def test_what_cannot_be_read(name: str, sentence: str, here: Path) -> None:
    command = Command("check", name)
    assert command.status == 1
    assert sentence in command.sentence()
