"""LeNet on MNIST against a training run of Caffe: first weights, losses, norms, test results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.solvers.registry import get_solver
from pycaffe_lite.solvers.report import IterationReport, TestReport
from pycaffe_lite.solvers.sgd import SGDSolver
from rigs import GOLDEN
from rigs.lenet import mnist_sources

FOLDER = GOLDEN / "training" / "lenet"
ITERATIONS = 300
WEIGHTS, BIASES = 2e-3, 5e-2
"""How far norms may drift apart up to iteration 300. Under other OpenBLAS kernels Caffe's own differ by up to 5e-4 and
1.6e-2, see spread.npz; biases are small sums of large gradients."""

RUN = json.loads((FOLDER / "run.json").read_text())


def solver_in(folder: Path) -> SGDSolver:
    """The golden solver, for 300 iterations and without snapshots."""
    (folder / "lenet.prototxt").write_text(mnist_sources((FOLDER / "lenet.prototxt").read_text()))
    text = (FOLDER / "lenet_solver.prototxt").read_text().replace("max_iter: 10000", f"max_iter: {ITERATIONS}")
    text = text.replace("snapshot: 5000", "snapshot_after_train: false")
    (folder / "solver.prototxt").write_text(text)
    solver = get_solver(str(folder / "solver.prototxt"))
    assert isinstance(solver, SGDSolver)
    return solver


@dataclass
class Run:
    """What a run has given: losses, norms by iteration, test results by iteration, digests of the first weights."""

    digests: dict[str, str]
    losses: list[float] = field(default_factory=list)
    norms: dict[int, list[float]] = field(default_factory=dict)
    tests: dict[int, dict[str, float]] = field(default_factory=dict)


def digests(solver: SGDSolver) -> dict[str, str]:
    """SHA-256 of each parameter's float32 values in logical order."""
    return {
        f"{name}/{i}": hashlib.sha256(np.ascontiguousarray(blob.data, "<f4").tobytes()).hexdigest()
        for name, blobs in solver.net.params.items()
        for i, blob in enumerate(blobs)
    }


def norms(solver: SGDSolver) -> list[float]:
    return [float(np.linalg.norm(blob.data.astype(np.float64))) for blob in solver.parameters.blobs]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    solver = solver_in(tmp_path_factory.mktemp("lenet"))
    result = Run(digests(solver), norms={0: norms(solver)})
    for report in solver.run():
        if isinstance(report, TestReport):
            result.tests[report.iteration] = {output.name: output.value for output in report.outputs}
        elif isinstance(report, IterationReport):
            result.losses.append(report.loss)
            if solver.iter % 50 == 0:
                result.norms[solver.iter] = norms(solver)
    solver.close()
    yield result


def test_the_first_weights_are_caffes_to_the_bit(run: Run) -> None:
    assert run.digests == json.loads((FOLDER / "lenet_init.json").read_text())


def test_the_losses_stay_in_the_envelope(run: Run) -> None:
    golden = np.load(FOLDER / "run.npz")["loss"][:ITERATIONS]
    envelope = np.load(FOLDER / "spread.npz")["loss/envelope"]
    apart = np.abs(np.array(run.losses) - golden) / golden
    worst = int(np.argmax(apart - (1e-5 + 5 * envelope)))
    assert len(run.losses) == ITERATIONS
    assert apart[worst] <= 1e-5 + 5 * envelope[worst], f"iteration {worst}: {apart[worst]:g} of the loss"


def test_the_norms_of_the_parameters(run: Run) -> None:
    golden = np.load(FOLDER / "run.npz")["norms"]
    for iteration, ours in run.norms.items():
        row = golden[RUN["norms_at"].index(iteration)]
        for name, mine, golden_norm in zip(RUN["params"], ours, row, strict=True):
            rtol = (WEIGHTS if name.endswith("/0") else BIASES) if iteration else 1e-6
            assert mine == pytest.approx(golden_norm, rel=rtol), f"{name} after {iteration} iterations"
    assert sorted(run.norms) == list(range(0, ITERATIONS + 1, 50))


def test_the_test_results_before_training(run: Run) -> None:
    golden = RUN["test"]["0"]
    assert run.tests[0]["accuracy"] == pytest.approx(golden["accuracy"], abs=1e-7)
    assert run.tests[0]["loss"] == pytest.approx(golden["loss"], rel=1e-6)
