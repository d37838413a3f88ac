"""Two ranks train as one process does with batches of twice the size: parameters to 1e-5 after 20 iterations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from pycaffe_lite.solvers.registry import get_solver
from rigs.mpi_rig import needs_mpi, run
from rigs.shared_sources import SHUFFLED, SOURCES, write_source, write_training

pytestmark = needs_mpi
BATCH = 32


class Case(NamedTuple):
    kind: str
    rule: str
    layer_wise: bool
    shuffle: bool = False

    @property
    def name(self) -> str:
        return f"{self.kind}_{self.rule}_{self.layer_wise}_{self.shuffle}"


EACH = [Case(kind, rule, layer_wise) for kind in SOURCES for rule in ("SGD", "passes", "Adam") for layer_wise in (1, 0)]
EACH += [Case(kind, "SGD", True, True) for kind in SHUFFLED]
FEW = [Case(kind, "SGD", True) for kind in SOURCES] + [Case(kind, "SGD", True, True) for kind in SHUFFLED]
FEW += [Case("idx", "passes", True), Case("idx", "Adam", True), Case("idx", "passes", False), Case("idx", "SGD", False)]


def written(folder: Path, case: Case, batch: int, rate: str) -> Path:
    more = "" if case.layer_wise else "layer_wise_reduce: false"
    return write_training(folder, f"{case.name}_{batch}", case.kind, batch, case.shuffle, case.rule, more, rate)


def compare(folder: Path, cases: list[Case], iterations: int, tolerance: float, ranks: int = 2) -> None:
    for kind in {case.kind for case in cases}:
        write_source(folder, kind)
    rates = ["0.001" if case.rule == "Adam" else "0.01" for case in cases]
    paths = [written(folder, case, BATCH, rate) for case, rate in zip(cases, rates, strict=True)]
    run(ranks, [sys.executable, "-m", "rigs.train_together", "out.npz", iterations, *paths], folder, timeout=200)
    results = np.load(folder / "out.npz")
    for number, (case, rate) in enumerate(zip(cases, rates, strict=True)):
        solver = get_solver(str(written(folder, case, BATCH * ranks, rate)))
        begin = solver.flats[0].copy()
        solver.step(iterations)
        solver.close()
        theirs, ours = solver.flats[0], results[f"p{number}"]
        assert np.abs(theirs - begin).max() > 100 * 1e-5, f"{case}: learns too little to tell"
        assert not results[f"d{number}"], f"{case}: the ranks differ"
        assert np.abs(ours - theirs).max() <= tolerance, f"{case}: {np.abs(ours - theirs).max()}"


def test_two_ranks_are_one_process_with_twice_the_batch(tmp_path: Path) -> None:
    compare(tmp_path, FEW, 20, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("iterations", "tolerance"), [(20, 1e-5), (200, 1e-3)])
def test_for_each_source_rule_and_way_to_reduce(tmp_path: Path, iterations: int, tolerance: float) -> None:
    compare(tmp_path, EACH, iterations, tolerance)


@pytest.mark.slow
def test_three_ranks(tmp_path: Path) -> None:
    compare(tmp_path, [case for case in FEW if case.kind != "windows"], 20, 1e-5, ranks=3)
