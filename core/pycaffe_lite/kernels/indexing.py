"""Indices of arrays with any number of axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Index = tuple[slice | int, ...]


def along(axis: int, *index: slice | int) -> Index:
    """The index that selects along an axis, and along those behind it, and keeps all of those before it."""
    return (*(slice(None),) * axis, *index)


def fill_border(array: np.ndarray, borders: Sequence[tuple[int, int]], value: float, axis: int = 1) -> np.ndarray:
    """Sets the border of an array.

    Args:
        borders: how wide it is before and after, along `axis` and those behind it.

    Returns:
        a view of what is inside.
    """
    for at, (before, after) in enumerate(borders, start=axis):
        end = array.shape[at] - after
        array[along(at, slice(0, before))] = value
        array[along(at, slice(end, None))] = value
        array = array[along(at, slice(before, end))]
    return array
