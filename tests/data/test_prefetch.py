"""Feeds and the thread that runs them: order, resuming, errors, and the end of the thread."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pycaffe_lite import log
from pycaffe_lite.data.batches import RecordFeed
from pycaffe_lite.data.prefetch import Prefetcher, depth_for
from pycaffe_lite.data.records import Records, ShuffledSource, Source
from pycaffe_lite.data.transformer import Transformer
from pycaffe_lite.errors import CaffeError, ShapeError
from pycaffe_lite.phase import TRAIN
from pycaffe_lite.proto import caffe_pb2


class Counting(Source):
    """Record i is an image of i's, with label i; some records are broken, some of another size."""

    def __init__(self, length: int = 10, broken: int = -1, larger: int = -1) -> None:
        self.name, self.length = "counting", length
        self.broken, self.larger = broken, larger
        self.closed = False

    def __len__(self) -> int:
        return self.length

    def read(self, start: int, count: int) -> Records:
        end = min(start + count, self.length)
        if start <= self.broken < end:
            raise CaffeError(f"{self.where(self.broken)}: broken.")
        images = [np.full((1, 4, 5 + (i == self.larger)), i, np.uint8) for i in range(start, end)]
        return Records(images, np.arange(start, end, dtype=np.float32), end % self.length)

    def close(self) -> None:
        self.closed = True


def feed(source: Source | None = None, batch_size: int = 4, **fields: Any) -> RecordFeed:
    transformer = Transformer(caffe_pb2.TransformationParameter(**fields), TRAIN, seed=3)
    return RecordFeed(source or Counting(), transformer, batch_size)


@pytest.fixture
def prefetchers() -> Iterator[Any]:
    """Makes prefetchers, and closes them in the end."""
    made: list[Prefetcher] = []

    def make(*args: Any, depth: int = 3, **fields: Any) -> Prefetcher:
        made.append(Prefetcher(feed(*args, **fields), depth))
        return made[-1]

    yield make
    for one in made:
        one.close()


def labels(prefetcher: Prefetcher, batches: int) -> list[list[int]]:
    return [prefetcher.next().labels.astype(int).tolist() for _ in range(batches)]


def data(prefetcher: Prefetcher, batches: int) -> list[np.ndarray]:
    return [prefetcher.next().data.copy() for _ in range(batches)]


# -- order ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_batches_wrap_round_the_end(prefetchers: Any, depth: int) -> None:
    expected = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 1], [2, 3, 4, 5], [6, 7, 8, 9], [0, 1, 2, 3]]
    assert labels(prefetchers(depth=depth), 6) == expected


def test_batches_may_be_larger_than_the_source(prefetchers: Any) -> None:
    prefetcher = prefetchers(Counting(3), 8)
    assert labels(prefetcher, 2) == [[0, 1, 2, 0, 1, 2, 0, 1], [2, 0, 1, 2, 0, 1, 2, 0]]
    np.testing.assert_array_equal(prefetcher.next().data[:, 0, 0, 0], [1, 2, 0, 1, 2, 0, 1, 2])


def test_a_batch_stays_as_it_is_until_the_next_one_is_asked_for(prefetchers: Any) -> None:
    prefetcher = prefetchers(depth=2)
    batch = prefetcher.next()
    time.sleep(0.02)
    np.testing.assert_array_equal(batch.data[:, 0, 0, 0], [0, 1, 2, 3])


def test_buffers_are_used_again(prefetchers: Any) -> None:
    prefetcher = prefetchers(depth=2)
    assert len({id(prefetcher.next().data) for _ in range(30)}) <= 3


def test_the_restart_is_logged_as_in_caffe(prefetchers: Any) -> None:
    lines: list[str] = []
    log.set_sink(lines.append)
    log.set_level("I")
    one = feed(batch_size=5)
    for _ in range(4):
        one.fill(None)
    assert [line.split("] ")[1] for line in lines] == ["Restarting data prefetching from start."] * 2


def test_shape_follows_the_first_image_of_a_batch(prefetchers: Any) -> None:
    prefetcher = prefetchers(Counting(3, larger=1), 1)
    assert [batch.shape for batch in data(prefetcher, 4)] == [(1, 1, 4, w) for w in (5, 6, 5, 5)]


# -- resuming ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("consumed", [0, 1, 4, 7])
def test_state_is_that_of_the_batches_consumed(prefetchers: Any, shuffled: bool, consumed: int) -> None:
    def make(seed: int) -> Prefetcher:
        source = ShuffledSource(Counting(), seed) if shuffled else Counting()
        return prefetchers(source, crop_size=3, mirror=True)  # type: ignore[no-any-return]

    one, other = make(5), make(6)
    data(one, consumed)
    time.sleep(0.01)
    state = one.state()
    expected = data(one, 8)
    data(other, 2)
    other.restore(state)
    np.testing.assert_array_equal(data(other, 8), expected)
    one.restore(state)
    np.testing.assert_array_equal(data(one, 8), expected)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"position": 10}, "counting: expected more than 10 records, got 10"),
        ({"position": -1}, "a position of 0 or more"),
        ({}, "a position of 0 or more"),
        ({"position": 3, "generator": np.ones(5, np.uint32), "generator_position": 1}, "624 32-bit words"),
        ({"position": 3, "generator": np.ones(624, np.uint32)}, "position -1"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(prefetchers: Any, state: Any, message: str) -> None:
    prefetcher, other = prefetchers(crop_size=2), prefetchers(crop_size=2)
    data(prefetcher, 1), data(other, 1)
    with pytest.raises(CaffeError, match=message):
        prefetcher.restore(state)
    np.testing.assert_array_equal(data(prefetcher, 3), data(other, 3))


def test_state_is_plain_data(prefetchers: Any) -> None:
    state = prefetchers(ShuffledSource(Counting(), 5), mirror=True).state()
    assert {name: type(value) for name, value in state.items()} == {
        "position": int,
        "shuffle_seed": int,
        "generator": np.ndarray,
        "generator_position": int,
    }
    assert state["generator"].dtype == np.uint32


# -- shuffling -----------------------------------------------------------------------------------------------


def test_every_epoch_is_a_new_order_of_all_records() -> None:
    source = ShuffledSource(Counting(100), 5)
    epochs = [source.read(i * 100, 100).labels.astype(int).tolist() for i in range(3)]
    assert all(sorted(epoch) == list(range(100)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != list(range(100))
    assert ShuffledSource(Counting(100), 5).read(200, 100).labels.astype(int).tolist() == epochs[2]
    assert ShuffledSource(Counting(100), 6).read(200, 100).labels.astype(int).tolist() != epochs[2]


def test_records_of_a_shuffled_source_keep_their_names() -> None:
    source = ShuffledSource(Counting(), 5)
    assert source.where(13) == f"counting, record {int(source.read(13, 1).labels[0])}"


def test_shuffling_needs_a_length() -> None:
    class Endless(Source):
        name = "endless"

    with pytest.raises(CaffeError, match="endless: the number of records is not known"):
        ShuffledSource(Endless(), 1)


# -- errors --------------------------------------------------------------------------------------------------


def test_an_error_comes_in_its_turn_and_again(prefetchers: Any) -> None:
    prefetcher = prefetchers(Counting(broken=6))
    assert labels(prefetcher, 1) == [[0, 1, 2, 3]]
    state = prefetcher.state()
    for _ in range(9):
        with pytest.raises(CaffeError, match="counting, record 6: broken"):
            prefetcher.next()
    assert prefetcher.state() == state


def test_reading_goes_on_when_the_trouble_is_over() -> None:
    source = Counting(broken=6)
    one, other = feed(source, mirror=True), feed(mirror=True)
    one.fill(None), other.fill(None)
    with pytest.raises(CaffeError):
        one.fill(None)
    source.broken = -1
    np.testing.assert_array_equal(one.fill(None).data, other.fill(None).data)


def test_misfits_are_named(prefetchers: Any) -> None:
    prefetcher = prefetchers(Counting(larger=6))
    prefetcher.next()
    with pytest.raises(ShapeError, match=r"counting, record 6: expected shape \[1, 4, 5\]"):
        prefetcher.next()
    with pytest.raises(ShapeError, match="counting, record 0: expected images of at least crop_size 9"):
        feed(crop_size=9).shapes()


# -- the thread ----------------------------------------------------------------------------------------------


def threads() -> int:
    return sum(thread.name == "prefetch" for thread in threading.enumerate())


def wait_for(condition: Any) -> bool:
    for _ in range(200):
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_close_ends_the_thread_and_closes_the_source() -> None:
    source, before = Counting(), threads()
    prefetcher = Prefetcher(feed(source), 2)
    assert threads() == before + 1
    prefetcher.close()
    assert (threads(), source.closed) == (before, True)
    prefetcher.close()


def test_restoring_leaves_one_thread() -> None:
    before = threads()
    prefetcher = Prefetcher(feed(), 2)
    for _ in range(5):
        prefetcher.restore(prefetcher.state())
    assert threads() == before + 1
    prefetcher.close()


def test_a_dropped_prefetcher_ends_its_thread() -> None:
    source, before = Counting(), threads()
    prefetcher = Prefetcher(feed(source), 2)
    prefetcher.next()
    del prefetcher
    gc.collect()
    assert wait_for(lambda: threads() == before)
    assert source.closed


def test_the_interpreter_ends_without_close() -> None:
    code = """
import numpy as np
from test_prefetch import Counting, feed
from pycaffe_lite.data.prefetch import Prefetcher
prefetcher = Prefetcher(feed(Counting(250), 200), 3)
prefetcher.next()
"""
    paths = f"import sys; sys.path[:0] = {sys.path!r}\n"
    done = subprocess.run([sys.executable, "-c", paths + code], capture_output=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_memory_bounds_the_depth() -> None:
    assert depth_for(4, 200_000) == 4
    assert depth_for(0, 200_000) == 1
    assert depth_for(2**32 - 1, 2**28) == 4
    assert depth_for(4, 2**33) == 1
