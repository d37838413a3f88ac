"""Arrays of zeros to compare with."""

from __future__ import annotations

import numpy as np

from pycaffe_lite.blob import Array

_known: dict[np.dtype, np.ndarray] = {}


def zeros_like(array: Array) -> np.ndarray:
    """Zeros of an array's shape, memory order and type, shared by all, not to be written to.

    With them np.maximum and np.minimum take a third of the time they take with the number 0, for which NumPy
    has no vector instructions.
    """
    zeros = _known.get(array.dtype)
    if zeros is None or zeros.size < array.size:
        zeros = _known[array.dtype] = np.zeros(max(array.size, 1 << 17), array.dtype)
        zeros.flags.writeable = False
    if array.flags.c_contiguous:
        return zeros[: array.size].reshape(array.shape)
    order = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    memory = zeros[: array.size].reshape([array.shape[axis] for axis in order])
    return memory.transpose([order.index(axis) for axis in range(array.ndim)])
