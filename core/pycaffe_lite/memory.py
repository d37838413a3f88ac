"""Memory for arrays: aligned to cache lines, and lent for passing results."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from math import prod

import numpy as np

BOOL = np.dtype(np.bool_)

_local = threading.local()


class borrow:
    """Memory for a passing result, uninitialized: `with borrow(shape, dtype) as term: …`.

    Until the block ends nobody else gets it, so users may nest as they like. Each thread keeps what comes back and
    lends the latest first, which is the one still in the core's cache; it grows to the largest size asked for. With
    memory of its own for each object GoogLeNet, batch 8, takes 1,079 MB where this takes 778, in the same time.

    Args:
        shape: of the array.
        dtype: of its values.
        axes: if given, the array's axes are transposed like this before it is handed out.
    """

    __slots__ = ("_axes", "_dtype", "_idle", "_memory", "_shape")

    def __init__(self, shape: Sequence[int], dtype: np.dtype, axes: Sequence[int] | None = None) -> None:
        self._shape, self._dtype, self._axes = shape, dtype, axes

    def __enter__(self) -> np.ndarray:
        try:
            self._idle = _local.idle
        except AttributeError:
            self._idle = _local.idle = []
        nbytes = prod(self._shape) * self._dtype.itemsize
        memory = self._idle.pop() if self._idle else None
        if memory is None or memory.nbytes < nbytes:
            memory = aligned_bytes(nbytes)
        self._memory = memory
        array = memory[:nbytes].view(self._dtype).reshape(self._shape)
        return array if self._axes is None else array.transpose(self._axes)

    def __exit__(self, *error: object) -> None:
        self._idle.append(self._memory)


class Loans:
    """Loans that end together: `with Loans() as loans: term = loans.take(shape, dtype)`, see `borrow`.

    A function that may have to borrow what it hands back takes the `loans` of its caller.
    """

    __slots__ = ("_open",)

    def __enter__(self) -> Loans:
        self._open: list[borrow] = []
        return self

    def take(self, shape: Sequence[int], dtype: np.dtype, axes: Sequence[int] | None = None) -> np.ndarray:
        """Borrows memory until the block ends."""
        loan = borrow(shape, dtype, axes)
        array = loan.__enter__()
        self._open.append(loan)
        return array

    def __exit__(self, *error: object) -> None:
        for loan in reversed(self._open):
            loan.__exit__()


def borrow_like(array: np.ndarray, dtype: np.dtype | None = None, shape: Sequence[int] | None = None) -> borrow:
    """As `borrow`, in an array's shape and memory order, so that ufuncs run straight through both.

    Args:
        dtype: another type than the array's.
        shape: another shape, with as many axes.
    """
    shape = array.shape if shape is None else shape
    if array.flags.c_contiguous:
        return borrow(shape, dtype or array.dtype)
    order = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    axes = [order.index(axis) for axis in range(array.ndim)]
    return borrow([shape[axis] for axis in order], dtype or array.dtype, axes)


def aligned_bytes(nbytes: int) -> np.ndarray:
    """Zeroed bytes that begin at a cache line, so that vector loads do not straddle two."""
    memory = np.zeros(nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + nbytes]
