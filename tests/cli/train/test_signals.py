"""Signals during training: in this process, and in a real run of the command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pycaffe_lite import log
from pycaffe_lite_cli.train.signals import handled_signals
from rigs.cli_rig import NET, SOLVER, write_run
from rigs.golden_logs import HEAD
from rigs.net_rig import layer, logged, messages

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs POSIX signals")


# -- the handlers ------------------------------------------------------------------------------------------


def handled(*names: str, sigint: str = "stop", sighup: str = "snapshot", before: str | None = None) -> str | None:
    """What a solver is asked for after these signals."""
    solver: Any = SimpleNamespace(requested=before)
    with handled_signals(solver, sigint, sighup):
        for name in names:
            os.kill(os.getpid(), getattr(signal, name))
    return solver.requested  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("names", "effects", "request_"),
    [
        ([], {}, None),
        (["SIGINT"], {}, "stop"),
        (["SIGINT"], {"sigint": "snapshot"}, "snapshot"),
        (["SIGINT", "SIGINT"], {"sigint": "snapshot"}, "snapshot"),
        (["SIGINT"], {"sigint": "none"}, None),
        (["SIGHUP"], {}, "snapshot"),
        (["SIGHUP"], {"sighup": "stop"}, "stop"),
        (["SIGHUP"], {"sighup": "none"}, None),
        (["SIGTERM"], {"sigint": "none", "sighup": "none"}, "stop"),
        (["SIGTERM", "SIGHUP"], {}, "stop"),
        (["SIGHUP", "SIGTERM"], {}, "stop"),
    ],
)
def test_what_a_signal_asks_for(names: list[str], effects: dict[str, str], request_: str | None) -> None:
    assert handled(*names, **effects) == request_


def test_a_second_interrupt_stops_at_once() -> None:
    with pytest.raises(KeyboardInterrupt):
        handled("SIGINT", "SIGINT")


def test_the_handlers_from_before_come_back() -> None:
    numbers = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    handled()
    with pytest.raises(KeyboardInterrupt):
        handled("SIGINT", "SIGINT")
    assert [signal.getsignal(number) for number in numbers] == before


def test_stopping_is_announced() -> None:
    lines = logged()
    handled("SIGTERM", "SIGHUP")
    assert messages(lines) == ["SIGTERM received: stopping after this iteration."]


def test_a_signal_in_the_midst_of_a_log_line_does_no_harm() -> None:
    """Writing into a stream that is just being written raises a RuntimeError in Python."""

    def busy(line: str) -> None:
        raise RuntimeError("reentrant call")

    log.set_level("I")
    log.set_sink(busy)
    assert handled("SIGTERM") == "stop"


# -- a real run --------------------------------------------------------------------------------------------


class Run:
    """A training process, and the messages of its log."""

    def __init__(self, folder: Path, *options: str) -> None:
        command = [sys.executable, "-m", "pycaffe_lite_cli", "train", "--solver=solver.prototxt", *options]
        self.process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
        self.said: list[str] = []
        self.deadline = threading.Timer(60, self.process.kill)  # a run that goes wrong must not hang the tests
        self.deadline.start()

    def wait_for(self, text: str) -> None:
        """Reads the log up to a line with this text."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(HEAD.sub("", line.rstrip("\n")))
            if text in line:
                return
        raise AssertionError(f"the run ended without {text!r}: {self.said[-5:]}")

    def signal(self, name: str) -> None:
        self.process.send_signal(getattr(signal, name))

    def finish(self) -> int:
        """The exit status, after the rest of the log."""
        assert self.process.stderr is not None
        self.said += [HEAD.sub("", line.rstrip("\n")) for line in self.process.stderr]
        return self.process.wait(60)


ENDLESS = SOLVER.replace("max_iter: 4", "max_iter: 2000000000").replace("display: 2", "display: 500")
ENDLESS = ENDLESS.replace("test_iter: 1\ntest_interval: 2\n", "")


@contextmanager
def endless(folder: Path, *options: str, solver: str = ENDLESS) -> Iterator[Run]:
    write_run(folder, solver=solver)
    run = Run(folder, *options)
    try:
        yield run
    finally:
        run.deadline.cancel()
        run.process.kill()
        run.process.wait()
        run.process.stderr.close()  # type: ignore[union-attr]


def snapshots(folder: Path) -> list[int]:
    """The iterations of the snapshots that are there, each with both files."""
    models = {int(path.stem.rpartition("_")[2]) for path in folder.glob("s_iter_*.caffemodel")}
    states = {int(path.stem.rpartition("_")[2]) for path in folder.glob("s_iter_*.solverstate")}
    assert models == states
    assert not list(folder.glob("*.tmp"))
    return sorted(models)


@pytest.mark.parametrize(
    ("name", "options"),
    [("SIGINT", []), ("SIGTERM", []), ("SIGHUP", ["--sighup_effect=stop"])],
)
def test_stopping_with_a_snapshot(tmp_path: Path, name: str, options: list[str]) -> None:
    with endless(tmp_path, *options) as run:
        run.wait_for("Iteration 500, lr")
        run.signal(name)
        assert run.finish() == 0
    (iteration,) = snapshots(tmp_path)
    assert iteration > 500
    assert run.said[-5:] == [
        f"Snapshotting to binary proto file s_iter_{iteration}.caffemodel",
        f"Snapshotting solver state to binary proto file s_iter_{iteration}.solverstate",
        "Optimization stopped early.",
        "Optimization Done.",
        f"To go on from the last snapshot: --snapshot s_iter_{iteration}.solverstate",
    ]


@pytest.mark.parametrize(("name", "options"), [("SIGHUP", []), ("SIGINT", ["--sigint_effect=snapshot"])])
def test_a_snapshot_and_going_on(tmp_path: Path, name: str, options: list[str]) -> None:
    with endless(tmp_path, *options) as run:
        run.wait_for("Iteration 0, lr")
        run.signal(name)
        run.wait_for("Snapshotting solver state")
        run.wait_for("lr = ")
        run.signal("SIGTERM")
        assert run.finish() == 0
    assert len(snapshots(tmp_path)) == 2


def test_a_signal_without_effect(tmp_path: Path) -> None:
    with endless(tmp_path, "--sigint_effect=none", "--sighup_effect=none") as run:
        run.wait_for("Iteration 0, lr")
        run.signal("SIGINT")
        run.signal("SIGHUP")
        run.wait_for("lr = ")
        run.wait_for("lr = ")
        assert run.process.poll() is None
        run.signal("SIGTERM")
        assert run.finish() == 0
    assert len(snapshots(tmp_path)) == 1


def test_stopping_while_testing(tmp_path: Path) -> None:
    solver = ENDLESS + "test_iter: 2000000000\ntest_interval: 5\n"
    with endless(tmp_path, solver=solver) as run:
        run.wait_for("Iteration 0, Testing net (#0)")
        run.signal("SIGINT")
        assert run.finish() == 0
    assert run.said[-6:] == [
        "Test interrupted.",
        "Snapshotting to binary proto file s_iter_0.caffemodel",
        "Snapshotting solver state to binary proto file s_iter_0.solverstate",
        "Optimization stopped early.",
        "Optimization Done.",
        "To go on from the last snapshot: --snapshot s_iter_0.solverstate",
    ]


SLEEPER = """import time
import caffe


class Sleeper(caffe.Layer):
    def reshape(self, bottom, top):
        top[0].reshape(1)

    def forward(self, bottom, top):
        print("asleep", file=__import__("sys").stderr, flush=True)
        time.sleep(60)
"""


def test_a_second_interrupt_says_what_was_saved(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    sleeper = layer("z", "Python", top=["z"], more='python_param { module: "sleeper" layer: "Sleeper" }')
    write_run(tmp_path, NET + sleeper, SOLVER.replace("test_iter: 1\ntest_interval: 2\n", ""))
    run = Run(tmp_path)
    try:
        run.wait_for("asleep")
        run.signal("SIGINT")
        run.wait_for("SIGINT received")
        run.signal("SIGINT")
        assert run.finish() == 130
    finally:
        run.deadline.cancel()
        run.process.kill()
        run.process.wait()
        run.process.stderr.close()  # type: ignore[union-attr]
    assert run.said[-1] == "Stopped at once. There is no snapshot to go on from."


def test_a_stopped_run_meets_no_expectations(tmp_path: Path) -> None:
    solver = ENDLESS + "test_iter: 1\ntest_interval: 2000000000\ntest_initialization: false\n"
    with endless(tmp_path, "--expect=loss<0", solver=solver) as run:
        run.wait_for("Iteration 0, lr")
        run.signal("SIGTERM")
        assert run.finish() == 0
    assert not any("Expected" in line for line in run.said)


def test_an_interrupt_before_the_training_ends_quietly(tmp_path: Path) -> None:
    """Nothing has been learned yet, so there is nothing to save; and no traceback."""
    write_run(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    # As from a terminal: what a shell starts in the background ignores interrupts, and so would what that starts.
    program = (
        "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "runpy.run_module('pycaffe_lite_cli', run_name='__main__', alter_sys=True)"
    )
    command = [sys.executable, "-c", program, "train", "--solver=fifo"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        writer = os.open(tmp_path / "fifo", os.O_WRONLY)  # returns once the command has opened it
        try:
            time.sleep(0.3)  # so that it is waiting for the first byte
            process.send_signal(signal.SIGINT)
            _, text = process.communicate(timeout=30)
        finally:
            os.close(writer)
            process.kill()
    assert (process.returncode, text) == (130, "")
