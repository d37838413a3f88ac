"""LeNet on MNIST with one to four ranks, in the iterations and at the rates that the linear scaling rule gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from rigs.mpi_rig import TESTS, TRAIN, needs_mpi, run

pytestmark = [needs_mpi, pytest.mark.slow]
SOLVER = TESTS.parent / "configs" / "lenet" / "lenet_solver.prototxt"
ITERATIONS = 2400
"""Of one rank: 2.56 epochs."""


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_lenet_learns_as_much(tmp_path: Path, ranks: int) -> None:
    settings = {
        "max_iter": ITERATIONS // ranks, "base_lr": 0.01 * ranks, "gamma": 0.0001 * ranks, "test_interval": 200,
        "snapshot": 0, "snapshot_after_train": "false", "snapshot_prefix": tmp_path / "lenet",
    }  # fmt: skip
    options = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    output = run(
        ranks, [*TRAIN, "--solver", SOLVER, *options, "--expect", "accuracy>=0.985"], SOLVER.parent, timeout=400
    )
    shown = [line.rpartition("= ")[2] for line in output.splitlines() if "Test net output #0: accuracy" in line]
    print(f"{ranks} ranks, {ITERATIONS // ranks} iterations: accuracy {shown[-1]}")
