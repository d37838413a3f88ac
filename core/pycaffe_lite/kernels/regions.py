"""Boxes on maps: rounding, and the parts that they are cut into."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.blob import Array

Indices = NDArray[np.intp]

FARTHEST = 1e9
"""A coordinate beyond it, or one that is not a number, counts as this one: no map is that large."""


def finite(values: Array) -> NDArray[np.float64]:
    """Values in double precision, none of them beyond FARTHEST."""
    return np.clip(np.nan_to_num(values.astype(np.float64), nan=FARTHEST), -FARTHEST, FARTHEST)


def round_half_away(values: Array) -> Indices:
    """The nearest whole numbers, halves away from 0."""
    exact = finite(values)
    return (np.sign(exact) * np.floor(np.abs(exact) + 0.5)).astype(np.intp)


def images_of(boxes: Array) -> Indices | None:
    """The first number of each box, cut to a whole one; None if one is not a number."""
    first = boxes[:, 0]
    return None if np.isnan(first).any() else np.clip(first, -FARTHEST, FARTHEST).astype(np.intp)


def bin_edges(start: np.ndarray, length: np.ndarray, count: int, size: int) -> tuple[Indices, Indices]:
    """Where each of `count` parts of a side begins and ends, both R x count, cut to a map of `size` places.

    They are computed in float32, as the forks do it, since a part ends one place later where that rounds up.

    Args:
        start, length: of each of R boxes; whole numbers, or float32 (then parts begin between places).
    """
    exact = np.issubdtype(start.dtype, np.integer)
    part = length.astype(np.float32) / np.float32(count)
    edges = part[:, None] * np.arange(count + 1, dtype=np.float32)
    if not exact:
        edges = edges + start[:, None].astype(np.float32)
    whole = start[:, None].astype(np.intp) if exact else 0
    first = np.floor(finite(edges[:, :-1])).astype(np.intp) + whole
    last = np.ceil(finite(edges[:, 1:])).astype(np.intp) + whole
    return np.clip(first, 0, size), np.clip(last, 0, size)
