"""The one place that knows of threads.

Work is cut into pieces whose number and bounds follow from the shapes alone, and partial results are added in the
order of the pieces. Threads only decide who computes a piece, so any number of them gives the same bits. BLAS
is kept to one thread while we compute: its own threads would cut by their number, and would compete with ours.

The net computes on one pool, each feed decodes on one of its own and makes its batches on a thread; for all of them
the first error in order is the one that is told, and all begin anew in a process that `fork` has made.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from itertools import count, pairwise
from queue import Empty, SimpleQueue
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
    """One call of `run`: its pieces are drawn in order from a shared counter (drawing is atomic under the GIL)."""

    def __init__(self, pieces: int, body: Callable[[int], object]) -> None:
        self.pieces = pieces
        self.body = body
        self.counter = count()
        self.errors: list[tuple[int, BaseException]] = []

    def work(self) -> None:
        piece = -1
        try:
            while (piece := next(self.counter)) < self.pieces:
                self.body(piece)
        except BaseException as problem:
            self.pieces = 0  # no further one is begun; those before it are done or being done
            self.errors.append((piece, problem))

    def first_error(self) -> BaseException:
        """The error of the first piece that has one; an interrupt, which is no piece's own, comes before all."""
        return min(self.errors, key=lambda error: (isinstance(error[1], Exception), error[0]))[1]


class Pool:
    """The thread that calls, and others that wait for its jobs: as many together as `num_threads` says.

    They are made when they are first needed, and again after `close` and in a process that `fork` has made. They
    never keep the interpreter from ending.

    Args:
        name: of the threads.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._forget()
        _pools.add(self)

    def run(self, pieces: int, body: Callable[[int], object]) -> None:
        """Calls body(0) … body(pieces - 1), in any order and from several threads.

        Each call must write memory of its own. Called from within a body, or from a second thread at the same time,
        it runs the calls one after the other.

        Raises:
            what the first of the calls in order raises that raises anything, for any number of threads.
        """
        helpers = min(num_threads(), pieces) - 1
        if helpers < 1 or not self._busy.acquire(blocking=False):
            for piece in range(pieces):
                body(piece)
            return
        try:
            if self._made_for != _threads:
                self._make_helpers()
            job = _Job(pieces, body)
            for _ in range(helpers):
                self._jobs.put(job)
            job.work()
            self._wait(helpers)
        except BaseException:
            # It may have come while waiting, so nobody knows which threads are done: others take their place.
            self._end_helpers()
            raise
        finally:
            self._busy.release()
        if job.errors:
            raise job.first_error()

    def close(self) -> None:
        """Ends the threads, if they are not at work; the next job makes new ones."""
        if self._busy.acquire(blocking=False):
            helpers = self._helpers
            self._end_helpers()
            self._busy.release()
            for thread in helpers:
                thread.join()

    def __del__(self) -> None:
        for _ in self._helpers:
            self._jobs.put(None)

    def _wait(self, helpers: int) -> None:
        """Until what has been begun of the job is done; what has not been begun by now need not be."""
        while not self._jobs.empty():
            with contextlib.suppress(Empty):
                self._jobs.get_nowait()
                helpers -= 1
        for _ in range(helpers):
            self._done.get()

    def _make_helpers(self) -> None:
        self._end_helpers()
        self._made_for = _threads
        # An error says that there are no more threads: the interpreter ends, or the system has none to give.
        with contextlib.suppress(RuntimeError):
            for _ in range(_threads - 1):
                self._helpers.append(start_thread(self._name, _help, self._jobs, self._done))

    def _end_helpers(self) -> None:
        for _ in self._helpers:
            self._jobs.put(None)
        self._forget_helpers()

    def _forget_helpers(self) -> None:
        self._made_for = 0
        self._helpers: list[threading.Thread] = []
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._done: SimpleQueue[None] = SimpleQueue()

    def _forget(self) -> None:
        """After fork() the child has none of our threads, and perhaps a lock of one of them."""
        self._busy = threading.Lock()
        self._forget_helpers()


def start_thread(name: str, run: Callable[..., object], *args: object) -> threading.Thread:
    """Starts a thread that computes as the solver's own does, and does not keep the interpreter from ending."""

    def begin() -> None:
        np.seterr(all="ignore")  # infinities are computed as Caffe does; the solver looks at the results
        run(*args)

    thread = threading.Thread(target=begin, daemon=True, name=name)
    thread.start()
    return thread


def _help(jobs: SimpleQueue[_Job | None], done: SimpleQueue[None]) -> None:
    while (job := jobs.get()) is not None:
        job.work()
        done.put(None)


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()
_pool = Pool("pycaffe-lite")
_threads = 0


def set_num_threads(threads: int) -> None:
    """Computes with that many threads from now on, 1 or more; the results do not depend on it."""
    global _threads
    if threads < 1:
        raise CaffeError(f"The number of threads must be 1 or more, got {threads}.")
    if threads == _threads:
        return
    _threads = threads
    _pool.close()


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
    for pool in list(_pools):
        pool._forget()
    one_blas_thread.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


def parallel_for(pieces: int, body: Callable[[int], object]) -> None:
    """Calls body(0) … body(pieces - 1) from the threads that the net computes with; see `Pool.run`."""
    _pool.run(pieces, body)


def one_by_one(pieces: int, body: Callable[[int], object]) -> None:
    """As `parallel_for`, for work that is not worth waking a thread."""
    for piece in range(pieces):
        body(piece)


def slices(length: int, pieces: int) -> list[slice]:
    """Cuts range(length) into at most `pieces` slices as even as they can be."""
    pieces = max(1, min(pieces, length))
    bounds = [length * i // pieces for i in range(pieces + 1)]
    return [slice(a, b) for a, b in pairwise(bounds)]


def batch_slices(items: int, item_bytes: int) -> list[slice]:
    """Cuts a batch into slices of about PIECE_BYTES each."""
    return slices(items, items * item_bytes // PIECE_BYTES)
