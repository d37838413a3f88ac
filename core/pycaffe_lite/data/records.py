"""Records, and where they come from: the one small interface of all sources.

A record is an image, C x H x W, and a label. Records are numbered from 0 in the order the source gives them.
So a position is one integer, and reading goes on from any such number: all that an exact resume needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.errors import CaffeError, ShapeError

# Images of one shape and type as one array, n x C x H x W, or each by itself.
Images = NDArray[Any] | Sequence[NDArray[Any]]


class Records(NamedTuple):
    """Some consecutive records.

    Attributes:
        images: of any real type; read-only, valid as long as the source is open.
        labels: float32, one for each image, or a row of k for each, n x k.
        next: the number of the record that follows, 0 after the last one.
    """

    images: Images
    labels: NDArray[np.float32]
    next: int


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

    def __getitem__(self, i: Any) -> Any:  # an integer, of an image
        if not 0 <= i < self._length:
            raise IndexError(i)
        if i:
            return self._decode(i)
        # It is looked at twice, for the shape of the batch and for its pixels.
        if self._first is None:
            self._first = self._decode(0)
        return self._first


class Source:
    """Numbered records.

    Attributes:
        name: the path as the user gave it.
    """

    name: str

    def __len__(self) -> int:
        """The number of records.

        Raises:
            CaffeError: for a source that cannot tell without reading all of it.
        """
        raise CaffeError(f"{self.name}: the number of records is not known.")

    def read(self, start: int, count: int) -> Records:
        """Records from number `start` on: at least 1, at most `count`, fewer at the end of the source.

        Raises:
            CaffeError: a record is damaged; the text names file and record.
        """
        raise NotImplementedError

    def take(self, numbers: NDArray[np.integer[Any]]) -> Records:
        """Records in any order; `next` says nothing."""
        parts = [self.read(int(number), 1) for number in numbers]
        labels = label_array([np.ravel(part.labels).tolist() for part in parts], lambda i: self.where(int(numbers[i])))
        return Records([part.images[0] for part in parts], labels, 0)

    def read_undecoded(self, start: int, count: int) -> Records:
        """As `read`, but encoded images may be `Undecoded`, and it may stop early, before a damaged record."""
        return self.read(start, count)

    def take_undecoded(self, numbers: NDArray[np.integer[Any]]) -> Records:
        """As `take`, but see `read_undecoded`."""
        return self.take(numbers)

    def every(self, start: int, count: int, step: int) -> Records:
        """Of each `step` records one, from number `start` on, which may lie beyond the end: it counts round.

        At least 1, at most `count`, and fewer at the end of the source; else as `read_undecoded`. `next` says nothing.
        """
        start, end = start % len(self), len(self)
        return self.take_undecoded(np.arange(start, min(start + count * step, end), step))

    def check(self, start: int) -> None:
        """Raises a CaffeError unless reading can begin at that number; some sources find out only then."""
        if start >= len(self):
            raise CaffeError(f"{self.name}: expected more than {start} records, got {len(self)}.")

    def labels(self) -> NDArray[np.float32] | None:
        """The labels of all records in order, where they are at hand; else None."""
        return None

    def where(self, record: int) -> str:
        """A record, for an error's text."""
        return f"{self.name}, record {record}"

    def close(self) -> None:
        """Gives up threads and files; nothing is read afterwards."""


def length_of(source: Source) -> int | None:
    """The number of a source's records; None if only reading it through can tell."""
    try:
        return len(source)
    except CaffeError:
        return None


def label_array(labels: Sequence[Sequence[float]], where: Callable[[int], str]) -> NDArray[np.float32]:
    """The labels of n records, n of them, or n x k if each record has k.

    Args:
        labels: of each record, 1 or more.
        where: what an error calls the i-th record.

    Raises:
        ShapeError: the records have not as many labels each.
    """
    count = len(labels[0])
    for i, some in enumerate(labels):
        if len(some) != count:
            raise ShapeError(
                f"{where(i)}: expected {count} label(s), as the record before has, got {len(some)}; all records of a "
                "batch have equally many."
            )
    array = np.array(labels, np.float32)
    return array[:, 0] if count == 1 else array


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

    def every(self, start: int, count: int, step: int) -> Records:
        epoch, at = divmod(start, len(self))
        self._shuffle(epoch)
        return self._source.take_undecoded(self._order[at : at + count * step : step])

    def check(self, start: int) -> None:
        """There is always another epoch."""

    def labels(self) -> NDArray[np.float32] | None:
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
