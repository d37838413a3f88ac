"""Scripts that make solvers by themselves, under mpiexec."""

from __future__ import annotations

import sys
from pathlib import Path

from rigs.mpi_rig import needs_mpi, run
from rigs.shared_sources import write_source, write_training

pytestmark = needs_mpi

STEPS = """
import sys
import numpy as np
import pycaffe_lite as caffe
solver = caffe.SGDSolver("net_solver.prototxt")
begin = solver.net.params["fc1"][0].data.copy()
solver.step(3)
solver.snapshot()
data = solver.net.blobs["label"].data.copy()
weights = solver.net.params["fc1"][0].data
np.savez(f"rank{caffe.solver_rank()}.npz", weights=weights, begin=begin, label=data)
print("rank", caffe.solver_rank(), "of", caffe.solver_count())
"""
FAILS = """
import pycaffe_lite as caffe
solver = caffe.SGDSolver("net_solver.prototxt")
solver.step(1)
if caffe.solver_rank() == 1:
    raise ValueError("of rank 1 alone")
solver.step(100000)
"""
ALONE = """
import pycaffe_lite as caffe
caffe.set_solver_count(1)
solver = caffe.SGDSolver("net_solver.prototxt")
solver.step(2)
print("alone", solver.inner.ranks.size)
"""


def test_step_by_hand(tmp_path: Path) -> None:
    import numpy as np

    write_source(tmp_path, "idx")
    write_training(tmp_path, "net", "idx", 8, False, "SGD")
    output = run(2, [sys.executable, "-c", STEPS], tmp_path)
    assert "rank 0 of 2\n" in output
    assert "rank 1 of 2\n" in output
    first, second = (np.load(tmp_path / f"rank{rank}.npz") for rank in (0, 1))
    np.testing.assert_array_equal(first["weights"], second["weights"])
    np.testing.assert_array_equal(first["begin"], second["begin"])
    assert (first["weights"] != first["begin"]).any()
    assert (first["label"] != second["label"]).any()
    assert len(list(tmp_path.glob("net_iter_3.*"))) == 3


def test_an_error_of_one_ends_all(tmp_path: Path) -> None:
    write_source(tmp_path, "idx")
    write_training(tmp_path, "net", "idx", 8, False, "SGD")
    output = run(2, [sys.executable, "-c", FAILS], tmp_path, status=1)
    assert output.count("ValueError: of rank 1 alone") == 1
    assert "Rank 1 of 2, on " in output


def test_each_by_itself(tmp_path: Path) -> None:
    write_source(tmp_path, "idx")
    write_training(tmp_path, "net", "idx", 8, False, "SGD")
    assert run(2, [sys.executable, "-c", ALONE], tmp_path).count("alone 1\n") == 2
