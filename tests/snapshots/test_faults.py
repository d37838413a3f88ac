"""Snapshots that cannot be written: training goes on, the one before still loads, the next one is tried."""

from __future__ import annotations

import builtins
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pycaffe_lite import writing as files
from rigs.net_rig import logged, messages
from rigs.random_run import new_solver, run, same_bits, write_random_run

ERRORS = [errno.ENOSPC, errno.EIO, errno.EROFS]


class Faulty:
    """Makes one of the system calls with which files are written fail.

    Args:
        at: the number of the call, from 0; -1: none, they are counted alone.
        code: the errno.

    Attributes:
        count: the calls so far.
        hit: what has failed.
    """

    def __init__(self, at: int, code: int) -> None:
        self.at, self.code, self.count, self.hit = at, code, 0, ""

    def __call__(self, what: str) -> None:
        self.count += 1
        if self.count - 1 == self.at:
            self.hit = what
            raise OSError(self.code, os.strerror(self.code))

    def install(self, patch: pytest.MonkeyPatch) -> None:
        def wrap(name: str) -> None:
            function: Callable[..., Any] = getattr(os, name)

            def wrapped(*args: Any, **options: Any) -> Any:
                self(name)
                return function(*args, **options)

            patch.setattr(files.os, name, wrapped)

        for name in ("fsync", "replace"):
            wrap(name)
        patch.setattr(files, "open", self._open, raising=False)

    def _open(self, path: str, mode: str) -> Any:
        self("open")
        file = builtins.open(path, mode)  # noqa: SIM115 (Slow closes it)
        write = file.write
        outer = self

        class Slow:
            """A file that may take a part of what it is given."""

            def __enter__(self) -> Slow:
                return self

            def __exit__(self, *problem: object) -> None:
                file.close()

            def write(self, data: bytes) -> None:
                try:
                    outer("write")
                except OSError:
                    write(data[: len(data) // 2])
                    raise
                write(data)

            def flush(self) -> None:
                file.flush()

            def fileno(self) -> int:
                return file.fileno()

        return Slow()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(params=["", "snapshot_format: HDF5"], ids=["binary", "hdf5"])
def path(request: pytest.FixtureRequest, folder: Path) -> Path:
    return write_random_run(folder, f"momentum: 0.9 snapshot: 4 {request.param}")


def state(iteration: int) -> str:
    (name,) = Path().glob(f"s_iter_{iteration}.solverstate*")
    return str(name)


def calls(path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many calls a snapshot takes."""
    solver = new_solver(path)
    faulty = Faulty(-1, 0)
    with monkeypatch.context() as patch:
        faulty.install(patch)
        solver.snapshot()
    solver.close()
    return faulty.count


def broken_run(path: Path, faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A run whose second snapshot, that of iteration 8, meets a fault; its error lines."""
    solver = new_solver(path)
    lines = logged()
    with monkeypatch.context() as patch:
        for report in solver.run():
            if report.iteration == 4:
                faulty.install(patch)
            if report.iteration == 8:
                patch.undo()
    solver.close()
    assert solver.iter == 12
    return iter(messages([line for line in lines if line.startswith("E")]))


def test_every_fault_in_every_call(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reports, straight = run(path)
    count = calls(path, monkeypatch)
    assert count >= 12  # three files, each opened, written, synced and renamed
    hit = set()
    for at in range(count):
        for name in Path().glob("s_iter_*"):
            name.unlink()
        faulty = Faulty(at, ERRORS[at % len(ERRORS)])
        errors = list(broken_run(path, faulty, monkeypatch))
        hit.add(faulty.hit)
        assert not list(Path().glob("*.tmp"))
        assert state(12)  # the next one has been written
        if errors:
            (error,) = errors
            assert error.startswith("Cannot write s_iter_8."), error
            assert error.endswith(f"{os.strerror(faulty.code)}. Training goes on without this snapshot.")
            assert not list(Path().glob("s_iter_8.solverstate*"))
        for iteration in (4, 12) if errors else (4, 8, 12):
            solver = new_solver(path)
            solver.restore(state(iteration))
            assert solver.iter == iteration
            solver.close()
    assert hit == {"open", "write", "fsync", "replace"}
    resumed, solver = run(path, state(4))
    assert resumed == [report for report in reports if report.iteration >= 4]
    same_bits(solver, straight)


@pytest.mark.parametrize("code", ERRORS)
def test_each_kind_of_error_is_told(path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    (error,) = broken_run(path, Faulty(1, code), monkeypatch)
    assert os.strerror(code) in error


def test_a_folder_that_has_gone(folder: Path) -> None:
    (folder / "out").mkdir()
    path = write_random_run(folder, "momentum: 0.9 snapshot: 4")
    path.write_text(path.read_text().replace('"s"', '"out/s"'))
    solver = new_solver(path)
    lines = logged()
    for report in solver.run():
        if report.iteration == 5:
            shutil.rmtree("out")
        if report.iteration == 9:
            (folder / "out").mkdir(exist_ok=True)
    solver.close()
    errors = messages([line for line in lines if line.startswith("E")])
    assert errors == [
        "Cannot write out/s_iter_8.caffemodel: No such file or directory. Training goes on without this snapshot."
    ]
    assert sorted(name.name for name in Path("out").iterdir()) == [
        "s_iter_12.caffemodel",
        "s_iter_12.resume",
        "s_iter_12.solverstate",
    ]


def test_a_snapshot_that_does_not_fit_into_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hungry(*args: object) -> bytes:
        raise MemoryError

    solver = new_solver(path)
    lines = logged()
    with monkeypatch.context() as patch:
        patch.setattr("pycaffe_lite.formats.resume.encode", hungry)
        solver.snapshot()
    solver.close()
    (error,) = messages([line for line in lines if line.startswith("E")])
    assert "not enough memory. Training goes on" in error
    assert not list(Path().glob("s_iter_*"))


def test_a_disk_that_is_really_full(folder: Path) -> None:
    """/dev/full takes no byte; a link to it stands in the place of the temporary file."""
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    path = write_random_run(folder, "momentum: 0.9 snapshot: 4")
    temporary = Path(f"s_iter_8.caffemodel.{os.getpid()}.tmp")
    temporary.symlink_to("/dev/full")
    lines = logged()
    _, solver = run(path)
    (error,) = messages([line for line in lines if line.startswith("E")])
    assert error.startswith("Cannot write s_iter_8.caffemodel: No space left on device.")
    assert solver.iter == 12
    assert state(4)
    assert state(12)
