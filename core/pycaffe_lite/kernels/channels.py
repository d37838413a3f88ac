"""One value for each channel, over whole blobs: broadcasting it, and summing into it.

The work goes along memory, whatever the memory order, in pieces that the threads share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.channel_layout import Factors, Layout, LongRuns, ShortRuns
from pycaffe_lite.kernels.memory_order import from_memory_order, to_memory_order
from pycaffe_lite.parallel import parallel_for

SHORT = 128
"""With fewer elements of one channel in a row, the channel vector is repeated to make long runs."""

SAMPLES = 64


class Channels:
    """How arrays of one shape and memory order meet vectors that have one value for each channel.

    "Channels" are the positions along the axes first … last - 1, counted in logical order. With first == last
    there is one channel that holds everything.

    Args:
        blob: gives shape, memory order and type. Arrays in another memory are copied to scratch memory and
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

    def sample(self, array: Array) -> np.ndarray:
        """The mean of some dozens of elements of each channel: near enough to the mean to be subtracted before
        squares are summed, so that no digits are lost."""
        if not array.size:
            return np.zeros(self.count, self.dtype)
        _, outer, _, inner = self.factors
        step, inner_step = max(1, outer // SAMPLES), max(1, inner * min(outer, SAMPLES) // SAMPLES)
        places = self._matrix(0, array, True).reshape(self.factors)[:, ::step, :, ::inner_step]
        return places.mean(axis=(1, 3), dtype=np.float64).astype(self.dtype).reshape(-1)

    def _run(
        self,
        body: Callable[[int, list[Array]], object],
        arrays: Sequence[Array],
        vectors: Sequence[np.ndarray],
        written: int,
    ) -> None:
        """Cuts everything up, and calls body with the number of each piece and its parts."""
        layout, first_written = self.layout, len(arrays) - written
        matrices = [self._matrix(k, array, k < first_written) for k, array in enumerate(arrays)]
        spread = [self._spread_out(k, vector) for k, vector in enumerate(vectors)]

        def piece(i: int) -> None:
            cut = layout.cuts[i]
            parts = [matrix[cut.rows, cut.columns] for matrix in matrices]
            body(i, parts + [layout.pick(cut, vector) for vector in spread])

        parallel_for(len(layout.cuts), piece)
        for array, matrix in zip(arrays[first_written:], matrices[first_written:], strict=True):
            from_memory_order(matrix, array, self.order)

    def _matrix(self, k: int, array: Array, read: bool) -> Array:
        return to_memory_order(array, self.order, f"channels {k}", read).reshape(self.layout.shape)

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
