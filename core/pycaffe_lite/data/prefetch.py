"""Batches made ahead of time, on a thread of their own."""

from __future__ import annotations

import atexit
import weakref
from queue import SimpleQueue

from pycaffe_lite.data.batches import Batch, Feed, FeedState
from pycaffe_lite.parallel import num_threads, start_thread

# Ahead of the net by no more than this, in bytes of batches, whatever `prefetch` says.
_MOST_AHEAD = 1 << 30


class Prefetcher:
    """Takes batches from a feed, up to `depth` of them ahead of the net.

    The thread lives until `close`, or until nobody holds the prefetcher any more.

    Args:
        feed: what makes the batches; from now on only the thread may use it.
        depth: batches ahead, 1 or more.

    Attributes:
        records, labels, own_state: see Feed.
    """

    def __init__(self, feed: Feed, depth: int) -> None:
        self._feed = feed
        self.records, self.labels, self.own_state = feed.records(), feed.labels(), feed.own_state
        self._depth = depth
        self._state = feed.state()
        self._current: Batch | None = None
        self._worker = self._start()

    def next(self) -> Batch:
        """The next batch; its arrays are valid until the next call.

        Raises:
            CaffeError: the batch could not be made. The next call tries again.
        """
        if self._worker.is_lost():
            self._feed.restore(self._state)
            self._current = None
            self._worker = self._start()
        if self._current is not None:
            self._worker.free.put(self._current)
            self._current = None
        item = self._worker.full.get()
        if isinstance(item, BaseException):
            self._worker.free.put(None)
            raise item
        self._current, self._state = item, item.after
        return item

    def state(self) -> FeedState:
        """The feed's state as if only the batches that `next` has returned had been made."""
        return dict(self._state)

    def restore(self, state: FeedState) -> None:
        """Goes on where `state` was called; what was made ahead is dropped.

        Raises:
            CaffeError: the state is of another source; then all stays as it was.
        """
        self._worker.stop()
        self._worker.thread.join()
        try:
            self._feed.restore(state)
            self._state = self._feed.state()
        finally:
            self._feed.restore(self._state)
            self._current = None
            self._worker = self._start()

    def close(self) -> None:
        """Ends the thread, and closes the feed; `next` must not be called any more."""
        self._worker.stop(for_good=True)
        self._worker.thread.join()

    def _start(self) -> _Worker:
        num_threads()  # decided here, not by whichever thread asks first
        worker = _Worker(self._feed, self._depth)
        weakref.finalize(self, worker.stop, for_good=True).atexit = False
        return worker


class _Worker:
    """The thread. It does not know the prefetcher, so that one can be dropped.

    Attributes:
        free: batches to be written over; None stands for one yet to be made.
        full: batches made, or in place of one the error that was in the way.
    """

    def __init__(self, feed: Feed, depth: int) -> None:
        self.free: SimpleQueue[Batch | None] = SimpleQueue()
        self.full: SimpleQueue[Batch | BaseException] = SimpleQueue()
        self._feed = feed
        self._stopped = False
        self._for_good = False
        # One more than the depth, for the batch that the net holds.
        for _ in range(depth + 1):
            self.free.put(None)
        self.thread = start_thread("prefetch", self._run)
        _workers.add(self)

    def stop(self, for_good: bool = False) -> None:
        """Asks the thread to end, once it has finished the batch at hand."""
        self._for_good |= for_good
        self._stopped = True
        self.free.put(None)

    def is_lost(self) -> bool:
        """Whether the thread has gone without being asked to: after a fork, in the child."""
        return not self._stopped and not self.thread.is_alive()

    def _run(self) -> None:
        while True:
            batch = self.free.get()
            if self._stopped:
                break
            try:
                self.full.put(self._feed.fill(batch))
            except BaseException as problem:
                self.full.put(problem)
        if self._for_good:
            self._feed.close()


_workers: weakref.WeakSet[_Worker] = weakref.WeakSet()


@atexit.register
def _stop_all() -> None:
    """A thread that computes while the interpreter goes away could crash it."""
    workers = list(_workers)
    for worker in workers:
        worker.stop(for_good=True)
    for worker in workers:
        worker.thread.join(timeout=2)


def depth_for(prefetch: int, batch_bytes: int) -> int:
    """How many batches to make ahead: `prefetch`, but at least 1, and no more than 1 GiB of them."""
    return max(1, min(prefetch, _MOST_AHEAD // max(1, batch_bytes)))
