"""Tests of detections: the mean average precision in a solver's log, its fields, and what reads the result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from rigs.cli_rig import Command, values
from rigs.net_rig import inner_product, layer, make_solver, softmax_loss, write_solver

h5py = pytest.importorskip("h5py")

BOX = [0.0, 0.0, 1.0, 1.0]
# Two batches of three. Class 1 has three objects, found, missed, found, and a wrong one between; class 2 has one.
FOUND = [
    [0, 1, 0.9, *BOX], [1, 2, 0.8, *BOX], [-1, 0, 0, *BOX],
    [0, 1, 0.7, *BOX], [1, 1, 0.8, 0, 0, 0.1, 0.1], [-1, 0, 0, *BOX],
]  # fmt: skip
OBJECTS = [
    [0, 1, 0, *BOX, 0], [1, 2, 0, *BOX, 0], [2, 1, 0, *BOX, 0],
    [0, 1, 0, *BOX, 0], [-1] * 8, [-1] * 8,
]  # fmt: skip
INTEGRAL = (1 + 2 / 3) / 3  # of class 1
RUN = 'base_lr: 0.1 lr_policy: "fixed" random_seed: 1 max_iter: 1 snapshot_after_train: false test_iter: 2 '
RUN += "test_interval: 1 test_initialization: false "
TEST = "include { phase: TEST }"
NET = (
    layer("data", "DummyData", top=["x", "label"], more="dummy_data_param { shape { dim: 4 dim: 3 } shape { dim: 4 } }")
    + inner_product("fc", "x", 3)
    + softmax_loss("fc")
)
EVALUATION = layer(
    "boxes", "HDF5Data", [], ["found", "objects"], f'{TEST} hdf5_data_param {{ source: "boxes.txt" batch_size: 3 }}'
) + layer(
    "map", "DetectionEvaluate", ["found", "objects"], ["map"], f"{TEST} detection_evaluate_param {{ num_classes: 4 }}"
)


@pytest.fixture
def boxes(here: Path) -> Path:
    with h5py.File(here / "boxes.h5", "w") as file:
        file["found"], file["objects"] = np.array(FOUND, np.float32), np.array(OBJECTS, np.float32)
    (here / "boxes.txt").write_text("boxes.h5\n")
    return here


def test_a_test_shows_the_mean_average_precision(boxes: Path) -> None:
    """Over both batches together; class 3, which has no object, counts as 0, as in SSD."""
    write_solver(boxes, NET + EVALUATION, RUN + 'eval_type: "detection" show_per_class_result: true')
    command = Command("train", "--solver=solver.prototxt", "--expect=map>=0.5", "--keep-best=map")
    assert command.status == 0, command.output
    assert values(command.said, "    Test net output #1: map") == pytest.approx([(INTEGRAL + 1 + 0) / 3], rel=1e-5)
    classes = [line for line in command.said if line.startswith("class")]
    assert [line.split(": ")[0] for line in classes] == ["class1", "class2", "class3"]
    assert [float(line.split(": ")[1]) for line in classes] == pytest.approx([INTEGRAL, 1, 0], rel=1e-5)
    place = command.said.index(classes[-1])
    assert command.said[place - 3].startswith("    Test net output #0: loss = ")
    assert command.said[place + 1].startswith("    Test net output #1: map = ")


@pytest.mark.parametrize(("version", "expected"), [("11point", (4 + 3 * 2 / 3) / 11), ("MaxIntegral", INTEGRAL)])
def test_the_version_that_is_asked_for(boxes: Path, version: str, expected: float) -> None:
    solver = make_solver(boxes, NET + EVALUATION, RUN + f'ap_version: "{version}"')
    (report,) = solver.test_all()
    solver.close()
    (output,) = [output for output in report.outputs if output.name == "map"]
    assert output.value == pytest.approx((expected + 1) / 3, rel=1e-5)


def test_the_command_test_has_it_once(boxes: Path) -> None:
    solver = make_solver(boxes, NET + EVALUATION, RUN)
    solver.net.save("w.caffemodel")
    solver.close()
    command = Command("test", "--model=net.prototxt", "--weights=w.caffemodel", "--iterations=2")
    assert values(command.said, "map = ") == pytest.approx([(INTEGRAL + 1) / 3], rel=1e-5)
    assert [line.split(",")[1].split()[0] for line in command.said if line.startswith("Batch")] == ["loss", "loss"]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ('eval_type: "detection"', r"solver.prototxt:2: expected a DetectionEvaluate layer in test net \(#0\)"),
        ('eval_type: "regression"', 'expected eval_type to be one of "classification", "detection", got "regression"'),
        (
            'ap_version: "12point"',
            'expected ap_version to be one of "11point", "MaxIntegral", "Integral", got "12point"',
        ),
    ],
)
def test_fields_that_cannot_be(fields: str, sentence: str, here: Path) -> None:
    with pytest.raises(CaffeError, match=sentence):
        make_solver(here, NET, RUN + fields)


def test_check_tells_of_a_test_without_detections(here: Path) -> None:
    write_solver(here, NET, RUN + 'eval_type: "detection"')
    command = Command("check", "solver.prototxt")
    assert command.status == 1
    assert "solver.prototxt:2: error: expected a DetectionEvaluate layer in test net (#0)" in command.output
