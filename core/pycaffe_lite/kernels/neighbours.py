"""The neighbourhoods of LRN: sums over sliding windows, along memory and in pieces for the threads."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from math import prod

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.channels import PIECE
from pycaffe_lite.kernels.copying import along
from pycaffe_lite.memory import aligned_bytes
from pycaffe_lite.parallel import slices


class Workspace:
    """Memory in which one thread sums over the neighbours of pieces of one shape.

    Attributes:
        terms: like a piece; what is written there is summed up. Around it there are zeros.
        memory: dense memory of which `total` is a part.
        total: like a piece; `sum` fills it.
    """

    terms: Array
    memory: Array
    total: Array

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype
        self.steps: list[tuple[Array, Array, Array]] = []

    def sum(self) -> None:
        """Sets `total` to the sums over the neighbours."""
        for a, b, out in self.steps:
            np.add(a, b, out=out)

    def empty(self, *shape: int) -> Array:
        """Zeros that begin at a cache line."""
        return aligned_bytes(prod(shape) * self.dtype.itemsize).view(self.dtype).reshape(shape)

    def slide(self, terms: Array, axis: int, half: int, step: int, total: Array) -> None:
        """Plans total[i] = sum of terms[i + j * step] for j = 0 … 2 * half, half at least 1, along an axis.

        Every second sum of two neighbours is added up, and the last term: half as many additions.
        """
        reach = total.shape[axis] + 2 * (half - 1) * step
        pairs = total if half == 1 else self.empty(*total.shape[:axis], reach, *total.shape[axis + 1 :])
        self.steps.append((terms[along(axis, slice(reach))], terms[along(axis, slice(step, step + reach))], pairs))
        length = total.shape[axis]
        for pair in range(1, half):
            before = pairs[along(axis, slice(length))] if pair == 1 else total
            self.steps.append((before, pairs[along(axis, slice(2 * pair * step, 2 * pair * step + length))], total))
        self.steps.append((total, terms[along(axis, slice(2 * half * step, 2 * half * step + length))], total))


class Region(ABC):
    """Which elements are neighbours.

    Attributes:
        order: the memory order of the arrays.
        shape: theirs as the pieces are cut from it.
        cuts: the pieces, as indices into an array of that shape.
    """

    order: tuple[int, ...]
    shape: tuple[int, ...]
    cuts: list[tuple[slice, ...]]

    def __init__(self) -> None:
        self._local = threading.local()

    def workspace(self, piece: Array) -> Workspace:
        """The calling thread's workspace for pieces of that shape."""
        known: dict[tuple[tuple[int, ...], np.dtype], Workspace] = self._local.__dict__.setdefault("workspaces", {})
        key = (piece.shape, piece.dtype)
        if key not in known:
            known[key] = self._make(piece.shape, Workspace(piece.dtype))
        return known[key]

    @abstractmethod
    def _make(self, shape: tuple[int, ...], space: Workspace) -> Workspace:
        """Allocates a workspace for pieces of a shape and plans its sum."""


class AcrossChannels(Region):
    """The channels up to `half` away, at the same place.

    In memory a channel's neighbours are `inner` elements apart: 1 in channels-last memory. With a gap of zeros
    after each group of channels all of a piece is one long row, and the windows are shifts of it.
    """

    def __init__(self, blob: Blob, half: int) -> None:
        super().__init__()
        self.order = blob.order or (0, 1, 2, 3)
        lengths = [blob.shape[axis] for axis in self.order]
        at = self.order.index(1)
        outer, channels, inner = prod(lengths[:at]), lengths[at], prod(lengths[at + 1 :])
        self.shape = (outer, channels, inner)
        self.half = max(0, min(half, channels - 1))
        pieces = -(-blob.count // PIECE)
        several = channels * inner <= 2 * PIECE
        outer_cuts = slices(outer, pieces if several else outer) if blob.count else []
        inner_cuts = [slice(0, inner)] if several else slices(inner, -(-channels * inner // PIECE))
        self.cuts = [(rows, slice(None), columns) for rows in outer_cuts for columns in inner_cuts]

    def _make(self, shape: tuple[int, ...], space: Workspace) -> Workspace:
        outer, channels, inner = shape
        groups = (outer, channels + self.half, inner)
        gap, length = self.half * inner, prod(groups)
        row = space.empty(2 * gap + length)
        space.terms = row[gap : gap + length].reshape(groups)[:, :channels]
        space.memory = space.empty(length) if self.half else row
        space.total = space.memory.reshape(groups)[:, :channels]
        if self.half:
            space.slide(row, 0, self.half, inner, space.memory)
        return space


class WithinChannel(Region):
    """The places up to `half` rows and `half` columns away, in the same channel."""

    def __init__(self, blob: Blob, half: int) -> None:
        super().__init__()
        self.order = blob.order or (0, 1, 2, 3)
        self.shape = tuple(blob.shape[axis] for axis in self.order)
        self.axes = self.order.index(2), self.order.index(3)
        self.halves = [max(0, min(half, self.shape[axis] - 1)) for axis in self.axes]
        batch = self.order.index(0)
        cuts = slices(blob.num, -(-blob.count // PIECE)) if blob.count else []
        self.cuts = [(*[slice(None)] * batch, cut) for cut in cuts]

    def _make(self, shape: tuple[int, ...], space: Workspace) -> Workspace:
        padded = list(shape)
        for axis, half in zip(self.axes, self.halves, strict=True):
            padded[axis] += 2 * half
        sums = terms = space.empty(*padded)
        for axis, half in zip(self.axes, self.halves, strict=True):
            terms = terms[along(axis, slice(half, half + shape[axis]))]
            padded[axis] = shape[axis]
            if half:
                total = space.empty(*padded)
                space.slide(sums, axis, half, 1, total)
                sums = total
        space.terms, space.memory, space.total = terms, sums, sums
        return space
