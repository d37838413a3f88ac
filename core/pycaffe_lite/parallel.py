"""The one place that knows of threads.

Work is cut into pieces whose number and bounds follow from the shapes alone, and partial results are added in the
order of the pieces. Threads only decide who computes a piece, so any number of them gives the same bits. BLAS
is kept to one thread while we compute: its own threads would cut by their number, and would compete with ours.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from itertools import count, pairwise
from typing import Any

import numpy as np

from pycaffe_lite.errors import CaffeError

PIECE_BYTES = 1 << 20
"""What the images of a piece take: NumPy's calls on it are long beside handing the interpreter over."""


def available_cpus() -> int:
    """The processors this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


class _Job:
    """One parallel_for: its pieces are drawn from a shared counter (drawing is atomic under the GIL)."""

    def __init__(self, pieces: int, body: Callable[[int], object]) -> None:
        self.pieces = pieces
        self.body = body
        self.counter = count()
        self.error: BaseException | None = None

    def work(self) -> None:
        try:
            while (piece := next(self.counter)) < self.pieces:
                self.body(piece)
        except BaseException as problem:
            self.error = problem


class _Pool:
    """Threads that wait for jobs, one lock each to be woken and one to say that they are done."""

    def __init__(self, threads: int) -> None:
        self.job: _Job | None = None
        self.wake = [threading.Lock() for _ in range(threads - 1)]
        self.done = [threading.Lock() for _ in range(threads - 1)]
        self.busy = threading.Lock()
        for lock in (*self.wake, *self.done):
            lock.acquire()
        for wake, done in zip(self.wake, self.done, strict=True):
            threading.Thread(target=self._serve, args=(wake, done), daemon=True, name="pycaffe-lite").start()

    def _serve(self, wake: threading.Lock, done: threading.Lock) -> None:
        np.seterr(all="ignore")  # infinities are computed as Caffe does; the solver looks at the results
        while True:
            wake.acquire()
            job = self.job
            if job is None:
                return
            job.work()
            done.release()

    def run(self, job: _Job) -> None:
        helpers = min(len(self.wake), job.pieces - 1)
        self.job = job
        for wake in self.wake[:helpers]:
            wake.release()
        job.work()
        for done in self.done[:helpers]:
            done.acquire()
        if job.error is not None:
            raise job.error

    def close(self) -> None:
        self.job = None
        for wake in self.wake:
            with contextlib.suppress(RuntimeError):  # a thread that an interrupt has kept from its job
                wake.release()


_pool: _Pool | None = None
_threads = 0


def set_num_threads(threads: int) -> None:
    """Computes with that many threads from now on, 1 or more; the results do not depend on it."""
    global _pool, _threads
    if threads < 1:
        raise CaffeError(f"The number of threads must be 1 or more, got {threads}.")
    if threads == _threads:
        return
    if _pool is not None:
        _pool.close()
    _threads = threads
    _pool = _Pool(threads) if threads > 1 else None


def num_threads() -> int:
    """The number of threads in use; at first, as many as there are processors."""
    if not _threads:
        set_num_threads(available_cpus())
    return _threads


class _OneBlasThread(contextlib.ContextDecorator):
    """A context in which the process's BLAS computes with one thread; afterwards with as many as before.

    It may be entered again inside, and by several threads at a time: the last one out gives the threads back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._libraries: list[Any] | None = None
        self._before: list[int] = []

    def __enter__(self) -> None:
        with self._lock:
            if self._depth == 0:
                self._before = [library.num_threads for library in self._found()]
                self._set([1] * len(self._before))
            self._depth += 1

    def __exit__(self, *problem: object) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                self._set(self._before)

    def _found(self) -> list[Any]:
        """The BLAS libraries of the process: looked for once, as that takes milliseconds."""
        if self._libraries is None:
            from threadpoolctl import ThreadpoolController

            self._libraries = ThreadpoolController().select(user_api="blas").lib_controllers
        return self._libraries

    def _set(self, threads: Sequence[int]) -> None:
        for library, number in zip(self._found(), threads, strict=True):
            # threadpoolctl lets one thread alone set a limit, the first that has; here it may be any, one at a time.
            anybody = getattr(library, "clear_controlling_thread", lambda force: None)
            anybody(force=True)
            library.set_num_threads(number)
            anybody(force=True)

    def forget(self) -> None:
        """After fork(): nobody computes in the child."""
        self._lock = threading.Lock()
        if self._depth:
            self._depth = 0
            self._set(self._before)


one_blas_thread = _OneBlasThread()
"""`with one_blas_thread:`, or a decorator, stands around every public call that computes."""


def _forget_threads() -> None:
    """After fork() the child has none of our threads; new ones are made at need."""
    global _pool, _threads
    _pool, _threads = None, 0
    one_blas_thread.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


def parallel_for(pieces: int, body: Callable[[int], object]) -> None:
    """Calls body(0) … body(pieces - 1), in any order and from several threads.

    Each call must write memory of its own. Called from within a body, or from a second thread at the same time,
    it runs the calls one after the other.
    """
    global _pool
    pool = _pool if num_threads() > 1 and pieces > 1 else None
    if pool is None or not pool.busy.acquire(blocking=False):
        for piece in range(pieces):
            body(piece)
        return
    try:
        pool.run(_Job(pieces, body))
    except KeyboardInterrupt:
        # It may have come while waiting, so nobody knows which threads are done: others take their place.
        pool.close()
        _pool = _Pool(_threads)
        raise
    finally:
        pool.busy.release()


def slices(length: int, pieces: int) -> list[slice]:
    """Cuts range(length) into at most `pieces` slices as even as they can be."""
    pieces = max(1, min(pieces, length))
    bounds = [length * i // pieces for i in range(pieces + 1)]
    return [slice(a, b) for a, b in pairwise(bounds)]


def batch_slices(items: int, item_bytes: int) -> list[slice]:
    """Cuts a batch into slices of about PIECE_BYTES each."""
    return slices(items, items * item_bytes // PIECE_BYTES)
