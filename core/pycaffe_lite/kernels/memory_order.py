"""Arrays as their memory has them, for code that walks through memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array
from pycaffe_lite.memory import scratch


def to_memory_order(array: Array, order: Sequence[int], name: str, read: bool = True) -> Array:
    """The array with its axes in `order`, dense: a view where its memory has that order, else scratch memory.

    Args:
        array: any strides.
        order: the axes from the outermost to the innermost, as of a Blob.
        name: of the scratch memory.
        read: whether scratch memory gets the array's values.
    """
    memory = array.transpose(order)
    if memory.flags.c_contiguous:
        return memory
    copy = scratch(name, memory.shape, array.dtype)
    if read:
        copy[...] = memory
    return copy


def from_memory_order(dense: Array, array: Array, order: Sequence[int]) -> None:
    """Brings what was written to the result of `to_memory_order` into the array, if it is not there already."""
    if not np.may_share_memory(dense, array):
        memory = array.transpose(order)
        memory[...] = dense.reshape(memory.shape)
