"""A long run takes no more memory than a short one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rigs.random_run import write_random_run

STATM = Path("/proc/self/statm")
pytestmark = pytest.mark.skipif(not STATM.exists(), reason="needs Linux")

# In a process of its own, whose memory nobody else uses.
GROWTH = """
import gc, os
from pycaffe_lite.solvers.registry import get_solver

def resident():
    gc.collect()
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

solver = get_solver("solver.prototxt")
solver.keep_last = 2
solver.follow("loss")
before = 0
for report in solver.run():
    if report.iteration == 500 and not before:
        before = resident()
solver.close()
print(solver.iter, resident() - before)
"""


@pytest.mark.parametrize("iterations", [2000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_memory_stays_flat(tmp_path: Path, iterations: int) -> None:
    path = write_random_run(tmp_path, 'type: "Adam" momentum: 0.9 snapshot: 200')
    path.write_text(path.read_text().replace("max_iter: 12", f"max_iter: {iterations + 500}"))
    command = [sys.executable, "-c", GROWTH]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    done, growth = map(int, result.stdout.split())
    assert done == iterations + 500
    assert growth < 5e6
