"""Starting several ranks, where MPI is installed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
TRAIN = [sys.executable, "-m", "pycaffe_lite_cli", "train"]
_BESIDE = os.path.dirname(sys.executable)
LAUNCHER = shutil.which("mpiexec", path=_BESIDE) or shutil.which("mpiexec") or ""

needs_mpi = pytest.mark.skipif(
    not LAUNCHER or importlib.util.find_spec("mpi4py") is None, reason="needs mpi4py and an mpiexec (extra mpi)"
)


def command(ranks: int, arguments: Sequence[str | Path]) -> list[str]:
    """The command that starts so many ranks; Open MPI's needs to hear that there are fewer cores."""
    return [LAUNCHER, "-n", str(ranks), *map(str, arguments)]


def environment() -> dict[str, str]:
    more = {"OMPI_MCA_rmaps_base_oversubscribe": "1", "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}
    path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, **more, "PYTHONPATH": path}


def start(ranks: int, arguments: Sequence[str | Path], folder: Path) -> subprocess.Popen[str]:
    """Starts ranks, in a process group of their own; their output on standard error is piped."""
    return subprocess.Popen(
        command(ranks, arguments), cwd=folder, env=environment(), text=True, stderr=subprocess.PIPE,
        stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def run(ranks: int, arguments: Sequence[str | Path], folder: Path, status: int = 0, timeout: float = 60) -> str:
    """Runs ranks to their end, which has to be that status; returns what they have put out on both streams."""
    process = start(ranks, arguments, folder)
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == status, (process.returncode, output[-2000:], errors[-4000:])
    return output + errors
