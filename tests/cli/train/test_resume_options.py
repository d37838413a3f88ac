"""`train --snapshot`, `--keep-last`, `--keep-best` and `--patience`."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.formats.caffemodel import read_weights
from pycaffe_lite.formats.solverstate import read_state
from rigs.cli_rig import Command, values
from rigs.random_run import NET, write_random_run

TRAIN = ("train", "--solver=solver.prototxt")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_random_run(tmp_path, "momentum: 0.9 snapshot: 5")
    return tmp_path


def files(pattern: str = "s_*") -> list[str]:
    return sorted(path.name for path in Path().glob(pattern))


def snapshot(*iterations: int) -> list[str]:
    return sorted(f"s_iter_{i}.{kind}" for i in iterations for kind in ("caffemodel", "resume", "solverstate"))


def final() -> bytes:
    return Path("s_iter_12.caffemodel").read_bytes() + Path("s_iter_12.solverstate").read_bytes()


# -- --snapshot --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["s_iter_5.solverstate", "s_iter_5.caffemodel", "s_iter_5.resume", "auto"])
def test_what_a_snapshot_may_be_named_by(given: str) -> None:
    Command(*TRAIN)
    whole = final()
    for name in files("s_iter_1*"):
        Path(name).unlink()
    command = Command(*TRAIN, f"--snapshot={given}")
    assert command.status == 0
    assert f"Resuming from {given if given != 'auto' else 's_iter_5.solverstate'}" in command.said
    assert "Iteration 4, lr = 0.005" not in command.said
    assert final() == whole


def test_weights_alone_are_no_snapshot() -> None:
    Command(*TRAIN)
    Path("s_iter_5.solverstate").unlink()
    command = Command(*TRAIN, "--snapshot=s_iter_5.caffemodel")
    assert command.status == 1
    assert command.sentence() == (
        "s_iter_5.caffemodel: expected the solver's state s_iter_5.solverstate beside it, got no such file; "
        "give the weights with --weights to start from them alone."
    )


def test_auto_without_a_snapshot_starts_from_the_beginning() -> None:
    command = Command(*TRAIN, "--snapshot=auto")
    assert command.status == 0
    assert "There is no snapshot of s yet; training starts from the beginning." in command.said
    assert "Iteration 0, lr = 0.01" in command.said


def test_auto_takes_weights_where_there_is_no_snapshot() -> None:
    Command(*TRAIN)
    Path("s_iter_5.caffemodel").rename("w.caffemodel")
    for name in files():
        Path(name).unlink()
    command = Command(*TRAIN, "--snapshot=auto", "--weights=w.caffemodel")
    assert "Finetuning from w.caffemodel" in command.said
    assert Command(*TRAIN, "--snapshot=s_iter_5.solverstate", "--weights=w.caffemodel").status == 2


def test_auto_passes_over_what_is_not_whole() -> None:
    Command(*TRAIN)
    whole = final()
    Path("s_iter_10.solverstate").unlink()  # killed before it was written
    damaged = bytearray(Path("s_iter_12.caffemodel").read_bytes())
    damaged[-200] ^= 1
    Path("s_iter_12.caffemodel").write_bytes(damaged)
    command = Command(*TRAIN, "--snapshot=auto")
    assert command.status == 0
    assert command.warned == [
        "s_iter_12.caffemodel is damaged, or not the weights that s_iter_12.solverstate was written with: its length "
        "or checksum is not what s_iter_12.resume says; remove that file to use it all the same. The snapshot before "
        "it is tried."
    ]
    assert "Resuming from s_iter_5.solverstate" in command.said
    assert final() == whole


def test_auto_does_not_start_anew_over_damaged_snapshots() -> None:
    Command(*TRAIN)
    for name in files("*.solverstate"):
        Path(name).write_bytes(b"")
    command = Command(*TRAIN, "--snapshot=auto")
    assert command.status == 1
    assert command.sentence() == (
        "None of the 3 snapshot(s) of s can be used, for the reasons given; give one with --snapshot FILE, or start "
        "from the beginning with another snapshot_prefix, which leaves them as they are."
    )
    assert len(files()) == 9


def test_auto_tells_of_states_whose_weights_are_gone() -> None:
    Command(*TRAIN)
    whole = final()
    Path("s_iter_12.caffemodel").unlink()
    command = Command(*TRAIN, "--snapshot=auto")
    assert command.warned == [
        "s_iter_12.solverstate is passed over: expected its weights beside it, of the same name, got no such file."
    ]
    assert "Resuming from s_iter_10.solverstate" in command.said
    assert final() == whole
    for name in files("*.caffemodel"):
        Path(name).unlink()
    command = Command(*TRAIN, "--snapshot=auto")
    assert command.status == 1
    assert command.sentence().startswith("None of the 3 snapshot(s) of s can be used")


def test_auto_goes_on_from_snapshots_that_were_moved(folder: Path) -> None:
    """The states name weights in a folder that is gone, or that another run has written to since."""
    (folder / "old").mkdir()
    Command(*TRAIN, "--set=snapshot_prefix=old/s", "--iterations=5")
    Command(*TRAIN)
    whole = final()
    Path("old").rename("new")
    for name in files():
        Path(name).unlink()
    (folder / "old").mkdir()
    Command(*TRAIN, "--set=snapshot_prefix=old/s", "--iterations=5", "--set=random_seed=9")
    for name in ("s_iter_5.caffemodel", "s_iter_5.solverstate", "s_iter_5.resume"):
        Path(f"new/{name}").rename(name)
    command = Command(*TRAIN, "--snapshot=auto")
    assert command.status == 0
    assert command.warned == []
    assert final() == whole


def test_auto_knows_its_own_prefix_alone(folder: Path) -> None:
    Command(*TRAIN)
    for name in files():
        Path(name).rename("t" + name)
    Path("s_iter_x.solverstate").touch()
    Path("xs_iter_5.solverstate").touch()
    assert (
        "There is no snapshot of s yet; training starts from the beginning." in Command(*TRAIN, "--snapshot=auto").said
    )


def test_auto_takes_the_newer_of_two_formats() -> None:
    Command(*TRAIN, "--iterations=6", "--set=snapshot_format=HDF5")
    Command(*TRAIN, "--iterations=4", "--set=snapshot=0")
    command = Command(*TRAIN, "--snapshot=auto")
    assert "Resuming from s_iter_6.solverstate.h5" in command.said
    assert command.status == 0


def test_auto_removes_what_a_killed_run_was_writing(folder: Path) -> None:
    kept = ["s_iter_5.caffemodel.1.tmp", "s_iter_5.tmp", "other_iter_5.caffemodel.999999999.tmp"]
    for name in (*kept, "s_iter_5.caffemodel.999999999.tmp", "s_best.caffemodel.h5.999999999.tmp"):
        Path(name).touch()
    Command(*TRAIN, "--snapshot=auto", "--iterations=0")
    assert files("*.tmp") == sorted(kept)  # process 1 is alive


def test_the_resume_file_of_the_other_format_is_not_used() -> None:
    Command(*TRAIN, "--iterations=5", "--set=snapshot_format=HDF5")
    Command(*TRAIN, "--iterations=5")
    command = Command(*TRAIN, "--snapshot=s_iter_5.solverstate.h5")
    assert command.status == 0
    assert command.warned == ["s_iter_5.resume is of the snapshot in the other format, so it is not used."]


# -- --keep-last -------------------------------------------------------------------------------------------


def test_the_last_snapshots_are_kept() -> None:
    Command(*TRAIN, "--set=snapshot=2", "--keep-last=2")
    assert files() == snapshot(10, 12)


def test_later_snapshots_of_an_earlier_run_stay() -> None:
    Command(*TRAIN)
    Command(*TRAIN, "--iterations=6", "--set=snapshot=2", "--keep-last=1")
    assert files() == snapshot(6, 10, 12)


def test_keep_last_counts_what_was_there_before_a_resume() -> None:
    Command(*TRAIN, "--set=snapshot=2", "--iterations=6")
    Command(*TRAIN, "--set=snapshot=2", "--snapshot=auto", "--keep-last=3")
    assert files() == snapshot(8, 10, 12)


def test_a_snapshot_that_fails_removes_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Command(*TRAIN, "--iterations=10")

    def failing(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", failing)
    command = Command(*TRAIN, "--snapshot=auto", "--keep-last=1")
    assert command.status == 0
    assert files() == snapshot(5, 10)
    assert command.warned == [
        "Cannot write s_iter_12.caffemodel: No space left on device. Training goes on without this snapshot."
    ]


# -- --keep-best and --patience ----------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "best"), [("loss", min), ("accuracy", max)])
def test_the_best_weights_are_kept(name: str, best: object) -> None:
    options = ("--set=snapshot=1", "--set=test_interval=1", "--set=base_lr=0.03")
    scores = values(
        Command(*TRAIN, *options, f"--keep-best={name}").said, f"    Test net output #{int(name == 'loss')}"
    )
    at = scores.index(best(scores))  # type: ignore[operator]
    assert 0 < at < 12
    assert Path("s_best.caffemodel").read_bytes() == Path(f"s_iter_{at}.caffemodel").read_bytes()


def test_the_log_tells_of_a_better_score() -> None:
    said = Command(*TRAIN, "--keep-best=loss").said
    (first, *_) = [line for line in said if line.startswith("Best so far")]
    assert re.fullmatch(r"Best so far: loss = [\d.]+ at iteration 0; weights saved to s_best.caffemodel", first)


@pytest.fixture
def steady(folder: Path) -> None:
    """With a rate of 0, no test is better than the first where it sees the same images."""
    write_random_run(folder, "momentum: 0.9 snapshot: 5", NET.replace("mirror: true", "mirror: false"))


@pytest.mark.usefixtures("steady")
def test_patience_ends_the_run() -> None:
    options = ("--set=base_lr=0", "--set=test_interval=1", "--set=test_iter=17", "--keep-best=accuracy")
    command = Command(*TRAIN, *options, "--patience=3", "--expect=accuracy>=0", "--expect=loss<0")
    assert command.status == 3  # the expectations are looked at
    assert read_state("s_iter_3.solverstate").iter == 3
    told = [line for line in command.said if line.startswith(("No better", "Optimization", "To go on"))]
    assert re.fullmatch(r"No better accuracy in 3 tests; the best is accuracy = [\d.]+ at iteration 0", told[0])
    assert told[1:] == [
        "Optimization stopped early.",
        "Optimization Done.",
        "To go on from the last snapshot: --snapshot s_iter_3.solverstate",
    ]


@pytest.mark.usefixtures("steady")
def test_patience_and_best_score_survive_a_resume() -> None:
    options = ("--set=base_lr=0", "--set=test_interval=2", "--set=test_iter=17", "--keep-best=loss", "--patience=3")
    Command(*TRAIN, *options, "--set=snapshot=3", "--iterations=3")
    Path("s_best.caffemodel").unlink()
    command = Command(*TRAIN, *options, "--snapshot=auto")
    assert command.status == 0
    assert read_state("s_iter_6.solverstate").iter == 6  # tests at 0 (best), 2, 4, 6
    assert not Path("s_best.caffemodel").exists()


@pytest.mark.usefixtures("steady")
def test_patience_resumes_where_it_ran_out() -> None:
    """The test at which it stopped is done again, and counts once."""
    options = ("--set=base_lr=0", "--set=test_interval=2", "--set=test_iter=17", "--keep-best=loss")
    Command(*TRAIN, *options, "--patience=3")
    command = Command(*TRAIN, *options, "--patience=4", "--snapshot=auto")
    assert read_state("s_iter_8.solverstate").iter == 8
    assert command.status == 0


def test_what_cannot_be_followed() -> None:
    command = Command(*TRAIN, "--keep-best=acuracy")
    assert (command.status, command.sentence()) == (
        1,
        '--keep-best: expected the name of a test output, got "acuracy"; the outputs are accuracy, loss.',
    )
    assert "Starting Optimization" not in command.said
    command = Command(*TRAIN, "--patience=2")
    assert (command.status, command.sentence()) == (
        2,
        "--patience needs to know of what: give --keep-best NAME, too.",
    )


def test_best_weights_that_cannot_be_written_do_not_end_the_training(folder: Path) -> None:
    (folder / "s_best.caffemodel").mkdir()
    command = Command(*TRAIN, "--keep-best=loss")
    assert command.status == 0
    assert re.fullmatch(
        r"Cannot write s_best.caffemodel: .* Training goes on without these weights.", command.warned[0]
    )


def test_best_weights_serve_as_weights() -> None:
    Command(*TRAIN, "--keep-best=loss", "--set=snapshot_format=HDF5")
    assert Command(*TRAIN, "--weights=s_best.caffemodel.h5", "--iterations=1").status == 0
    ours = next(saved.blobs[0] for saved in read_weights("s_iter_1.caffemodel") if saved.name == "fc")
    assert np.isfinite(ours).all()
    assert os.path.getsize("s_best.caffemodel.h5") > 0
