"""Damaged snapshots: each either loads right or is refused in one sentence, and nothing has been changed."""

from __future__ import annotations

import random
import shutil
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.solvers.sgd import SGDSolver
from rigs.golden_solvers import FOLDER
from rigs.random_run import new_solver, write_random_run

FLIPS = 100
MANY = pytest.param(2000, marks=pytest.mark.slow)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Snapshot:
    """A snapshot whose files are damaged one at a time, and a solver to load it.

    Args:
        own: whether it is one of ours, whose .resume holds checksums; else a pair as Caffe writes it.
        extension: of its files.
    """

    def __init__(self, folder: Path, own: bool, extension: str) -> None:
        self.own = own
        path = write_random_run(folder, "momentum: 0.9" + (" snapshot_format: HDF5" if extension else ""))
        self.solver = new_solver(path)
        self.solver.step(3)
        self.solver.snapshot()
        self.state = f"s_iter_3.solverstate{extension}"
        self.files = [self.state, f"s_iter_3.caffemodel{extension}"] + ["s_iter_3.resume"] * own
        if not own:
            Path("s_iter_3.resume").unlink()
        self.right = values(self.solver)
        self.solver.step(2)
        self.wrong = values(self.solver)

    def loads(self) -> bool:
        """Whether it loads; if it does not, that is told in one sentence, and the solver is as it was."""
        for blob, old in zip(self.solver.parameters.blobs + self.solver.history, self.wrong, strict=True):
            blob.data[...] = old
        self.solver.iter = 5
        begin = time.monotonic()
        try:
            self.solver.restore(self.state)
        except CaffeError as problem:
            text = str(problem)
            assert len(text) < 600, text
            assert "\n" not in text, text
            assert text.endswith((".", "?")), text
            assert same(values(self.solver), self.wrong)
            return False
        finally:
            assert time.monotonic() - begin < 10
        return True

    def is_right(self) -> bool:
        return self.solver.iter == 3 and same(values(self.solver), self.right)


def values(solver: SGDSolver) -> list[np.ndarray]:
    return [blob.data.copy() for blob in solver.parameters.blobs + solver.history]


def same(ours: list[np.ndarray], theirs: list[np.ndarray]) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))


KINDS = [(True, ""), (True, ".h5"), (False, ""), (False, ".h5")]


@pytest.fixture(params=KINDS, ids=["ours", "ours-h5", "pair", "pair-h5"])
def snapshot(request: pytest.FixtureRequest, folder: Path) -> Iterator[Snapshot]:
    own, extension = request.param
    made = Snapshot(folder, own, extension)
    yield made
    made.solver.close()


def memory() -> int:
    """The most memory this process has had, in bytes."""
    resource = pytest.importorskip("resource")
    used: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


def test_undamaged(snapshot: Snapshot) -> None:
    assert snapshot.loads()
    assert snapshot.is_right()


def test_cut_off_anywhere(snapshot: Snapshot) -> None:
    for name in snapshot.files:
        whole = Path(name).read_bytes()
        for part in range(50):
            Path(name).write_bytes(whole[: len(whole) * part // 50])
            assert not snapshot.loads(), (name, part)
        Path(name).write_bytes(whole)
    assert snapshot.loads()
    assert snapshot.is_right()


@pytest.mark.parametrize("times", [FLIPS, MANY])
def test_bytes_changed_anywhere(snapshot: Snapshot, times: int) -> None:
    """A pair without checksums may load with other numbers in it; where there are checksums, nothing passes."""
    dice = random.Random(5)
    before = memory()
    for name in snapshot.files:
        whole = Path(name).read_bytes()
        for i in range(times):
            damaged = bytearray(whole)
            for _ in range(dice.choice((1, 1, 1, 2, 8))):
                damaged[dice.randrange(len(whole))] ^= dice.randrange(1, 256)
            Path(name).write_bytes(damaged)
            loaded = snapshot.loads()
            assert not (snapshot.own and loaded), (name, i)
        Path(name).write_bytes(whole)
    assert snapshot.loads()
    assert memory() - before < 300e6


def test_damage_costs_no_memory(snapshot: Snapshot) -> None:
    """Python's and numpy's own memory; h5py's own, which is not counted here, is within `memory` above."""
    dice = random.Random(7)
    for name in snapshot.files:
        whole = Path(name).read_bytes()
        for i in range(40):
            damaged = bytearray(whole[: len(whole) * dice.choice((10, 10, 10, 9, 5, 1)) // 10])
            damaged[dice.randrange(len(damaged))] ^= dice.randrange(1, 256)
            Path(name).write_bytes(damaged)
            tracemalloc.start()
            try:
                snapshot.loads()
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            assert peak < 10 * len(whole) + 1e6, (name, i)
        Path(name).write_bytes(whole)


def test_longer_files(snapshot: Snapshot) -> None:
    for name in snapshot.files:
        whole = Path(name).read_bytes()
        for more in (b"\x00", b"PK\x05\x06" + bytes(18), whole):
            Path(name).write_bytes(whole + more)
            loaded = snapshot.loads()
            assert not (snapshot.own and loaded), (name, more[:4])
        Path(name).write_bytes(whole)


def test_files_that_are_swapped(snapshot: Snapshot) -> None:
    for one in snapshot.files:
        for other in snapshot.files:
            if one != other:
                whole = Path(one).read_bytes()
                shutil.copyfile(other, one)
                assert not snapshot.loads(), (one, other)
                Path(one).write_bytes(whole)


def test_weights_of_another_moment_are_noticed(folder: Path) -> None:
    snapshot = Snapshot(folder, True, "")
    solver = snapshot.solver
    solver.net.save("s_iter_3.caffemodel")
    assert not snapshot.loads()
    Path("s_iter_3.resume").unlink()
    assert snapshot.loads()
    solver.close()


def test_caffes_own_files_with_changed_bytes(folder: Path) -> None:
    """The same for the HDF5 files that Caffe's own library wrote."""
    from pycaffe_lite.formats import hdf5 as hdf5_files

    dice = random.Random(6)
    for kind, read in (("caffemodel", hdf5_files.read_weights), ("solverstate", hdf5_files.read_state)):
        whole = (FOLDER / "resume" / f"adam_all_iter_10.{kind}.h5").read_bytes()
        read_well = 0
        for _ in range(FLIPS):
            damaged = bytearray(whole)
            damaged[dice.randrange(len(whole))] ^= dice.randrange(1, 256)
            Path("x.h5").write_bytes(damaged)
            try:
                read("x.h5")
                read_well += 1
            except CaffeError as problem:
                assert "\n" not in str(problem)
        assert 0 < read_well < FLIPS
