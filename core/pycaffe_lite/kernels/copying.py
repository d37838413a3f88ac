"""Copies of arrays: whole, in parts, in another memory order, or none at all where the memory can be shared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, pairwise

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.elementwise import outermost
from pycaffe_lite.memory import Loans, borrow
from pycaffe_lite.parallel import parallel_for, slices

WORTH_SHARING = 1 << 19
"""Elements: copying is over so soon that waking a thread pays later than for arithmetic."""

PIECE = 1 << 18

Index = tuple[slice | int, ...]

_RESHAPE_TAKES_COPY = np.lib.NumpyVersion(np.__version__) >= "2.1.0"


def copy_all(pairs: Sequence[tuple[Array, Array]]) -> None:
    """target[...] = source for each pair (target, source), shared among the threads when there is much to copy.

    A source must have its target's shape.
    """
    if sum(target.size for target, _ in pairs) < WORTH_SHARING:
        for target, source in pairs:
            np.copyto(target, source)
        return
    pieces = [piece for pair in pairs for piece in _cut(*pair)]
    parallel_for(len(pieces), lambda i: np.copyto(*pieces[i]))


def _cut(target: Array, source: Array) -> Iterator[tuple[Array, Array]]:
    """A pair in matching pieces, each a run of the target's memory."""
    axis = outermost(target)
    if axis is None:
        yield target, source
        return
    for cut in slices(target.shape[axis], -(-target.size // PIECE)):
        yield target[along(axis, cut)], source[along(axis, cut)]


def parts(array: Array, axis: int, lengths: Sequence[int]) -> list[Array]:
    """Views of an array's consecutive parts along an axis."""
    return [array[along(axis, slice(a, b))] for a, b in pairwise(accumulate(lengths, initial=0))]


def common_order(blobs: Sequence[Blob]) -> tuple[int, ...] | None:
    """The memory order of the blob that takes most memory, for a blob made of all of them."""
    return max(blobs, key=lambda blob: blob.count).order


def view_as(array: Array, shape: Sequence[int]) -> Array | None:
    """The array under another shape, with the elements in the same logical order; None where that takes a copy."""
    if _RESHAPE_TAKES_COPY:
        try:
            return array.reshape(shape, copy=False)
        except ValueError:
            return None
    view = array.view()
    try:
        view.shape = tuple(shape)
    except AttributeError:
        return None
    return view


def side_by_side(*arrays: Array) -> bool:
    """Whether the last axis of each has its elements side by side in memory."""
    return all(array.strides[-1] == array.itemsize for array in arrays)


def dense(array: np.ndarray, loans: Loans) -> np.ndarray:
    """The array itself if it is C-contiguous, else a copy in memory that is borrowed until the loans end."""
    return array if array.flags.c_contiguous else copied(array, loans)


def copied(array: np.ndarray, loans: Loans) -> np.ndarray:
    """A C-contiguous copy in memory that is borrowed until the loans end."""
    copy = loans.take(array.shape, array.dtype)
    np.copyto(copy, array)
    return copy


class dense_to_write:
    """`with dense_to_write(array) as memory:` a C-contiguous array itself, or memory copied to it at the end."""

    __slots__ = ("_array", "_loan", "_memory")

    def __init__(self, array: np.ndarray) -> None:
        self._array = self._memory = array
        self._loan = None if array.flags.c_contiguous else borrow(array.shape, array.dtype)

    def __enter__(self) -> np.ndarray:
        if self._loan is not None:
            self._memory = self._loan.__enter__()
        return self._memory

    def __exit__(self, *error: object) -> None:
        if self._loan is not None:
            np.copyto(self._array, self._memory)
            self._loan.__exit__()


@contextmanager
def in_memory_order(arrays: Sequence[Array], order: Sequence[int], written: int) -> Iterator[list[Array]]:
    """Arrays with their axes in another order, C-contiguous: views where their memory has that order, else copies.

    Args:
        arrays: any strides.
        order: the axes from the outermost to the innermost, as of a Blob.
        written: so many of them, the last ones, get at the end what has been written to their copies.
    """
    with Loans() as loans:
        views = [array.transpose(order) for array in arrays]
        memory = [dense(view, loans) for view in views]
        yield memory
        for view, copy in list(zip(views, memory, strict=True))[len(views) - written :]:
            if copy is not view:
                np.copyto(view, copy)


def along(axis: int, *index: slice | int) -> Index:
    """The index that selects along an axis, and along those behind it, and keeps all of those before it."""
    return (*(slice(None),) * axis, *index)


def border(shape: Sequence[int], widths: Sequence[tuple[int, int]], axis: int = 1) -> tuple[list[Index], Index]:
    """Where the border of an array lies, and what it encloses.

    Args:
        shape: of the array.
        widths: how wide the border is before and after, along `axis` and those behind it.

    Returns:
        the indices of the border's parts, which do not overlap, and that of the inside.
    """
    edges: list[Index] = []
    inside: list[slice] = []
    for at, (before, after) in enumerate(widths, start=axis):
        end = shape[at] - after
        parts = ((slice(0, before), before), (slice(end, None), after))
        edges += [along(axis, *inside, part) for part, width in parts if width]
        inside.append(slice(before, end))
    return edges, along(axis, *inside)
