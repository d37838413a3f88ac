"""Runs whose log goes nowhere: they train on, take their snapshots and end with status 0."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rigs.cli_rig import NET, SOLVER, write_run
from rigs.net_rig import layer

fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs POSIX signals and shells")

TRAIN = [sys.executable, "-m", "pycaffe_lite_cli", "train", "--solver=solver.prototxt"]
SHORT = SOLVER.replace("display: 2", "display: 1").replace("max_iter: 4", "max_iter: 400\nsnapshot: 200")
ENDLESS = SOLVER.replace("max_iter: 4", "max_iter: 2000000000").replace("display: 2", "display: 100")
ENDLESS = ENDLESS.replace("test_iter: 1\ntest_interval: 2\n", "")

# It says something in all the ways that Python has.
CHATTERBOX = """import sys
import warnings

import caffe


class Chatterbox(caffe.Layer):
    def reshape(self, bottom, top):
        top[0].reshape(1)

    def forward(self, bottom, top):
        print("on standard output")
        print("on standard error", file=sys.stderr, flush=True)
        warnings.warn(f"a warning {id(top)}")
        sys.stdout.flush()
"""


def snapshots(folder: Path) -> list[int]:
    """The iterations of the snapshots that are there, each with both files."""
    models = {int(path.stem.rpartition("_")[2]) for path in folder.glob("s_iter_*.caffemodel")}
    states = {int(path.stem.rpartition("_")[2]) for path in folder.glob("s_iter_*.solverstate")}
    assert models == states
    return sorted(models)


def in_shell(folder: Path, where: str, command: str = " ".join(TRAIN)) -> tuple[int, str]:
    """The status and standard output of a command whose streams a shell sends elsewhere."""
    script = f"( {command}; echo $? >status ) {where}"
    done = subprocess.run(["sh", "-c", script], cwd=folder, check=True, stdout=subprocess.PIPE, text=True, timeout=120)
    return int((folder / "status").read_text()), done.stdout


def needs_dev_full(where: str) -> None:
    if "/dev/full" in where and not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("2>&-", "could not be written to standard error: It is closed.\n"),
        ("2>/dev/full", "could not be written to standard error: No space left on device.\n"),
        (">&- 2>&-", ""),
        (">/dev/full 2>&1", ""),
        ("<&- >&- 2>&-", ""),
        ("2>&1 | head -1", "Use CPU.\n"),
        ("2>&1 >/dev/null | true", ""),
    ],
)
@pytest.mark.parametrize("chatty", [False, True])
def test_a_training_ends_as_it_should(tmp_path: Path, where: str, said: str, chatty: bool) -> None:
    needs_dev_full(where)
    (tmp_path / "chatterbox.py").write_text(CHATTERBOX)
    chatterbox = layer("z", "Python", top=["z"], more='python_param { module: "chatterbox" layer: "Chatterbox" }')
    write_run(tmp_path, NET + chatterbox * chatty, SHORT)
    status, output = in_shell(tmp_path, where)
    assert status == 0
    assert snapshots(tmp_path) == [200, 400]
    assert output.endswith(said)
    assert len(output.replace("on standard output\n", "").splitlines()) == (1 if said else 0)


def test_databases_get_nothing_that_was_for_a_closed_stream(tmp_path: Path) -> None:
    """What is opened first after a stream has been closed gets its number."""
    wordy_text = CHATTERBOX.replace("Chatterbox", "Wordy").replace("import sys", "import os\nimport sys")
    (tmp_path / "wordy.py").write_text(wordy_text + '        os.write(2, b"from a library")\n')
    wordy = layer("z", "Python", top=["z"], more='python_param { module: "wordy" layer: "Wordy" }')
    write_run(tmp_path, NET + wordy, SHORT)
    assert in_shell(tmp_path, "<&- >&- 2>&-")[0] == 0
    assert snapshots(tmp_path) == [200, 400]
    assert not [path for path in tmp_path.iterdir() if path.is_file() and b"from a library" in path.read_bytes()[:100]]


@pytest.mark.parametrize(
    ("more", "expected"), [("--expect=loss'<'0", 3), ("--set=base_lr=3e38", 4), ("--set=base_lr=oh", 1), ("--oh", 2)]
)
@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full", "2>&1 | true"])
def test_statuses_stay_what_they_are(tmp_path: Path, more: str, expected: int, where: str) -> None:
    needs_dev_full(where)
    write_run(tmp_path)
    if "| true" in where and expected < 3:
        expected = 1  # a sentence that nobody reads
    assert in_shell(tmp_path, where, f"{' '.join(TRAIN)} {more}")[0] == expected


# -- with signals -------------------------------------------------------------------------------------------


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"no {what} after a minute"
        time.sleep(0.02)


@contextmanager
def running(*processes: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_an_interrupt_that_ends_tee_first(tmp_path: Path) -> None:
    """Ctrl-C goes to the whole group: the pipe's reader is gone before the run says that it stops."""
    write_run(tmp_path, solver=ENDLESS)
    train = subprocess.Popen(TRAIN, cwd=tmp_path, stderr=subprocess.PIPE, preexec_fn=os.setpgrp)  # noqa: PLW1509

    def join() -> None:
        os.setpgid(0, train.pid)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # which a shell's background jobs ignore

    streams = {"stdin": train.stderr, "stdout": subprocess.DEVNULL}
    tee = subprocess.Popen(["tee", "log"], cwd=tmp_path, **streams, preexec_fn=join)  # type: ignore[call-overload]  # noqa: PLW1509
    assert train.stderr is not None
    train.stderr.close()
    with running(train, tee):
        log = tmp_path / "log"
        wait_until(lambda: log.exists() and "Iteration 500, lr" in log.read_text(), "iteration 500")
        os.killpg(train.pid, signal.SIGINT)
        assert tee.wait(30) == -signal.SIGINT
        assert train.wait(60) == 0
    (iteration,) = snapshots(tmp_path)
    assert iteration > 500


def test_a_terminal_that_is_closed(tmp_path: Path) -> None:
    """A hang-up takes SIGHUP's snapshot, writing gives EIO, and the run goes on."""
    write_run(tmp_path, solver=ENDLESS)
    terminal, line = os.openpty()

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(line, termios.TIOCSCTTY, 0)

    streams = {"stdin": line, "stdout": line, "stderr": line}
    train = subprocess.Popen(TRAIN, cwd=tmp_path, **streams, preexec_fn=take_terminal)  # noqa: PLW1509
    os.close(line)
    with running(train):
        seen = b""
        while b"Iteration 500, lr" not in seen:
            seen += os.read(terminal, 65536)
        os.close(terminal)
        wait_until(lambda: len(snapshots_whole(tmp_path)) == 1, "snapshot")
        time.sleep(0.5)
        assert train.poll() is None
        train.send_signal(signal.SIGTERM)
        assert train.wait(60) == 0
    assert b" iter/s" in seen or b"it/s" in seen
    first, last = snapshots(tmp_path)
    assert 500 < first < last


def test_a_hang_up_before_the_training_takes_its_snapshot_then(tmp_path: Path) -> None:
    """A net may take long to build."""
    write_run(tmp_path, solver=ENDLESS)
    text = (tmp_path / "net.prototxt").read_bytes()
    (tmp_path / "net.prototxt").unlink()
    os.mkfifo(tmp_path / "net.prototxt")
    train = subprocess.Popen(TRAIN, cwd=tmp_path, stderr=subprocess.DEVNULL)
    with running(train):
        with open(tmp_path / "net.prototxt", "wb") as net:  # returns once the command has opened it
            time.sleep(0.3)  # so that it is waiting for the first byte
            train.send_signal(signal.SIGHUP)
            net.write(text)
        wait_until(lambda: len(snapshots_whole(tmp_path)) == 1, "snapshot")
        train.send_signal(signal.SIGTERM)
        assert train.wait(60) == 0


def snapshots_whole(folder: Path) -> list[Path]:
    """The states, which come last."""
    return list(folder.glob("s_iter_*.solverstate"))


# -- other commands -----------------------------------------------------------------------------------------

REPORT = f"{sys.executable} -m pycaffe_lite_cli time --model net.prototxt --iterations 100"


def test_a_report_ends_quietly_when_its_reader_goes(tmp_path: Path) -> None:
    write_run(tmp_path)
    status, output = in_shell(tmp_path, "2>&1 | head -1", REPORT.replace("100", "100000000"))
    assert status == 1
    assert output.endswith("] Use CPU.\n")


@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full", ">&- 2>&-"])
def test_a_report_that_nobody_can_read_is_no_failure(tmp_path: Path, where: str) -> None:
    needs_dev_full(where)
    write_run(tmp_path)
    assert in_shell(tmp_path, where, REPORT) == (0, "")
