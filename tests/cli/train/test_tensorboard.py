"""`train --tensorboard`: what TensorBoard's own reader finds in what a run has written."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite.solvers.registry import get_solver
from pycaffe_lite_cli.train import event_file
from pycaffe_lite_cli.train.event_file import EventFile
from rigs.cli_rig import NET, SOLVER, Command, values, write_run
from rigs.net_rig import layer

pytest.importorskip("tensorboardX")
accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

GROUPS = ("solver/loss", "solver/smoothed_loss", "solver/lr", "solver/gradient_norm", "solver/weight_norm")
NORMS = tuple(f"{group}/fc/{i}" for group in ("gradient_norm", "weight_norm") for i in (0, 1))


@pytest.fixture(autouse=True)
def folder(here: Path) -> Path:
    write_run(here)
    return here


def train(*more: str) -> Command:
    command = Command("train", "--solver=solver.prototxt", "--tensorboard=board", *more)
    assert (command.status, command.output) == (0, "")
    return command


def board(path: str = "board") -> Any:
    return accumulators.EventAccumulator(path, size_guidance=dict.fromkeys(("scalars", "tensors"), 0)).Reload()


def curve(found: Any, tag: str) -> dict[int, float]:
    """Steps and values; each step once."""
    events = found.Scalars(tag)
    assert [event.step for event in events] == sorted({event.step for event in events}), tag
    return {event.step: event.value for event in events}


def text(found: Any, tag: str) -> str:
    return found.Tensors(f"{tag}/text_summary")[-1].tensor_proto.string_val[0].decode()


def test_it_holds_what_the_log_shows() -> None:
    said = train("--set=average_loss=2").said
    found = board()
    tags = found.Tags()
    assert set(tags["scalars"]) == {*GROUPS, *NORMS, "train/loss", "test/loss", "test/accuracy"}
    assert tags["histograms"] == []
    for tag, start in (("train/loss", "    Train net output #0: loss"), ("test/loss", "    Test net output #1: loss")):
        assert list(curve(found, tag).values()) == pytest.approx(values(said, start), rel=1e-5)
    assert list(curve(found, "train/loss")) == [0, 2]
    assert list(curve(found, "test/accuracy")) == [0, 2, 4]
    assert curve(found, "solver/lr") == pytest.approx({0: 0.1, 2: 0.1})
    assert curve(found, "solver/loss")[2] < curve(found, "solver/smoothed_loss")[2] < curve(found, "solver/loss")[0]


def test_norms_are_those_of_the_gradients_and_of_the_weights_before_the_update() -> None:
    train("--set=iter_size=2", "--set=clip_gradients=0.01")
    found = board()
    solver = get_solver("solver.prototxt")
    weights = [blob.data.copy() for blob in solver.net.parameters.blobs]
    solver.net.forward_backward()
    gradients = [blob.diff.copy() for blob in solver.net.parameters.blobs]
    for group, arrays in (("gradient_norm", gradients), ("weight_norm", weights)):
        norms = [float(np.linalg.norm(array)) for array in arrays]
        assert [curve(found, f"{group}/fc/{i}")[0] for i in (0, 1)] == pytest.approx(norms, rel=1e-5)
        assert curve(found, f"solver/{group}")[0] == pytest.approx(np.hypot(*norms), rel=1e-5)
    solver.close()


def test_histograms() -> None:
    train("--tensorboard-histograms")
    found = board()
    assert sorted(found.Tags()["histograms"]) == ["weights/fc/0", "weights/fc/1"]
    histogram = found.Histograms("weights/fc/0")[0].histogram_value
    assert (histogram.num, sum(histogram.bucket)) == (9, 9)
    assert Command("train", "--solver=solver.prototxt", "--tensorboard-histograms").status == 2


def test_the_texts() -> None:
    train()
    found = board()
    assert text(found, "net").startswith('```\nname: "tiny"\nlayer {\n')
    assert 'type: "Accuracy"' not in text(found, "net")
    assert 'lr_policy: "fixed"' in text(found, "solver")
    assert "| fc | InnerProduct | 4x3 | 12 | 36 |" in text(found, "summary")


def test_outputs_of_several_numbers_and_several_test_nets() -> None:
    write_run(
        Path(),
        NET + layer("aside", "Split", ["x"], ["aside"]),
        SOLVER.replace("test_iter: 1", "test_iter: 1 test_iter: 1 test_compute_loss: true"),
    )
    train()
    tags = set(board().Tags()["scalars"])
    assert {f"{group}/aside[{i}]" for group in ("train", "test", "test1") for i in range(12)} < tags
    assert {"test/TestLoss", "test1/TestLoss", "test1/accuracy"} < tags


def test_a_resumed_run_joins_without_a_gap() -> None:
    """It was killed at 8, after a snapshot of 4; the steps of 4 to 8 are those of the second run."""
    train("--iterations=8", "--set=snapshot=4")
    assert list(curve(board(), "solver/loss")) == [0, 2, 4, 6]
    train("--iterations=12", "--snapshot=s_iter_4.solverstate", "--set=base_lr=0.05")
    found = board()
    assert len(list(Path("board").iterdir())) == 2
    assert curve(found, "solver/lr") == pytest.approx({0: 0.1, 2: 0.1, 4: 0.05, 6: 0.05, 8: 0.05, 10: 0.05})
    assert list(curve(found, "test/accuracy")) == [0, 2, 4, 6, 8, 10, 12]
    assert [event.step for event in found.Tensors("net/text_summary")] == [0, 4]


def test_a_run_from_the_beginning_replaces_what_is_shown() -> None:
    train("--iterations=8")
    train("--iterations=4")
    assert list(curve(board(), "solver/loss")) == [0, 2]


def test_weights_and_history_are_those_of_a_run_without_it() -> None:
    train("--tensorboard-histograms", "--set=snapshot_prefix=with")
    assert Command("train", "--solver=solver.prototxt").status == 0
    for kind in ("caffemodel", "solverstate"):
        ours, theirs = (Path(f"{name}_iter_4.{kind}").read_bytes() for name in ("with", "s"))
        assert ours.replace(b"with_iter", b"s_iter") == theirs or kind == "solverstate"
        assert len(ours) - len(theirs) in (0, 3)


def test_without_display_tests_alone_are_written() -> None:
    command = train("--set=display=0")
    (said,) = command.warned
    assert said == "--tensorboard: display is 0, so tests alone are written; --set display=100 shows iterations."
    assert set(board().Tags()["scalars"]) == {"test/loss", "test/accuracy"}


def test_folders_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("file").write_text("")
    for path in ("file", "file/below"):
        command = Command("train", "--solver=solver.prototxt", f"--tensorboard={path}")
        assert command.status == 1
        assert command.sentence().startswith(f"--tensorboard {path}: cannot make this folder: ")
    monkeypatch.setattr(os, "access", lambda *_: False)
    command = Command("train", "--solver=solver.prototxt", "--tensorboard=board")
    assert command.sentence() == "--tensorboard board: expected a folder to write into, got one without permission."
    monkeypatch.setitem(sys.modules, "tensorboardX.proto", None)
    command = Command("train", "--solver=solver.prototxt", "--tensorboard=board")
    assert command.sentence() == (
        "Files for TensorBoard need an extra package: pip install 'pycaffe-lite[tensorboard]'."
    )


def test_a_disk_that_is_full_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes no more than 6000 bytes a file: that is said once."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, hard))
    try:
        command = train("--set=display=1", "--iterations=30", "--set=snapshot_after_train=false")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    (path,) = Path("board").iterdir()
    assert command.warned == [f"Cannot write {path}: File too large. Training goes on."]
    assert path.stat().st_size < 6000
    assert list(curve(board(), "solver/loss"))[:2] == [0, 1]


def test_a_disk_that_comes_back(monkeypatch: pytest.MonkeyPatch, messages: list[str]) -> None:
    """The file is whole from its head on, also where the first write of all has failed half-way."""
    from tensorboardX.proto.summary_pb2 import Summary

    file = EventFile("board")
    file.purge(0)
    real = open

    def full(path: str, mode: str) -> Any:
        with real(path, mode) as begun:
            begun.write(b"half a record")
        raise OSError(28, "No space left on device")

    for step in range(6):
        with monkeypatch.context() as patch:
            if step in (0, 2, 3):
                patch.setattr(event_file, "open", full, raising=False)
            file.write(step, [Summary.Value(tag="a", simple_value=step)])
    assert curve(board(), "a") == {1: 1, 4: 4, 5: 5}
    assert messages == [f"WCannot write {file.path}: No space left on device. Training goes on."]


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,2400",
    "--virtual-time-budget=30000",
    "--timeout=60000",
]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_tensorboard_shows_the_curves(here: Path) -> None:
    train("--iterations=40", "--tensorboard-histograms")
    port = "16017"
    address = f"http://127.0.0.1:{port}/"
    server = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", "--logdir=board", f"--port={port}", "--host=127.0.0.1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        tags = b""
        while b"solver/loss" not in tags:
            assert time.monotonic() < deadline, "TensorBoard does not answer"
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"{address}data/plugin/timeseries/tags", timeout=5) as answer,
            ):
                tags = answer.read()
            time.sleep(0.5)
        browser = [str(CHROMIUM), *FLAGS, f"--user-data-dir={here / 'profile'}"]
        picture = here / "board.png"
        subprocess.run([*browser, f"--screenshot={picture}", f"{address}#timeseries"], check=True, timeout=120)
        page = subprocess.run(
            [*browser, "--dump-dom", f"{address}#timeseries"], check=True, capture_output=True, text=True, timeout=120
        ).stdout
    finally:
        server.terminate()
        server.wait()
    assert picture.stat().st_size > 10_000
    for name in ("smoothed_loss", "gradient_norm", "weight_norm", "lr"):
        assert name in page
    assert page.count("<line-chart") >= 7  # the cards of the two groups that are open at first
