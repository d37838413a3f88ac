"""A long run takes no more memory than a short one."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from random_run import new_solver, write_random_run

STATM = Path("/proc/self/statm")
pytestmark = pytest.mark.skipif(not STATM.exists(), reason="needs Linux")


def resident() -> int:
    """The memory of this process, in bytes."""
    gc.collect()
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("iterations", [2000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_memory_stays_flat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, iterations: int) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_random_run(tmp_path, 'type: "Adam" momentum: 0.9 snapshot: 200')
    path.write_text(path.read_text().replace("max_iter: 12", f"max_iter: {iterations + 500}"))
    solver = new_solver(path)
    solver.keep_last = 2
    solver.follow("loss")
    before = 0
    for report in solver.run():
        if report.iteration == 500 and not before:
            before = resident()
    solver.close()
    assert solver.iter == iterations + 500
    assert resident() - before < 5e6
