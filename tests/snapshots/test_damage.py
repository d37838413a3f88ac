"""Damaged snapshots: each either loads right or is refused in one sentence, and nothing has been changed."""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.formats import resume
from pycaffe_lite.layers.feed_base import FeedLayer
from pycaffe_lite.solvers.sgd import SGDSolver
from rigs.golden_solvers import FOLDER
from rigs.random_run import NET, new_solver, write_random_run

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
        self.solver.follow("accuracy")
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
        self.solver.iter, self.solver.current_step, self.solver.last_snapshot = 5, 1, "before"
        before = standing(self.solver)
        begin = time.monotonic()
        try:
            self.solver.restore(self.state)
        except CaffeError as problem:
            text = str(problem)
            assert len(text) < 600, text
            assert "\n" not in text, text
            assert text.endswith((".", "?")), text
            assert same(values(self.solver), self.wrong)
            np.testing.assert_equal(standing(self.solver), before)
            return False
        finally:
            assert time.monotonic() - begin < 10
        return True

    def is_right(self) -> bool:
        return self.solver.iter == 3 and same(values(self.solver), self.right)


def values(solver: SGDSolver) -> list[np.ndarray]:
    return [blob.data.copy() for blob in solver.parameters.blobs + solver.history]


def standing(solver: SGDSolver) -> dict[str, Any]:
    """All that a failed restore must leave alone, besides parameters and history.

    The exact state has the random generator, the smoothed loss, the best score and the data layers' cursors.
    """
    return {
        "step": solver.current_step,
        "last": solver.last_snapshot,
        "restored": solver._restored,
        **solver.exact_state(),
    }


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


def keys_of(state: Any, *before: str | int) -> Iterator[tuple[str | int, ...]]:
    """The way to each key in nested dicts and lists."""
    for key, inner in state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, list) else ():
        if isinstance(state, dict):
            yield (*before, key)
        yield from keys_of(inner, *before, key)


# Without the whole state of a layer it begins anew; a generator or a seed is there where something is left to chance.
MAY_LACK = {"data", "drop", "generator", "generator_position", "shuffle_seed"}


@pytest.mark.parametrize("extension", ["", ".h5"])
def test_a_resume_that_lacks_a_key(folder: Path, extension: str) -> None:
    snapshot = Snapshot(folder, True, extension)
    path = Path("s_iter_3.resume")
    whole = path.read_bytes()
    ways = [way for way in keys_of(resume.read(str(path))) if way != ("version",)]
    assert {("iter",), ("smoothing", "losses"), ("progress", "plateau", "minimum")} <= set(ways)
    for way in ways:
        state = resume.read(str(path))
        inner = state
        for key in way[:-1]:
            inner = inner[key]
        del inner[way[-1]]
        path.write_bytes(resume.encode(state))
        assert not snapshot.loads() or (way[0] == "nets" and way[-1] in MAY_LACK), way
        path.write_bytes(whole)
    snapshot.solver.close()


@pytest.mark.parametrize("value", [None, "x", [], {}, -1, np.zeros(3)])
def test_a_resume_with_something_else_in_a_place(folder: Path, value: Any) -> None:
    snapshot = Snapshot(folder, True, "")
    path = Path("s_iter_3.resume")
    whole, loaded = path.read_bytes(), 0
    for way in keys_of(resume.read(str(path))):
        state = resume.read(str(path))
        inner = state
        for key in way[:-1]:
            inner = inner[key]
        inner[way[-1]] = value
        path.write_bytes(resume.encode(state))
        loaded += snapshot.loads()
        path.write_bytes(whole)
    assert loaded < 20
    snapshot.solver.close()


def test_a_snapshot_of_another_net(snapshot: Snapshot, folder: Path) -> None:
    more = "momentum: 0.9" + (" snapshot_format: HDF5" if snapshot.state.endswith(".h5") else "")
    path = write_random_run(folder, more, NET.replace("num_output: 3", "num_output: 2"))
    path.write_text(path.read_text().replace('"s"', '"other"'))
    other = new_solver(path)
    other.snapshot()
    other.close()
    snapshot.state = snapshot.state.replace("s_iter_3", "other_iter_0")
    assert not snapshot.loads()


@pytest.mark.parametrize("moved", [False, True])
def test_a_layer_that_does_not_take_its_state(folder: Path, moved: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the test net; by then the one of the train net has taken its own."""
    snapshot = Snapshot(folder, True, "")
    restore, failing = FeedLayer.restore, snapshot.solver.test_nets[0].layers[0]

    def restore_or_fail(layer: FeedLayer, state: dict[str, Any]) -> None:
        if layer is not failing or moved:
            restore(layer, state)
        if layer is failing and state["position"] != before:
            raise OSError("gone")

    before = failing.state()["position"]  # type: ignore[attr-defined]
    monkeypatch.setattr(FeedLayer, "restore", restore_or_fail)
    assert not snapshot.loads()
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert snapshot.loads()
    assert snapshot.is_right()
    snapshot.solver.close()


opened: list[str] = []


def note_opened(event: str, args: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(args[0], str) and os.path.basename(args[0]).startswith("s_iter_3."):
        opened.append(args[0])


sys.addaudithook(note_opened)


def test_each_file_is_opened_once(snapshot: Snapshot) -> None:
    opened.clear()
    assert snapshot.loads()
    assert sorted(opened) == sorted(snapshot.files)


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
