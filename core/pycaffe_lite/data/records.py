"""Where records come from: the one small interface of all sources, and the choice among them.

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
