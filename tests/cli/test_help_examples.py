"""The examples in the help of commands run as they stand there."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from pycaffe_lite.net import Net
from pycaffe_lite.phase import TRAIN
from rigs.cli_rig import Command
from rigs.golden_logs import FOLDER
from rigs.model_zoo import ROOT

COMMANDS = ["check", "deploy", "draw", "explain", "export-onnx", "export-weights", "parse-log", "plot-log", "summary"]
NEEDS = {"export-onnx": "onnx", "plot-log": "matplotlib"}


@pytest.fixture
def clone(here: Path) -> Path:
    """A folder with configs/, data/, logs, and LeNet's weights and deploy net."""
    for name in ("configs", "data"):
        (here / name).symlink_to(ROOT / name)
    for name in ("train.log", "one.log", "other.log"):
        shutil.copy(FOLDER / "logs" / "train.log", here / name)
    shutil.copy(ROOT / "configs" / "lenet" / "deploy.prototxt", here)
    net = Net(str(ROOT / "configs" / "lenet" / "train_test.prototxt"), TRAIN)
    net.save("lenet_iter_10000.caffemodel")
    net.close()
    return here


@pytest.mark.parametrize("name", COMMANDS)
def test_they_run(name: str, clone: Path) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    text = Command(name, "--help").output
    examples = re.findall(r"^ +pycaffe-lite (.*)$", text, re.MULTILINE)
    assert examples
    for example in examples:
        command = Command(*shlex.split(example))
        assert command.status == 0, (example, command.output)
