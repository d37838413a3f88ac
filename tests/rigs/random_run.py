"""A small training run in which everything is left to chance: shuffled, mirrored, cropped images and dropout."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pycaffe_lite.solvers.registry import get_solver
from pycaffe_lite.solvers.report import Report
from pycaffe_lite.solvers.sgd import SGDSolver
from rigs.idx_files import write_idx
from rigs.net_rig import inner_product, layer, softmax_loss

TYPES = {
    "SGD": "momentum: 0.9",
    "Nesterov": "momentum: 0.9",
    "AdaGrad": "",
    "RMSProp": "rms_decay: 0.9",
    "AdaDelta": "momentum: 0.9 delta: 1e-6",
    "Adam": "momentum: 0.9 momentum2: 0.99",
}
"""The solver types, each with what it needs."""

IMAGES, CHANCE = 17, "transform_param { scale: 0.00390625 crop_size: 6 mirror: true }"
"""The images do not divide by the batches, so that epochs end within them."""


def data(name: str, batch: int, more: str) -> str:
    source = f'data_param {{ source: "{name}-images" backend: IDX batch_size: {batch} {more} }}'
    phase = "TRAIN" if name == "train" else "TEST"
    return layer("data", "Data", top=["x", "label"], more=f"{source} {CHANCE} include {{ phase: {phase} }}")


NET = (
    'name: "chance" '
    + data("train", 5, "shuffle: true")
    + data("test", 4, "")
    + layer(
        "conv", "Convolution", ["x"], ["conv"],
        'convolution_param { num_output: 3 kernel_size: 3 weight_filler { type: "xavier" } }',
    )
    + layer("relu", "ReLU", ["conv"], ["conv"])
    + layer("drop", "Dropout", ["conv"], ["conv"], "dropout_param { dropout_ratio: 0.3 }")
    + inner_product("fc", "conv", 4)
    + layer("accuracy", "Accuracy", ["fc", "label"], ["accuracy"], "include { phase: TEST }")
    + softmax_loss("fc")
)  # fmt: skip

SOLVER = (
    'net: "net.prototxt" base_lr: 0.01 lr_policy: "multistep" gamma: 0.5 stepvalue: 4 stepvalue: 7 weight_decay: 0.01 '
    'random_seed: 3 max_iter: 12 display: 1 average_loss: 4 test_iter: 3 test_interval: 3 snapshot_prefix: "s" '
)


def write_random_run(folder: Path, solver: str = "", net: str = NET) -> Path:
    """Writes the data, the net and its solver, to which `solver` is added; returns the path of the solver."""
    generator = np.random.default_rng(7)
    for name in ("train", "test"):
        write_idx(folder / f"{name}-images", generator.integers(0, 256, (IMAGES, 8, 8)))
        write_idx(folder / f"{name}-labels", generator.integers(0, 4, IMAGES))
    (folder / "net.prototxt").write_text(net)
    path = folder / "solver.prototxt"
    path.write_text(SOLVER + solver)
    return path


def new_solver(path: Path) -> SGDSolver:
    solver = get_solver(str(path))
    assert isinstance(solver, SGDSolver)
    return solver


def run(path: Path, snapshot: str | None = None) -> tuple[list[Report], SGDSolver]:
    """Trains to the end, from a snapshot if one is named; what it reports, and the solver, closed."""
    solver = new_solver(path)
    if snapshot is not None:
        solver.restore(snapshot)
    reports = list(solver.run())
    solver.close()
    return reports, solver


def same_bits(ours: SGDSolver, theirs: SGDSolver) -> None:
    """Parameters and history are equal to the bit."""
    assert (ours.iter, ours.current_step) == (theirs.iter, theirs.current_step)
    for one, other in zip(ours.parameters.blobs + ours.history, theirs.parameters.blobs + theirs.history, strict=True):
        np.testing.assert_array_equal(one.data, other.data)
