"""One value for each channel, over whole blobs: broadcasting it, and summing into it.

The work goes along memory, whatever the memory order, in pieces that the threads share.

NumPy needs long inner loops to be fast. Where one channel has many elements in a row (plain memory, large
images), a matrix row is one channel and meets one number. Where it has few (channels-last memory), a row is
many pixels long and meets a vector of channels that is repeated as often. Sums over everything but the
channels are products with a vector of ones, which BLAS does at the speed of memory; by np.dot, because np.matmul
keeps the other threads waiting (it holds the GIL) while it computes a result of 500 elements or fewer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any, NamedTuple

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.choice import compiled
from pycaffe_lite.kernels.copying import in_memory_order
from pycaffe_lite.parallel import parallel_for, slices

Factors = tuple[int, int, int, int]
"""lead, outer, channels, inner: the four lengths of memory, see `Layout`."""

RUN = 8192
"""Elements of an inner loop: from here on, the length of NumPy's buffers, it is about half as fast again."""

PIECE = 1 << 17
"""Elements of a piece. Smaller ones would fit a core's cache better, but then the steps are so short that threads
wait for each other between them: this length was the best or nearly so with one thread and with two."""

LEAST_WIDTH = 1024
"""Elements of a row in pieces that are cut between the channels."""

Add = Callable[[int, Array], None]
"""What `Channels.sums` hands to a body: add(k, matrix) puts a piece into the k-th sum."""

SHORT = 128
"""With fewer elements of one channel in a row, the channel vector is repeated to make long runs."""

SAMPLES = 64


class Channels:
    """How arrays of one shape and memory order meet vectors that have one value for each channel.

    "Channels" are the positions along the axes first … last - 1, counted in logical order. With first == last
    there is one channel that holds everything.

    Args:
        blob: gives shape, memory order and type. Arrays in another memory are copied to borrowed memory and
            back.
        first, last: the axes.

    Attributes:
        count: the number of channels.
        size: how many elements each has.
    """

    def __init__(self, blob: Blob, first: int, last: int) -> None:
        self.dtype = blob.dtype
        self.order = blob.order or tuple(range(blob.num_axes))
        factors = _factor(blob.shape, self.order, first, last)
        if factors is None:
            self.order = tuple(range(blob.num_axes))
            parts = blob.shape[:first], blob.shape[first:last], blob.shape[last:]
            factors = (1, prod(parts[0]), prod(parts[1]), prod(parts[2]))
        self.factors: Factors = factors
        lead, outer, channels, inner = factors
        self.count, self.size = lead * channels, outer * inner
        self.layout: Layout = (ShortRuns if inner < SHORT else LongRuns)(factors)
        self.ones = np.ones(self.layout.most_summed, self.dtype)
        self._spread: list[np.ndarray] = []
        self._partial = np.empty(0, self.dtype)

    def map(
        self,
        body: Callable[..., object],
        *arrays: Array,
        vectors: Sequence[np.ndarray] = (),
        written: int = 1,
    ) -> None:
        """Calls body(*arrays, *vectors) for matching pieces of all arrays, from several threads.

        Args:
            body: works element by element on matrices; the vectors come broadcastable to them.
            arrays: of the blob's shape; the last `written` ones are written to, the others only read.
            vectors: one value for each channel.
        """
        self._run(lambda i, pieces: body(*pieces), arrays, vectors, written)

    def sums(
        self,
        count: int,
        body: Callable[..., object],
        *arrays: Array,
        vectors: Sequence[np.ndarray] = (),
        written: int = 0,
    ) -> np.ndarray:
        """Calls body(add, *arrays, *vectors) as `map` does; add(k, matrix) puts a piece into the k-th sum.

        Each body calls add once for each k. The pieces' sums are added in double precision, in a fixed order.

        Returns:
            the sums, count x channels, in double precision.
        """
        size = prod(self.layout.partial_shape)
        if self._partial.size < count * size:
            self._partial = np.empty(count * size, self.dtype)
        partials = self._partial[: count * size].reshape(count, *self.layout.partial_shape)

        def add(i: int, k: int, matrix: Array) -> None:
            self.layout.add(self.layout.cuts[i], matrix, self.ones, partials[k])

        self._run(lambda i, pieces: body(partial(add, i), *pieces), arrays, vectors, written)
        return np.array([self.layout.total(each) for each in partials]).reshape(count, self.count)

    def loops(self) -> Any:
        """The compiled loops for `walk`, where the memory is such that it has them to offer; else None."""
        return compiled(self.dtype) if isinstance(self.layout, ShortRuns) and self.layout.whole_rows else None

    def walk(
        self,
        loop: Callable[..., object],
        *arrays: Array,
        vectors: Sequence[np.ndarray] = (),
        sums: int = 0,
        written: int = 1,
        numbers: Sequence[float] = (),
    ) -> np.ndarray:
        """As `map` and `sums`, with a compiled loop over matrices whose rows have one unit of channels.

        Args:
            loop: takes matrices, vectors, as many vectors for sums, which it sets, and numbers.

        Returns:
            the sums, as those of `sums`.
        """
        layout = self.layout
        assert isinstance(layout, ShortRuns)
        lead, _, channels, inner = layout.factors
        partials = np.empty((sums, *layout.partial_shape), self.dtype)
        with in_memory_order(arrays, self.order, written) as memory:
            matrices = [array.reshape(layout.shape) for array in memory]
            spread = [np.repeat(vector.astype(self.dtype).reshape(lead, channels), inner, axis=1) for vector in vectors]

            def piece(i: int) -> None:
                cut = layout.cuts[i]
                rows = [matrix[cut.rows].reshape(-1, layout.unit) for matrix in matrices]
                loop(*rows, *(s[cut.lead] for s in spread), *partials[:, cut.lead, cut.group], *numbers)

            parallel_for(len(layout.cuts), piece)
        return np.array([layout.total(each) for each in partials]).reshape(sums, self.count)

    def sample(self, array: Array) -> np.ndarray:
        """The mean of some dozens of elements of each channel: near enough to the mean to be subtracted before
        squares are summed, so that no digits are lost."""
        if not array.size:
            return np.zeros(self.count, self.dtype)
        _, outer, _, inner = self.factors
        step, inner_step = max(1, outer // SAMPLES), max(1, inner * min(outer, SAMPLES) // SAMPLES)
        with in_memory_order([array], self.order, 0) as (memory,):
            places = memory.reshape(self.factors)[:, ::step, :, ::inner_step]
            return places.mean(axis=(1, 3), dtype=np.float64).astype(self.dtype).reshape(-1)

    def _run(
        self,
        body: Callable[[int, list[Array]], object],
        arrays: Sequence[Array],
        vectors: Sequence[np.ndarray],
        written: int,
    ) -> None:
        """Cuts everything up, and calls body with the number of each piece and its parts."""
        layout = self.layout

        def piece(i: int) -> None:
            cut = layout.cuts[i]
            parts = [matrix[cut.rows, cut.columns] for matrix in matrices]
            body(i, parts + [layout.pick(cut, vector) for vector in spread])

        with in_memory_order(arrays, self.order, written) as memory:
            matrices = [array.reshape(layout.shape) for array in memory]
            spread = [self._spread_out(k, vector) for k, vector in enumerate(vectors)]
            parallel_for(len(layout.cuts), piece)

    def _spread_out(self, k: int, vector: np.ndarray) -> np.ndarray:
        if k == len(self._spread):
            self._spread.append(np.empty(self.layout.spread_shape, self.dtype))
        self.layout.spread(vector, self._spread[k])
        return self._spread[k]


def _factor(shape: Sequence[int], order: Sequence[int], first: int, last: int) -> Factors | None:
    """The memory as lead x outer x channels x inner, where lead and channels together are the channel axes.

    Those axes lie either together (lead is 1), or some of them first of all and the rest together, as the axes
    N, C of N x H x W x C. Returns None for any other memory.
    """
    axes = list(range(first, last))
    for leading in range(len(axes) + 1):
        front, block = axes[:leading], axes[leading:]
        if list(order[:leading]) != front:
            return None
        start = order.index(block[0]) if block else leading
        if list(order[start : start + len(block)]) == block:
            lead, outer, channels, inner = (
                prod(shape[axis] for axis in part)
                for part in (front, order[leading:start], block, order[start + len(block) :])
            )
            return lead, outer, channels, inner
    return None


# -- how memory with channels in it is cut into matrices -------------------------------------------------------


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
        self.whole_rows = len(column_cuts) < 2

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
