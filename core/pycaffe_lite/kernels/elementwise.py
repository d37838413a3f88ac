"""Element-by-element work on several arrays of one shape, shared among the threads when it is large."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pycaffe_lite.blob import Array
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


def flat(*arrays: Array) -> list[Array] | None:
    """Arrays of one shape as vectors in their common memory order; None unless all fill their memory in one order."""
    first = arrays[0]
    if any(array.strides != first.strides for array in arrays[1:]):
        return None
    order = sorted(range(first.ndim), key=lambda axis: -abs(first.strides[axis]))
    views = [array.transpose(order) for array in arrays]
    return [view.reshape(-1) for view in views] if views[0].flags.c_contiguous else None


def outermost(array: Array, but: int | None = None) -> int | None:
    """The axis with the longest stride among those longer than 1, other than `but`."""
    axes = [axis for axis, length in enumerate(array.shape) if length > 1 and axis != but]
    return max(axes, key=lambda axis: abs(array.strides[axis]), default=None)


_known_zeros: dict[np.dtype, np.ndarray] = {}


def zeros_like(array: Array) -> np.ndarray:
    """Zeros of an array's shape, memory order and type, shared by all, not to be written to.

    With them np.maximum and np.minimum take a third of the time they take with the number 0, for which NumPy
    has no vector instructions.
    """
    zeros = _known_zeros.get(array.dtype)
    if zeros is None or zeros.size < array.size:
        zeros = _known_zeros[array.dtype] = np.zeros(max(array.size, 1 << 17), array.dtype)
        zeros.flags.writeable = False
    if array.flags.c_contiguous:
        return zeros[: array.size].reshape(array.shape)
    order = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    memory = zeros[: array.size].reshape([array.shape[axis] for axis in order])
    return memory.transpose([order.index(axis) for axis in range(array.ndim)])


def sigmoid(x: Array, y: Array) -> None:
    """y = 1 / (1 + exp(-x)), which never overflows in this form; y may be x."""
    np.multiply(x, 0.5, out=y)
    np.tanh(y, out=y)
    np.multiply(y, 0.5, out=y)
    np.add(y, 0.5, out=y)


def affine(x: Array, scale: float, shift: float, y: Array) -> None:
    """y = shift + scale * x; y may be x."""
    if scale == 1 and shift:
        np.add(x, shift, out=y)
        return
    np.multiply(x, scale, out=y)
    if shift:
        np.add(y, shift, out=y)
