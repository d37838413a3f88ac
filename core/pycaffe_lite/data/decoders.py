"""Images that several threads decode and transform, each in its place of the batch.

A thread of these does what takes long without the interpreter: OpenCV and NumPy work meanwhile. `parallel_for` has
one set of threads, which the net computes with at the same time; a feed that took them would hold the net up.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.parallel import num_threads

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

ForEach = Callable[[int, Callable[[int], object]], None]


class Undecoded(Sequence[NDArray[Any]]):
    """Images that are decoded one by one, each when it is asked for, by the thread that asks.

    Args:
        length: how many they are.
        decode: the pixels of one, C x H x W; raises a CaffeError that names it.
    """

    def __init__(self, length: int, decode: Callable[[int], NDArray[Any]]) -> None:
        self._length = length
        self._decode = decode
        self._first: NDArray[Any] | None = None

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, i: Any) -> Any:
        if not 0 <= i < self._length:
            raise IndexError(i)
        if i:
            return self._decode(i)
        # It is looked at twice, for the shape of the batch and for its pixels.
        if self._first is None:
            self._first = self._decode(0)
        return self._first


class Decoders:
    """The threads of one feed: as many as the run's, its own included. They are made at need, and end with `close`."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._helpers = 0

    def for_each(self, length: int, body: Callable[[int], object]) -> None:
        """Calls body(0) … body(length - 1), in any order and from several threads.

        Each call must write memory of its own.

        Raises:
            what the first of them in order raises that raises anything, for any number of threads.
        """
        job = _Job(length, body)
        futures = self._submit(job.work, min(num_threads(), length) - 1)
        job.work()
        for future in futures:
            # What has not begun by now need not; so nobody waits for threads that a fork has left behind.
            if not future.cancel():
                future.result()
        if job.errors:
            raise min(job.errors, key=lambda error: error[0])[1]

    def close(self) -> None:
        """Ends the threads; another `for_each` makes new ones."""
        if self._executor is not None:
            self._executor.shutdown()
            self._executor = None

    def forget(self) -> None:
        """After a fork, in the child: the threads are not there any more."""
        self._executor = None

    def _submit(self, work: Callable[[], None], helpers: int) -> list[Any]:
        if helpers < 1:
            return []
        from concurrent.futures import ThreadPoolExecutor

        if self._executor is None or self._helpers < helpers:
            self.close()
            self._executor = ThreadPoolExecutor(helpers, "decode", lambda: np.seterr(all="ignore"))
            self._helpers = helpers
        futures: list[Any] = []
        # An error says that there are no more threads: the interpreter ends, or the system has none to give.
        with contextlib.suppress(RuntimeError):
            futures.extend(self._executor.submit(work) for _ in range(helpers))
        return futures


class _Job:
    """One for_each. Numbers are drawn in order, so those before one that fails are done or being done."""

    def __init__(self, length: int, body: Callable[[int], object]) -> None:
        self.length = length
        self.body = body
        self.counter = count()
        self.errors: list[tuple[int, BaseException]] = []

    def work(self) -> None:
        while not self.errors and (i := next(self.counter)) < self.length:
            try:
                self.body(i)
            except BaseException as problem:
                self.errors.append((i, problem))


def in_turn(length: int, body: Callable[[int], object]) -> None:
    """A `for_each` of one thread."""
    for i in range(length):
        body(i)
