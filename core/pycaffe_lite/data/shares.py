"""What one of several ranks reads: every rank has its own records of one order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.data.records import Records, ShuffledSource, Source, length_of
from pycaffe_lite.ranks import Share


class SharedSource(Source):
    """Of the records of another source, read round and round, those of one rank: as Caffe deals them to its GPUs.

    The records that all ranks read stand in one order, that of the source or a shuffled one. Rank r of N reads those at
    the places r, r + N, r + 2 N … after `start`, which is the same for all of them; they are numbered on without end.

    Args:
        source: the source of all records.
        share: the rank, and how many there are.

    Attributes:
        start: the place in the order from which on they share.
    """

    def __init__(self, source: Source, share: Share) -> None:
        self.name = source.name
        self._source, self._share = source, share
        self.start = 0

    def __len__(self) -> int:
        return len(self._source)

    def place(self, number: int) -> int:
        """The place in the order at which all ranks are when each has read so many of its records."""
        return self._round(self.start + number * self._share.size)

    def read(self, start: int, count: int) -> Records:
        records = self.read_undecoded(start, count)
        return records._replace(images=[records.images[i] for i in range(len(records.labels))])

    def read_undecoded(self, start: int, count: int) -> Records:
        records = self._source.every(self._own(start), count, self._share.size)
        return records._replace(next=start + len(records.labels))

    def check(self, start: int) -> None:
        self._source.check(start)

    def labels(self) -> NDArray[np.float32] | None:
        return self._source.labels()

    def where(self, record: int) -> str:
        return self._source.where(self._round(self._own(record)))

    def close(self) -> None:
        self._source.close()

    def _own(self, number: int) -> int:
        return self.start + self._share.rank + number * self._share.size

    def _round(self, place: int) -> int:
        """A shuffled order goes on from one epoch to the next; in any other the first record comes after the last."""
        length = None if isinstance(self._source, ShuffledSource) else length_of(self._source)
        return place % length if length else place
