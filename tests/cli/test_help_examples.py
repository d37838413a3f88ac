"""The examples in the help of each command run as they stand there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.net import Net
from pycaffe_lite.solvers.registry import get_solver
from pycaffe_lite_cli import COMMANDS
from rigs import MNIST
from rigs.cli_rig import SOLVER, Command, write_run
from rigs.clone import fill_clone, write_images
from rigs.data_tools import run
from rigs.golden_logs import FOLDER
from rigs.net_rig import inner_product, inputs, layer, net_param

NEEDS = {
    "export-onnx": "onnx",
    "plot-log": "matplotlib",
    "lr-plot": "matplotlib",
    "convert-mnist": "lmdb",
    "convert-cifar": "lmdb",
    "compute-image-mean": "lmdb",
    "extract-features": "lmdb",
    "data-info": "lmdb",
    "convert-imageset": "plyvel",
    "classify": "cv2",
    "detect": "cv2",
    "segment": "cv2",
    "train": "tensorboardX",
}
SHORTER = {"test": ("--iterations=1",), "time": ("--iterations=1",)}
"""The rule for what takes minutes: it runs as it stands, with these options besides; see also `shorter`."""


def shorter(name: str, example: str) -> tuple[str, ...]:
    if name == "train" and "configs/" in example:
        return ("--iterations=2", "--set=test_iter=1")
    return SHORTER.get(name, ())


@pytest.fixture
def clone(here: Path) -> Path:
    """A folder with configs/, data/, logs, and LeNet's weights and deploy net."""
    fill_clone(here)
    for name in ("train.log", "one.log", "other.log"):
        shutil.copy(FOLDER / "logs" / "train.log", here / name)
    shutil.copy(here / "configs" / "lenet" / "deploy.prototxt", here)
    return here


def a_run(folder: Path) -> None:
    """solver.prototxt of a tiny net, with its snapshot of iteration 5000."""
    text = SOLVER.replace('prefix: "s"', 'prefix: "lenet"').replace("interval: 2", "interval: 1000")
    write_run(folder, solver=text.replace("max_iter: 4", "max_iter: 5004").replace("display: 2", "display: 1000"))
    solver = get_solver("solver.prototxt")
    solver.iter = 5000
    solver.snapshot()
    solver.close()


def solvers(folder: Path) -> None:
    for name in ("solver", "one_solver", "other_solver", "old_solver"):
        (folder / f"{name}.prototxt").write_text(SOLVER + ("solver_type: SGD\n" if name == "old_solver" else ""))


def digits(folder: Path) -> None:
    """MNIST's tests under the names of its training images."""
    for kind in ("images-idx3", "labels-idx1"):
        shutil.copy(MNIST / f"t10k-{kind}-ubyte.gz", folder / f"train-{kind}-ubyte.gz")


def sources(folder: Path) -> None:
    digits(folder)
    run(
        "convert-mnist",
        *(folder / f"train-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")),
        "mnist_train_lmdb",
    )
    write_images(folder, "train.txt", "{i} 1 0.5")
    shutil.copytree("mnist_train_lmdb", "cifar10_train_lmdb")


def lists(folder: Path) -> None:
    write_images(folder, "train.txt")
    text = (folder / "train.txt").read_text()
    (folder / "list.txt").write_text(re.sub(r"(?m)^", f"{folder / 'images'}/", text.strip())[1:] + "\n")


def cifar(folder: Path) -> None:
    for name, files, labels in (
        ("cifar-10-batches-bin", [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"], 1),
        ("cifar-100-binary", ["train", "test"], 2),
    ):
        (folder / name).mkdir()
        for file in files:
            (folder / name / f"{file}.bin").write_bytes(bytes(20 * (labels + 3072)))
    (folder / "examples" / "cifar10").mkdir(parents=True)


def features(folder: Path) -> None:
    data = """dummy_data_param { shape { dim: 2 dim: 3 } data_filler { type: "gaussian" } }"""
    net = (
        layer("data", "DummyData", top=["x"], more=data) + inner_product("ip1", "x", 2) + inner_product("ip2", "ip1", 2)
    )
    (folder / "train_test.prototxt").write_text(net)
    Net("train_test.prototxt", 0).save("lenet.caffemodel")


def images(folder: Path) -> None:
    write_images(folder, "list.txt")
    import cv2

    cv2.imwrite("cat.jpg", np.full((64, 64, 3), 99, np.uint8))
    rows = "".join(f"images/{i}.png,0,0,30,30\n" for i in range(3))
    (folder / "list.csv").write_text("filename,ymin,xmin,ymax,xmax\n" + rows)
    text = inputs(data=[10, 3, 48, 48]) + inner_product("ip", "data", 5)
    (folder / "deploy.prototxt").write_text(text + layer("prob", "Softmax", ["ip"], ["prob"]))
    Net("deploy.prototxt", 1).save("net.caffemodel")


def detectors(folder: Path) -> None:
    """What finds windows' classes, boxes, and the classes of pixels in an image."""
    images(folder)
    text = inputs(data=[1, 3, 8, 8]) + inner_product("loc", "data", 4) + inner_product("conf", "data", 2)
    text += layer("priors", "DummyData", top=["priors"], more="dummy_data_param { shape { dim: 1 dim: 2 dim: 4 } }")
    param = "detection_output_param { num_classes: 2 nms_param { nms_threshold: 0.5 } }"
    text += layer("out", "DetectionOutput", ["loc", "conf", "priors"], ["out"], param)
    (folder / "ssd.prototxt").write_text(text)
    Net("ssd.prototxt", 1).save("ssd.caffemodel")
    conv = "convolution_param { num_output: 3 kernel_size: 1 }"
    (folder / "fcn.prototxt").write_text(inputs(data=[1, 3, 8, 8]) + layer("s", "Convolution", ["data"], ["s"], conv))
    Net("fcn.prototxt", 1).save("fcn.caffemodel")


def scripts(folder: Path) -> None:
    for name in ("classify", "script"):
        (folder / f"{name}.py").write_text("import caffe\n")


def old_nets(folder: Path) -> None:
    text = 'input: "x" input_dim: 1 input_dim: 3 input_dim: 1 input_dim: 1\n'
    text += 'layers { name: "ip" type: INNER_PRODUCT bottom: "x" top: "ip" inner_product_param { num_output: 2 } }\n'
    (folder / "old.prototxt").write_text(text)
    Net(net_param(inputs(x=[1, 3]) + inner_product("ip", "x", 2)), 1).save("old.caffemodel")


PREPARE: dict[str, Callable[[Path], None]] = {
    "train": a_run,
    "lr-plot": solvers,
    "upgrade-solver": solvers,
    "convert-mnist": digits,
    "compute-image-mean": sources,
    "data-info": sources,
    "convert-imageset": lists,
    "convert-cifar": cifar,
    "extract-features": features,
    "classify": images,
    "detect": detectors,
    "segment": detectors,
    "python": scripts,
    "python-path": scripts,
    "upgrade-net": old_nets,
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "warm-up" else ()) for name in COMMANDS]
)
def test_they_run(name: str, clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(NEEDS.get(name, "numpy"))
    text = Command(name, "--help").output.partition("Example")[2]
    examples = re.findall(r"^ +(.*pycaffe-lite .*)$", text, re.MULTILINE)
    assert examples
    PREPARE.get(name, lambda folder: None)(clone)
    for example in examples:
        if example.startswith("mpirun "):  # tests/cli/train/test_mpi.py runs such ones
            continue
        if name in ("python", "python-path"):  # another program takes the place of this one
            folders = [path for path in sys.path if os.path.isdir(os.path.join(path, "pycaffe_lite"))]
            folders += [path for path in sys.path if os.path.isdir(os.path.join(path, "pycaffe_lite_cli"))]
            monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))
            ours = f"{sys.executable} -m pycaffe_lite_cli"
            line = example.replace("pycaffe-lite", ours).replace(") python", f"):$PYTHONPATH {sys.executable}")
            done = subprocess.run(line, shell=True, check=False, capture_output=True, text=True)
            assert done.returncode == 0, (example, done.stderr)
            continue
        command = Command(*shlex.split(example)[1:], *shorter(name, example))
        assert command.status == 0, (example, command.output)
