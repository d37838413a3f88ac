"""Runs that are killed at any moment, and go on with `--snapshot auto`, end with the bits of one that ran through."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rigs.random_run import SOLVER, write_random_run

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")

COMMAND = [sys.executable, "-m", "pycaffe_lite_cli", "train", "--solver=solver.prototxt", "--threads=1"]
OPTIONS = ["--snapshot=auto", "--keep-last=2", "--keep-best=loss"]


def write_long_run(folder: Path, iterations: int, more: str = "") -> None:
    folder.mkdir()
    path = write_random_run(folder, f"momentum: 0.9 snapshot: 2 {more}")
    path.write_text(SOLVER.replace("max_iter: 12", f"max_iter: {iterations}") + f"momentum: 0.9 snapshot: 2 {more}")


def final_files(folder: Path, iterations: int) -> dict[str, bytes]:
    """The last snapshot, and the best weights."""
    found = {path.name: path.read_bytes() for path in folder.glob(f"s_iter_{iterations}.*")}
    assert len(found) == 3
    return {**found, **{path.name: path.read_bytes() for path in folder.glob("s_best.*")}}


def kill_in_a_while(process: subprocess.Popen[str], folder: Path, dice: random.Random) -> bool:
    """Kills a run: after some time, or just while it is writing; returns whether it was still there."""
    assert process.stderr is not None
    for line in process.stderr:
        if ", lr = " in line:
            break
    while_writing = dice.random() < 0.5
    until = time.monotonic() + dice.uniform(0, 0.15)
    end = time.monotonic() + 5
    while process.poll() is None and time.monotonic() < end:
        if time.monotonic() > until and (not while_writing or any(folder.glob("*.tmp"))):
            break
    process.kill()
    process.stderr.close()
    return process.wait(60) == -signal.SIGKILL


def run_through(folder: Path) -> None:
    """Goes on to the end."""
    result = subprocess.run([*COMMAND, *OPTIONS], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr[-2000:]


def kill_often(folder: Path, kills: int, seed: int) -> None:
    """A run that is killed so many times before it may end."""
    dice = random.Random(seed)
    done = 0
    while done < kills:
        process = subprocess.Popen([*COMMAND, *OPTIONS], cwd=folder, stderr=subprocess.PIPE, text=True)
        killed = kill_in_a_while(process, folder, dice)
        done += 1
        if not killed:
            assert process.returncode == 0
            break
    run_through(folder)


def compare(folder: Path, iterations: int, kills: int, seed: int, more: str = "") -> None:
    for name in ("straight", "killed"):
        write_long_run(folder / name, iterations, more)
    run_through(folder / "straight")
    kill_often(folder / "killed", kills, seed)
    assert final_files(folder / "killed", iterations) == final_files(folder / "straight", iterations)
    assert not list((folder / "killed").glob("*.tmp"))


@pytest.mark.parametrize(("more", "seed"), [("", 1), ("snapshot_format: HDF5", 2)])
def test_a_run_that_is_killed_five_times(tmp_path: Path, more: str, seed: int) -> None:
    compare(tmp_path, 400, 5, seed, more)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_a_run_that_is_killed_twenty_times(tmp_path: Path, seed: int) -> None:
    compare(tmp_path, 1200, 20, 100 + seed, "snapshot_format: HDF5" if seed % 2 else "")


def test_killed_before_the_first_snapshot(tmp_path: Path) -> None:
    write_long_run(tmp_path / "run", 30)
    process = subprocess.Popen([*COMMAND, *OPTIONS], cwd=tmp_path / "run", stderr=subprocess.DEVNULL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.2)
    process.kill()
    process.wait(60)
    run_through(tmp_path / "run")
    assert len(final_files(tmp_path / "run", 30)) == 4
