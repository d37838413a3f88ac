"""Who has started us, as the environment tells it, and one process by itself."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite import ranks
from pycaffe_lite.parallel import available_cpus

SLURM = {"SLURM_NTASKS": "4", "SLURM_PROCID": "3"}


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, None),
        ({"PATH": "/bin", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, None),  # a batch script's first step, without srun
        ({"PMI_SIZE": "2", "PMI_RANK": "1", "PMI_FD": "9"}, (1, 2)),
        ({"OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_RANK": "5", "PMIX_RANK": "5"}, (5, 8)),
        ({"PMIX_RANK": "2"}, (2, 0)),
        ({**SLURM, "PMI_RANK": "3"}, (3, 4)),
        ({**SLURM, "PMIX_RANK": "3"}, (3, 4)),
        ({"PMI_SIZE": "many"}, None),
    ],
)
def test_launchers(environment: dict[str, str], told: tuple[int, int] | None) -> None:
    assert ranks.announced(environment) == told


def test_one_by_itself() -> None:
    alone, array = ranks.ALONE, np.arange(3.0)
    alone.start_sum(array)
    alone.look()
    alone.wait()
    alone.broadcast(array)
    np.testing.assert_array_equal(array, [0, 1, 2])
    assert alone.largest(1, 2) == [1, 2]
    assert (alone.told("x"), alone.gather("x"), alone.scatter(["x"])) == ("x", ["x"], "x")
    assert (alone.is_root, alone.share, alone.fair_threads()) == (True, ranks.ALL, available_cpus())


def test_without_a_launcher_mpi_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mpi4py", None)
    assert ranks.join() is ranks.ALONE
    assert ranks.join(False) is ranks.ALONE
    with pytest.raises(ranks.MissingExtra, match=r"pip install 'pycaffe-lite\[mpi\]'"):
        ranks.join(True)
