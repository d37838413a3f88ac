"""Bilinear resizing of planes, corners onto corners, and its transpose."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.blob import Array
from pycaffe_lite.parallel import parallel_for, slices

PIECE = 1 << 16
"""Elements of the rows that are made in one step, so that they stay in a core's cache."""


class Taps(NamedTuple):
    """For each place along an axis of the result, the two places it lies between, and the share of the second."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    share: Array


def taps(size: int, result: int, dtype: np.dtype) -> Taps:
    """Places are computed in float32, as the forks of Caffe do it, whatever the values' type."""
    step = np.float32(size - 1) / np.float32(result - 1) if result > 1 else np.float32(0)
    at = step * np.arange(result, dtype=np.float32)
    first = np.minimum(at.astype(np.intp), size - 1)
    second = np.minimum(first + 1, size - 1)
    return Taps(first, second, (at - first.astype(np.float32)).astype(dtype))


class Resizing:
    """Resizes a part of each plane.

    Args:
        place: the rows and columns of the part, at least one each.
        result: the height and width of what is made of it, 1 or more.
        dtype: of the values.
    """

    def __init__(self, place: tuple[slice, slice], result: tuple[int, int], dtype: np.dtype) -> None:
        self.place = place
        sizes = [part.stop - part.start for part in place]
        self.same = tuple(sizes) == result
        self.rows, self.columns = (taps(size, length, dtype) for size, length in zip(sizes, result, strict=True))

    def forward(self, x: Array, y: Array) -> None:
        """Sets y, N x C x OH x OW, from x, N x C x H x W, both of any strides."""
        last = _is_last(y)
        planes, out = _planes(x, last)[:, :, self.place[0], self.place[1]], _planes(y, last)
        if self.same:
            np.copyto(out, planes)
            return
        rows, columns = self.rows, self.columns
        pieces = slices(out.shape[2], -(-out.size // PIECE))

        def piece(i: int) -> None:
            cut = pieces[i]
            between = _mix(planes, 2, Taps(rows.first[cut], rows.second[cut], rows.share[cut]))
            out[:, :, cut] = _mix(between, 3, columns)

        parallel_for(len(pieces), piece)

    def backward(self, dy: Array, dx: Array) -> None:
        """Sets dx, of the shape of x, from dy: the transpose of `forward`, as a product with a matrix for each axis."""
        last = _is_last(dx)
        planes, target = _planes(dy, last), _planes(dx, last)
        inside = target[:, :, self.place[0], self.place[1]]
        target.fill(0)
        if self.same:
            inside[...] = planes
            return
        rows, columns = _matrix(self.rows, inside.shape[2]), _matrix(self.columns, inside.shape[3])

        def image(i: int) -> None:
            # Rows first: planes x OH x (OW channels) to planes x H x (OW channels).
            part = np.ascontiguousarray(planes[i])
            between = rows @ part.reshape(*part.shape[:2], -1)
            inside[i] = columns @ between.reshape(part.shape[0], -1, *part.shape[2:])

        parallel_for(len(planes), image)


def _is_last(array: Array) -> bool:
    """Whether the channels, axis 1, are what lies closest together in memory."""
    return array.shape[1] > 1 and array.strides[1] < min(array.strides[2:])


def _planes(array: Array, last: bool) -> Array:
    """N x C x H x W as a view N x C x H x W x 1, or N x 1 x H x W x C."""
    return array.transpose(0, 2, 3, 1)[:, None] if last else array[..., None]


def _mix(x: Array, axis: int, taps: Taps) -> Array:
    """Takes both places along an axis, and mixes them."""
    result = x.take(taps.first, axis=axis)
    if taps.share.any():
        share = taps.share.reshape(-1, *[1] * (x.ndim - axis - 1))
        result *= 1 - share
        second = x.take(taps.second, axis=axis)
        second *= share
        result += second
    return result


def _matrix(taps: Taps, size: int) -> Array:
    """What `_mix` does along an axis of `size` places, transposed: size x results."""
    matrix = np.zeros((size, len(taps.first)), taps.share.dtype)
    each = np.arange(len(taps.first))
    matrix[taps.first, each] = 1 - taps.share
    matrix[taps.second, each] += taps.share
    return matrix
