"""The command export-onnx: what it writes, shows and refuses."""

from __future__ import annotations

import builtins
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST
from pycaffe_lite.tools.export_onnx import model as made
from rigs.cli_rig import Command
from rigs.model_zoo import ROOT
from rigs.net_rig import inner_product, inputs, layer

NET = inputs(x=[2, 3]) + inner_product("fc", "x", 4) + layer("prob", "Softmax", ["fc"], ["prob"])
GIVEN = ("--model", "net.prototxt", "--weights", "w.caffemodel")


@pytest.fixture
def run(here: Path) -> Path:
    (here / "net.prototxt").write_text(NET)
    Net("net.prototxt", TEST).save("w.caffemodel")
    return here


def test_it_writes_checks_and_says_so(run: Path) -> None:
    import onnxruntime

    command = Command("export-onnx", *GIVEN, "-o", "m.onnx")
    assert command.status == 0
    assert command.said[-1] == "Wrote m.onnx, for any batch size."
    shown = re.fullmatch(r"prob: largest difference (\S+), relative (\S+)\n", command.output)
    assert shown is not None
    assert float(shown[2]) < 1e-5
    session = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    net = Net("net.prototxt", TEST, weights="w.caffemodel")
    net.blobs["x"].reshape(7, 3)
    np.testing.assert_allclose(session.run(["prob"], {"x": x})[0], net.forward(x=x)["prob"], rtol=1e-5)


def test_options(run: Path) -> None:
    import onnx

    np.savez("in.npz", x=np.ones((2, 3)))
    options = ("--opset", "17", "--fold", "--input", "in.npz", "--quiet")
    command = Command("export-onnx", *GIVEN, "-o", "m.onnx", *options)
    assert (command.status, command.log) == (0, [])
    assert command.output.startswith("prob: largest difference ")
    assert onnx.load("m.onnx").opset_import[0].version == 17
    assert Command("export-onnx", *GIVEN, "-o", "m.onnx", "--no-check").output == ""


def test_a_model_that_differs_is_an_error(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(made.CONVERT, "Softmax", lambda g, item, x: [g.add("Sigmoid", x[0])])
    command = Command("export-onnx", *GIVEN, "-o", "m.onnx")
    assert command.status == 1
    assert command.output.splitlines()[-1] == (
        "Error: The model's outputs differ from the net's by more than 1e-4; the first layer that differs is \"prob\"."
    )


def test_without_onnx_the_extra_is_named(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args, **options):
        if name.split(".", maxsplit=1)[0] in ("onnx", "onnxruntime"):
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    command = Command("export-onnx", *GIVEN, "-o", "m.onnx")
    assert command.status == 1
    assert command.sentence() == "ONNX models need an extra package: pip install 'pycaffe-lite[onnx]'."
    assert "--check needs onnxruntime" in Command("export-onnx", *GIVEN, "-o", "m.onnx", "--check").sentence()


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        ([], 2, "Give the net to export: --model deploy.prototxt."),
        (["--model", "net.prototxt"], 2, "Give its weights: --weights net.caffemodel."),
        ([*GIVEN], 2, "-o needs a file name that ends in .onnx; got none."),
        ([*GIVEN, "-o", "m.pb"], 2, "-o needs a file name that ends in .onnx; got m.pb."),
        ([*GIVEN, "-o", "no/m.onnx"], 1, 'Cannot write "no/m.onnx": there is no folder'),
        ([*GIVEN, "-o", "m.onnx", "--opset", "9"], 2, "--opset"),
        ([*GIVEN, "-o", "m.onnx", "--no-check", "--input", "in.npz"], 2, "--input is for the check: leave it out"),
        ([*GIVEN, "-o", "m.onnx", "--input", "gone.npz"], 1, 'There is no file of inputs "gone.npz"'),
        ([*GIVEN, "-o", "m.onnx", "--input", "net.prototxt"], 1, "expected an .npz file of arrays of numbers"),
        (["--model", "gone", "--weights", "w.caffemodel", "-o", "m.onnx"], 1, 'There is no file "gone"'),
        (["--model", "net.prototxt", "--weights", "gone", "-o", "m.onnx"], 1, "gone"),
        (["--model", str(ROOT / "configs/lenet/train_test.prototxt"), "--weights", "w.caffemodel", "-o", "m.onnx"], 1,
         "Expected a net with inputs and outputs"),
    ],
)  # fmt: skip
def test_wrong_uses(arguments: list[str], status: int, sentence: str, run: Path) -> None:
    command = Command("export-onnx", *arguments)
    assert command.status == status
    assert sentence in command.output
    assert not Path("m.onnx").exists()
