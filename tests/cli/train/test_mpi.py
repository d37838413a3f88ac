"""mpiexec -n 2 pycaffe-lite train: one training, one log, one fate."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rigs.cli_rig import Command
from rigs.mpi_rig import TRAIN, environment, needs_mpi, run, start
from rigs.random_run import NET, write_random_run
from rigs.shared_sources import write_source, write_training

pytestmark = needs_mpi
TRAINING = [*TRAIN, "--solver", "solver.prototxt"]
LONG = {"max_iter: 12": "max_iter: 400", "display: 1": "display: 50", "test_interval: 3": "test_interval: 100"}


def lines(text: str, part: str) -> list[str]:
    return [line for line in text.splitlines() if part in line]


def final(folder: Path, iterations: int) -> dict[str, bytes]:
    """The files of the last snapshot."""
    return {path.name: path.read_bytes() for path in folder.glob(f"s_iter_{iterations}.*")}


def made(folder: Path, more: str = "", net: str = NET) -> Path:
    folder.mkdir(exist_ok=True)
    write_random_run(folder, more, net)
    return folder


def made_long(folder: Path) -> Path:
    solver = made(folder, 'snapshot: 20 type: "Adam" momentum: 0.9') / "solver.prototxt"
    text = solver.read_text()
    for short, long in LONG.items():
        text = text.replace(short, long)
    solver.write_text(text)
    return folder


def test_one_log_one_set_of_files_and_the_same_bits_again(tmp_path: Path) -> None:
    """Everything is left to chance: a shuffled order, crops, mirrors and dropout."""
    output, _ = (run(2, TRAINING, made(tmp_path / name, "snapshot: 5")) for name in ("a", "b"))
    assert len(lines(output, "Optimization Done.")) == 2  # the solver's, and the command's
    assert len(lines(output, "] Iteration 11, lr = ")) == 1
    assert len(lines(output, "2 ranks train one net together: 2 on ")) == 1
    snapshots = {path.name for path in (tmp_path / "a").glob("s_*")}
    assert snapshots == {f"s_iter_{i}.{ext}" for i in (5, 10, 12) for ext in ("caffemodel", "solverstate", "resume")}
    assert final(tmp_path / "a", 12) == final(tmp_path / "b", 12)
    (tmp_path / "log").write_text(output)
    command = Command("parse-log", str(tmp_path / "log"), str(tmp_path))
    assert command.status == 0
    train = next(path for path in tmp_path.iterdir() if path.name.endswith(".train")).read_text().splitlines()
    assert len(train) == 1 + 13  # the loss of iteration 12 is shown at the end


def test_one_rank_has_the_bits_of_no_mpi(tmp_path: Path) -> None:
    run(1, TRAINING, made(tmp_path / "one"))
    subprocess.run(TRAINING, cwd=made(tmp_path / "none"), env=environment(), check=True, capture_output=True)
    assert final(tmp_path / "one", 12) == final(tmp_path / "none", 12)


def test_no_mpi_trains_each_by_itself(tmp_path: Path) -> None:
    options = ["--no-mpi", "--set", "snapshot_after_train=false"]
    output = run(2, [*TRAINING, *options], made(tmp_path))
    assert len(lines(output, "] Iteration 11, lr = ")) == 2


def test_without_mpi4py_there_is_one_sentence_and_no_training(tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / "mpi4py.py").write_text("raise ModuleNotFoundError('No module named mpi4py')\n")
    output = run(2, ["env", f"PYTHONPATH={tmp_path}:{environment()['PYTHONPATH']}", *TRAINING], tmp_path, status=1)
    (sentence,) = lines(output, "pip install 'pycaffe-lite[mpi]'")
    assert sentence.startswith("Error: ")
    assert not lines(output, "Iteration")


def test_an_mpi_that_is_not_the_launchers(tmp_path: Path) -> None:
    alone = {**environment(), "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "2"}
    made(tmp_path)
    done = subprocess.run(TRAINING, cwd=tmp_path, env=alone, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "The launcher has started 4 ranks, mpi4py knows of 1 (by " in done.stderr


def test_a_number_that_is_not_finite_ends_all_with_one_message(tmp_path: Path) -> None:
    output = run(2, [*TRAINING, "--set", "base_lr=1e30"], made(tmp_path), status=4)
    (message,) = lines(output, "Error: ")
    assert "There is no snapshot to go on from." in message


def test_wrong_usage_and_wrong_solvers_are_told_once(tmp_path: Path) -> None:
    output = run(2, [*TRAINING, "--patience", "3"], made(tmp_path), status=2)
    assert len(lines(output, "--patience needs to know of what")) == 1
    output = run(2, [*TRAINING, "--set", "average_loss=0"], tmp_path, status=1)
    assert len(lines(output, "expected average_loss of 1 or more")) == 1


def test_a_rank_that_cannot_read_its_data_says_which_and_where(tmp_path: Path) -> None:
    write_source(tmp_path, "images")
    solver = write_training(tmp_path, "net", "images", 8, False, "SGD")
    (tmp_path / "77.png").write_bytes(b"no image")  # an odd one: rank 1 reads it, in the fifth batch
    begin = time.monotonic()
    output = run(2, [*TRAIN, "--solver", solver], tmp_path, status=1)
    assert time.monotonic() - begin < 30
    (message,) = lines(output, "Error: ")
    assert message.startswith("Error: Rank 1 of 2, on ")
    assert "77.png" in message


def test_expectations_and_patience_are_rank_0s(tmp_path: Path) -> None:
    output = run(2, [*TRAINING, "--expect", "accuracy>=2", "--set", "snapshot_after_train=0"], made(tmp_path), status=3)
    assert len(lines(output, "Expected accuracy >= 2 in the last test, got ")) == 1
    options = ["--keep-best", "accuracy", "--patience", "1", "--set", "base_lr=0", "--set", "max_iter=1000"]
    output = run(2, [*TRAINING, *options], tmp_path)
    assert len(lines(output, "Optimization stopped early.")) == 1
    assert len(list(tmp_path.glob("s_iter_*.caffemodel"))) == 1


def test_the_mean_loss_can_be_shown(tmp_path: Path) -> None:
    """Without a step, rank 0's loss is that of its half of the records; the mean is that of both halves."""
    write_source(tmp_path, "idx")
    more = "display: 1 max_iter: 3 snapshot_after_train: false"
    both = write_training(tmp_path, "both", "idx", 16, False, "SGD", more, "0")
    half = write_training(tmp_path, "half", "idx", 8, False, "SGD", more, "0")
    for path in (both, half):
        path.write_text(path.read_text().replace("max_iter: 20", ""))
    shown = [
        [line.rpartition("loss = ")[2] for line in lines(output, "] Iteration ") if "loss = " in line][:3]
        for output in (
            Command("train", "--solver", str(both)).log,
            run(2, [*TRAIN, "--solver", half, "--mpi-mean-loss"], tmp_path),
            run(2, [*TRAIN, "--solver", half], tmp_path),
        )
        for output in ["\n".join(output) if isinstance(output, list) else output]
    ]
    one, mean, first = [[float(text) for text in texts] for texts in shown]
    assert mean == pytest.approx(one, rel=1e-5)
    assert first != pytest.approx(one, rel=1e-5)


# -- killed, stopped, and going on -------------------------------------------------------------------------


def ranks_of(process: subprocess.Popen[str]) -> list[int]:
    """The processes that train, which are in the launcher's session or below it."""
    found, parents = [], {process.pid}
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    for _ in range(4):
        parents |= {int(pid) for pid, parent, _ in rows if int(parent) in parents}
    for pid, _, arguments in rows:
        if int(pid) in parents and "pycaffe_lite_cli" in arguments and arguments.startswith(sys.executable):
            found.append(int(pid))
    return sorted(found)


def hit(folder: Path, which: int, number: int, after: float) -> float:
    """Starts two ranks, sends one a signal after so many seconds of training; returns in how many all have ended."""
    process = start(2, [*TRAINING, "--snapshot", "auto"], folder)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "Learning Rate Policy" in line:
                break
        time.sleep(after)
        targets = ranks_of(process)
        begin = time.monotonic()
        if len(targets) == 2:
            with contextlib.suppress(ProcessLookupError):
                os.kill(targets[which], number)
        process.communicate(timeout=20)
        seconds = time.monotonic() - begin
        assert not [pid for pid in targets if os.path.exists(f"/proc/{pid}")]
        return seconds
    finally:
        process.kill()


def compare_hit(folder: Path, kills: int, seed: int, numbers: list[int]) -> None:
    run(2, TRAINING, made_long(folder / "straight"))
    dice, hits = random.Random(seed), made_long(folder / "hit")
    for i in range(kills):
        assert hit(hits, dice.randrange(2), numbers[i % len(numbers)], dice.uniform(0, 1.5)) < 10
    run(2, [*TRAINING, "--snapshot", "auto"], hits)
    assert len(final(hits, 400)) == 3
    assert final(hits, 400) == final(folder / "straight", 400)


@pytest.mark.skipif(not os.path.exists("/proc"), reason="looks for processes in /proc")
def test_killed_and_stopped_ranks_end_all_and_the_run_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    compare_hit(tmp_path, 4, 5, [signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT])


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc"), reason="looks for processes in /proc")
def test_killed_twenty_times(tmp_path: Path) -> None:
    compare_hit(tmp_path, 20, 6, [signal.SIGKILL])


def test_another_number_of_ranks_goes_on_and_says_so(tmp_path: Path) -> None:
    made(tmp_path, "snapshot: 6")
    run(2, TRAINING, tmp_path)
    for path in tmp_path.glob("s_iter_12.*"):
        path.unlink()
    for ranks in (3, 1):
        output = run(
            ranks, [*TRAINING, "--snapshot", "s_iter_6.solverstate", "--set", "snapshot_after_train=0"], tmp_path
        )
        assert len(lines(output, f"The snapshot is of 2 rank(s), and this run has {ranks}: ")) == 1
        assert len(lines(output, "] Iteration 11, lr = ")) == 1
