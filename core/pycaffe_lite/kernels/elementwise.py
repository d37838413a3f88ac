"""Element-by-element work on several arrays of one shape, shared among the threads when it is large."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pycaffe_lite.blob import Array
from pycaffe_lite.memory import scratch
from pycaffe_lite.parallel import parallel_for, slices

WORTH_SHARING = 1 << 17
"""Below this many elements waking a thread costs more than it saves."""

PIECE = 1 << 16
"""Elements of a piece: a few float32 arrays of that length stay in a core's cache between two steps."""


def elementwise(body: Callable[..., object], *arrays: Array, whole: int | None = None) -> None:
    """Calls body(*arrays), or for large arrays calls it for matching pieces of all of them, from several
    threads.

    The pieces are views cut along one axis, whatever the arrays' memory order. They depend on the first
    array's shape and strides alone, so the results are the same for any number of threads.

    Args:
        body: works element by element, or along the axis `whole`; writes into its arguments.
        arrays: equally long along every axis but `whole`.
        whole: an axis that must not be cut.
    """
    first = arrays[0]
    axis = outermost(first, whole) if first.size >= WORTH_SHARING else None
    if axis is None:
        body(*arrays)
        return
    before = (slice(None),) * axis
    places = [(*before, cut) for cut in slices(first.shape[axis], -(-first.size // PIECE))]
    pieces = [tuple(array[place] for array in arrays) for place in places]
    parallel_for(len(pieces), lambda i: body(*pieces[i]))


def outermost(array: Array, but: int | None = None) -> int | None:
    """The axis with the longest stride among those longer than 1, other than `but`."""
    axes = [axis for axis, length in enumerate(array.shape) if length > 1 and axis != but]
    return max(axes, key=lambda axis: abs(array.strides[axis]), default=None)


def scratch_like(name: str, array: Array, dtype: np.dtype, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Scratch memory of an array's shape and memory order, so that ufuncs run straight through both.

    Args:
        shape: another shape, with as many axes.
    """
    shape = shape or array.shape
    if array.flags.c_contiguous:
        return scratch(name, shape, dtype)
    order = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    memory = scratch(name, [shape[axis] for axis in order], dtype)
    return memory.transpose([order.index(axis) for axis in range(array.ndim)])
