"""Small records, read in larger pieces."""

from __future__ import annotations

import numpy as np

from pycaffe_lite.data.records import Records, Source
from pycaffe_lite.errors import CaffeError

_LARGEST = 1 << 20  # bytes of images


class Pieces:
    """Reads more records of a source than it is asked for, if they are small, and gives out parts of what it has.

    A source takes little longer for many small records than for few, and whoever trains meanwhile is disturbed
    less often. Errors come in their turn all the same.

    Args:
        source: where the records come from.
        batch_size: pieces are multiples of it.
    """

    def __init__(self, source: Source, batch_size: int) -> None:
        self._source = source
        self._batch_size = batch_size
        self.forget()

    def forget(self) -> None:
        """Gives up what it has."""
        self._start = 0
        self._piece: Records | None = None
        self._batches = 1  # in the next piece; more from one to the next, so that the first does not take long

    def read(self, start: int, count: int) -> Records:
        """See Source.read_undecoded."""
        if self._piece is None or not 0 <= start - self._start < len(self._piece.labels):
            records = self._read(start, count)
            if not isinstance(records.images, np.ndarray):
                self.forget()
                return records if len(records.labels) <= count else self._read(start, count)
            self._start, self._piece = start, records
            most = _LARGEST // max(1, records.images[0].nbytes * self._batch_size)
            self._batches = max(1, min(2 * self._batches, most))
        images, labels, after = self._piece
        first = start - self._start
        last = min(first + count, len(labels))
        return Records(images[first:last], labels[first:last], after if last == len(labels) else start + last - first)

    def _read(self, start: int, count: int) -> Records:
        """A piece; only what is asked for if there is trouble in it."""
        if self._batches > 1:
            try:
                return self._source.read_undecoded(start, self._batches * self._batch_size)
            except CaffeError:
                self.forget()
        return self._source.read_undecoded(start, count)
