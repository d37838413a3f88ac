"""A source in random order."""

from __future__ import annotations

import numpy as np

from pycaffe_lite.data.records import Records, Source


class ShuffledSource(Source):
    """The records of another source, in each epoch in a new random order.

    The order of an epoch follows from seed and epoch alone, and the records are numbered on from one epoch to
    the next: number n * len(source) + i is the i-th of epoch n. So the position is one integer here, too.

    Args:
        source: one that knows its length.
        seed: any integer of 32 bits.
    """

    def __init__(self, source: Source, seed: int) -> None:
        self.name = source.name
        self.seed = seed
        self._source = source
        self._order = np.arange(len(source))
        self._order_is_of = (-1, -1)

    def __len__(self) -> int:
        return len(self._source)

    def read(self, start: int, count: int) -> Records:
        epoch, at = divmod(start, len(self))
        self._shuffle(epoch)
        records = self._source.take(self._order[at : at + count])
        return records._replace(next=start + len(records.labels))

    def read_undecoded(self, start: int, count: int) -> Records:
        epoch, at = divmod(start, len(self))
        self._shuffle(epoch)
        records = self._source.take_undecoded(self._order[at : at + count])
        return records._replace(next=start + len(records.labels))

    def check(self, start: int) -> None:
        """There is always another epoch."""

    def labels(self) -> np.ndarray | None:
        return self._source.labels()

    def where(self, record: int) -> str:
        epoch, at = divmod(record, len(self))
        self._shuffle(epoch)
        return self._source.where(int(self._order[at]))

    def close(self) -> None:
        self._source.close()

    def _shuffle(self, epoch: int) -> None:
        if self._order_is_of != (self.seed, epoch):
            self._order = np.random.RandomState([self.seed, epoch % 2**32]).permutation(len(self))
            self._order_is_of = (self.seed, epoch)
