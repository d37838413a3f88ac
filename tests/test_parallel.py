"""The pool of threads, the cutting into pieces, aligned memory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycaffe_lite import parallel
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.memory import aligned_bytes
from pycaffe_lite.parallel import batch_slices, parallel_for, set_num_threads, slices


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("pieces", [0, 1, 2, 3, 100])
def test_every_piece_is_done_once(threads: int, pieces: int) -> None:
    set_num_threads(threads)
    done: list[int] = []
    parallel_for(pieces, done.append)
    assert Counter(done) == Counter(range(pieces))


def test_pieces_are_shared_among_threads() -> None:
    set_num_threads(3)
    barrier = threading.Barrier(3, timeout=30)  # passes only if three are at work at the same time
    parallel_for(3, lambda piece: barrier.wait())


def test_it_returns_when_all_are_done() -> None:
    set_num_threads(4)
    out = np.zeros(50)

    def slow(piece: int) -> None:
        time.sleep(0.001)
        out[piece] = 1

    parallel_for(50, slow)
    assert out.all()


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_the_first_error_in_order_is_raised(threads: int) -> None:
    set_num_threads(threads)

    def fail(piece: int) -> None:
        time.sleep(0.01 if piece == 2 else 0)
        if piece >= 2:
            raise CaffeError(f"piece {piece}")

    for _ in range(3):
        with pytest.raises(CaffeError, match="piece 2"):
            parallel_for(9, fail)


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_comes_out_and_the_pool_goes_on(threads: int) -> None:
    set_num_threads(threads)
    done: list[int] = []

    def fail(piece: int) -> None:
        if piece == 2:
            raise CaffeError("in piece 2")

    for _ in range(3):
        with pytest.raises(CaffeError, match="in piece 2"):
            parallel_for(5, fail)
        parallel_for(5, done.append)
    assert len(done) == 15


def test_an_error_in_another_thread_comes_out() -> None:
    set_num_threads(2)
    main = threading.get_ident()
    barrier = threading.Barrier(2, timeout=30)

    def fail_elsewhere(piece: int) -> None:
        barrier.wait()
        if threading.get_ident() != main:
            raise CaffeError("elsewhere")

    with pytest.raises(CaffeError, match="elsewhere"):
        parallel_for(2, fail_elsewhere)


def test_a_call_from_within_runs_in_its_thread() -> None:
    set_num_threads(3)
    seen: list[tuple[int, int]] = []

    def outer(piece: int) -> None:
        own = threading.get_ident()
        parallel_for(4, lambda inner: seen.append((piece, inner)) if threading.get_ident() == own else None)

    parallel_for(3, outer)
    assert Counter(seen) == Counter((i, j) for i in range(3) for j in range(4))


def test_calls_from_two_threads_at_once() -> None:
    set_num_threads(2)
    counts = [0, 0]

    def use(which: int) -> None:
        for _ in range(200):
            done: list[int] = []
            parallel_for(4, done.append)
            counts[which] += len(done)

    threads = [threading.Thread(target=use, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert counts == [800, 800]


def test_after_an_interrupt_the_pool_is_sound() -> None:
    set_num_threads(3)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            parallel_for(3, lambda piece: _interrupt())
        done: list[int] = []
        parallel_for(20, done.append)
        assert Counter(done) == Counter(range(20))


def _interrupt() -> None:
    raise KeyboardInterrupt


def test_an_interrupt_while_waiting_does_not_let_the_next_call_end_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that is still busy with the old job must not count as done with the new one."""
    set_num_threads(2)
    parallel_for(2, lambda piece: None)
    release = threading.Event()
    main = threading.get_ident()

    class InterruptedQueue:
        def get(self) -> None:
            raise KeyboardInterrupt

    started = threading.Barrier(2, timeout=30)

    def wait_elsewhere(piece: int) -> None:
        started.wait()
        if threading.get_ident() != main:
            release.wait(30)

    monkeypatch.setattr(parallel._pool, "_done", InterruptedQueue())
    with pytest.raises(KeyboardInterrupt):
        parallel_for(2, wait_elsewhere)
    out = np.zeros(8)

    def slow(piece: int) -> None:
        time.sleep(0.005)
        out[piece] = 1

    parallel_for(8, slow)
    assert out.all()
    release.set()


def test_the_number_of_threads() -> None:
    set_num_threads(3)
    assert parallel.num_threads() == 3
    set_num_threads(1)
    assert parallel.num_threads() == 1
    for wrong in (0, -1):
        with pytest.raises(CaffeError, match=f"must be 1 or more, got {wrong}"):
            set_num_threads(wrong)
    assert 1 <= parallel.available_cpus() <= (os.cpu_count() or 1)


def wait_for_pool_threads(count: int) -> int:
    """The number of the pool's threads, as soon as it is `count`, or after a while."""
    for _ in range(500):
        found = sum(thread.name == "pycaffe-lite" for thread in threading.enumerate())
        if found == count:
            break
        time.sleep(0.01)
    return found


def test_threads_that_are_not_needed_any_more_end() -> None:
    for threads in (1, 6, 3, 1):
        set_num_threads(threads)
        parallel_for(2, lambda piece: None)
        assert wait_for_pool_threads(threads - 1) == threads - 1


FORK = """
import os, sys, threading
from pycaffe_lite import parallel
parallel.set_num_threads(2)
parallel.parallel_for(8, lambda piece: None)
child = os.fork()
if child == 0:
    barrier = threading.Barrier(2, timeout=30)
    parallel.parallel_for(2, lambda piece: barrier.wait())
    os._exit(parallel.num_threads() != 2)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_makes_its_own_threads() -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORK]
    assert subprocess.run(command, timeout=60, check=False).returncode == 0


def test_without_more_threads_the_one_does_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(parallel, "start_thread", refuse)
    done: list[int] = []
    set_num_threads(3)
    parallel_for(9, done.append)
    assert done == list(range(9))


def test_pools_do_not_wait_for_each_other() -> None:
    """A feed decodes with threads of its own while the net computes; they end with their pool."""
    set_num_threads(3)
    pool, barrier = parallel.Pool("another"), threading.Barrier(9, timeout=30)
    thread = threading.Thread(target=parallel_for, args=(3, lambda piece: barrier.wait()))
    thread.start()
    other = threading.Thread(target=parallel.Pool("third").run, args=(3, lambda piece: barrier.wait()))
    other.start()
    pool.run(3, lambda piece: barrier.wait())
    thread.join(), other.join()
    pool.close()
    pool.run(3, [].append)
    del pool
    for _ in range(500):
        if not any(thread.name == "another" for thread in threading.enumerate()):
            break
        time.sleep(0.01)
    else:
        pytest.fail("its threads are still there")


# -- pieces ------------------------------------------------------------------------------------------------


@given(st.integers(0, 1000), st.integers(-1, 1200))
def test_slices_cover_a_range_evenly(length: int, pieces: int) -> None:
    cuts = slices(length, pieces)
    assert [i for cut in cuts for i in range(length)[cut]] == list(range(length))
    sizes = [cut.stop - cut.start for cut in cuts]
    assert max(sizes) - min(sizes) <= 1
    assert len(cuts) == max(1, min(pieces, length))


@given(st.integers(1, 500), st.integers(0, 1 << 22))
def test_batches_are_cut_by_bytes(items: int, item_bytes: int) -> None:
    cuts = batch_slices(items, item_bytes)
    largest = max(cut.stop - cut.start for cut in cuts)
    assert largest * item_bytes < 2 * parallel.PIECE_BYTES or largest == 1
    assert sum(cut.stop - cut.start for cut in cuts) == items


# -- memory ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nbytes", [0, 1, 63, 64, 1000])
def test_memory_begins_at_a_cache_line(nbytes: int) -> None:
    for _ in range(5):
        memory = aligned_bytes(nbytes)
        assert memory.nbytes == nbytes
        assert not memory.any()
        assert nbytes == 0 or memory.ctypes.data % 64 == 0
