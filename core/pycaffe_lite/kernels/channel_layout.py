"""How memory with channels in it is cut into matrices.

NumPy needs long inner loops to be fast. Where one channel has many elements in a row (plain memory, large
images), a matrix row is one channel and meets one number. Where it has few (channels-last memory), a row is
many pixels long and meets a vector of channels that is repeated as often. Sums over everything but the
channels are products with a vector of ones, which BLAS does at the speed of memory; by np.dot, because np.matmul
keeps the other threads waiting (it holds the GIL) while it computes a result of 500 elements or fewer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from pycaffe_lite.blob import Array
from pycaffe_lite.parallel import slices

Factors = tuple[int, int, int, int]
"""lead, outer, channels, inner: the four lengths of memory, see `Layout`."""

RUN = 8192
"""Elements of an inner loop: from here on, the length of NumPy's buffers, it is about half as fast again."""

PIECE = 1 << 17
"""Elements of a piece. Smaller ones would fit a core's cache better, but then the steps are so short that threads
wait for each other between them: this length was the best or nearly so with one thread and with two."""

LEAST_WIDTH = 1024
"""Elements of a row in pieces that are cut between the channels."""


class Cut(NamedTuple):
    """A piece of the matrix.

    Attributes:
        rows, columns: where.
        lead: which of the leading channels it belongs to.
        group: its number among the row cuts of that lead, or among the column cuts.
    """

    rows: slice
    columns: slice
    lead: int
    group: int


class Layout(ABC):
    """Memory of lead x outer x channels x inner elements as a matrix; its channels are lead x channels.

    Attributes:
        shape: of the matrix.
        cuts: the pieces.
        spread_shape: of a vector that has been made ready to meet the matrix.
        partial_shape: of the sums of the pieces.
        most_summed: the longest vector of ones that a sum needs.
    """

    shape: tuple[int, int]
    cuts: list[Cut]
    spread_shape: tuple[int, ...]
    partial_shape: tuple[int, ...]
    most_summed: int

    @abstractmethod
    def spread(self, vector: np.ndarray, out: np.ndarray) -> None:
        """Repeats a vector of channels into memory of `spread_shape`."""

    @abstractmethod
    def pick(self, cut: Cut, spread: np.ndarray) -> np.ndarray:
        """What of a spread vector meets a piece."""

    @abstractmethod
    def add(self, cut: Cut, matrix: Array, ones: np.ndarray, partial: np.ndarray) -> None:
        """Sums a piece into its place of the partial sums."""

    @abstractmethod
    def total(self, partial: np.ndarray) -> np.ndarray:
        """The partial sums as one vector of channels, in double precision."""


class ShortRuns(Layout):
    """A row is several times channels x inner elements and meets the vector repeated as often."""

    def __init__(self, factors: Factors) -> None:
        self.factors = lead, outer, channels, inner = factors
        self.unit = channels * inner
        self.times = _repetitions(outer, self.unit)
        self.width = self.times * self.unit
        rows = outer // self.times
        self.shape = (lead * rows, self.width)
        self.spread_shape = (lead, self.width)
        row_cuts, column_cuts = self._cut(rows) if rows * self.width * lead else ([], [])
        self.cuts = [
            Cut(slice(at * rows + cut.start, at * rows + cut.stop), columns, at, group)
            for at in range(lead)
            for group, cut in enumerate(row_cuts)
            for columns in column_cuts
        ]
        self.partial_shape = (lead, len(row_cuts), self.unit)
        self.most_summed = max((cut.stop - cut.start for cut in row_cuts), default=0) * self.times

    def _cut(self, rows: int) -> tuple[list[slice], list[slice]]:
        """Between its rows; between the channels where one row is more than a piece."""
        if self.width > 2 * PIECE:
            width = max(LEAST_WIDTH, PIECE // rows)
            return [slice(0, rows)], slices(self.width, -(-self.width // width))
        return slices(rows, -(-rows * self.width // PIECE)), [slice(0, self.width)]

    def spread(self, vector: np.ndarray, out: np.ndarray) -> None:
        lead, _, channels, inner = self.factors
        out.reshape(lead, self.times, channels, inner)[...] = vector.reshape(lead, 1, channels, 1)

    def pick(self, cut: Cut, spread: np.ndarray) -> np.ndarray:
        return spread[cut.lead, cut.columns]

    def add(self, cut: Cut, matrix: Array, ones: np.ndarray, partial: np.ndarray) -> None:
        units = matrix if self.times == 1 else matrix.reshape(-1, self.unit)
        np.dot(ones[: len(units)], units, out=partial[cut.lead, cut.group, cut.columns])

    def total(self, partial: np.ndarray) -> np.ndarray:
        lead, _, channels, inner = self.factors
        parts = partial.reshape(lead, partial.shape[1], channels, inner)
        return parts.sum(axis=(1, 3), dtype=np.float64).reshape(-1)


class LongRuns(Layout):
    """A row is `inner` elements of one channel and meets one number."""

    def __init__(self, factors: Factors) -> None:
        self.factors = lead, outer, channels, inner = factors
        rows = lead * outer * channels
        self.shape = (rows, inner)
        self.spread_shape = (rows, 1)
        row_cuts = slices(rows, -(-rows * inner // PIECE)) if rows else []
        column_cuts = slices(inner, -(-inner // PIECE)) if inner > 2 * PIECE else [slice(0, inner)]
        self.cuts = [Cut(cut, columns, 0, group) for cut in row_cuts for group, columns in enumerate(column_cuts)]
        self.partial_shape = (len(column_cuts), rows)
        self.most_summed = max(cut.stop - cut.start for cut in column_cuts)

    def spread(self, vector: np.ndarray, out: np.ndarray) -> None:
        lead, outer, channels, _ = self.factors
        out.reshape(lead, outer, channels)[...] = vector.reshape(lead, 1, channels)

    def pick(self, cut: Cut, spread: np.ndarray) -> np.ndarray:
        return spread[cut.rows]

    def add(self, cut: Cut, matrix: Array, ones: np.ndarray, partial: np.ndarray) -> None:
        np.dot(matrix, ones[: matrix.shape[1]], out=partial[cut.group, cut.rows])

    def total(self, partial: np.ndarray) -> np.ndarray:
        lead, outer, channels, _ = self.factors
        parts = partial.reshape(len(partial), lead, outer, channels)
        return parts.sum(axis=(0, 2), dtype=np.float64).reshape(-1)


def _repetitions(outer: int, unit: int) -> int:
    """How many units make a row: a divisor of `outer` that makes it RUN elements long or a bit more."""
    if unit == 0 or outer * unit <= RUN:
        return max(1, outer)
    least, most = -(-RUN // unit), PIECE // unit
    longer = (times for times in range(least, most + 1) if outer % times == 0)
    shorter = (times for times in range(min(least, outer), 0, -1) if outer % times == 0)
    return next(longer, next(shorter))
