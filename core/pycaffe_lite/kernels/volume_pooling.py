"""MAX and AVE pooling over any number of spatial axes, for clips of images and other volumes.

Volumes and their pooled maps are N x C x D x H x W, or have more axes, with any strides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from pycaffe_lite.blob import Array
from pycaffe_lite.kernels.indexing import along
from pycaffe_lite.kernels.pooling import LEAST, PoolingMethod
from pycaffe_lite.kernels.windows import Window


class VolumePooling(PoolingMethod):
    """What both have in common: a window is reduced along one axis after the other."""

    def reduce_all(self, function: Callable[..., object], empty: float, volume: Array, out: Array) -> None:
        """Reduces each window with a ufunc."""
        last = len(self.count) - 1
        for axis, count in enumerate(self.count):
            shape = (*volume.shape[: 2 + axis], count, *volume.shape[3 + axis :])
            target = out if axis == last else np.empty(shape, volume.dtype)
            self._reduce_axis(function, empty, axis, volume, target)
            volume = target


class VolumeMaxPooling(VolumePooling):
    """The largest value; the first one, in row order, gets the whole gradient."""

    def forward(self, image: Array, out: Array, cut: slice) -> None:
        self.reduce_all(np.maximum, LEAST, image, out)

    def write_indices(self, image: Array, out: Array, indices: Array) -> None:
        """Where each maximum lies in its volume, counted along the rows; -1 where no value equals it."""
        numbers = np.arange(prod(self.sizes), dtype=self.dtype).reshape(self.sizes)
        indices[...] = -1
        for windows, pixels in self.window.taps(self.count, self.sizes):
            place = _part(indices, windows)
            wins = (_part(image, pixels) == _part(out, windows)) & (place < 0)
            np.copyto(place, _part(numbers, pixels), where=wins)

    def backward(self, image: Array, image_diff: Array, out: Array, diff: Array, cut: slice) -> None:
        image_diff.fill(0)
        waiting = np.ones(out.shape, bool)
        for windows, pixels in self.window.taps(self.count, self.sizes):
            still = _part(waiting, windows)
            wins = (_part(image, pixels) == _part(out, windows)) & still
            target = _part(image_diff, pixels)
            np.add(target, _part(diff, windows), out=target, where=wins)
            still &= ~wins


def _part(array: np.ndarray, place: tuple[slice, ...]) -> np.ndarray:
    """The part of an array at a place along its last axes."""
    index: Any = (Ellipsis, *place)
    return np.asarray(array[index])


class VolumeAveragePooling(VolumePooling):
    """The sum divided by the window's size: padding counts, up to one pad past the edge."""

    def __init__(self, window: Window, sizes: Sequence[int], count: Sequence[int], dtype: np.dtype) -> None:
        super().__init__(window, sizes, count, dtype)
        divisor = np.ones((), dtype)
        for size, n, kernel, stride, pad in zip(sizes, count, window.kernel, window.stride, window.pad, strict=True):
            start = np.arange(n) * stride - pad
            length = np.maximum(np.minimum(start + kernel, size + pad) - start, 1)
            divisor = divisor[..., None] * length.astype(dtype)
        self.divisor = divisor

    def forward(self, image: Array, out: Array, cut: slice) -> None:
        self.reduce_all(np.add, 0, image, out)
        np.divide(out, self.divisor, out=out)

    def backward(self, image: Array, image_diff: Array, out: Array, diff: Array, cut: slice) -> None:
        share = diff / self.divisor
        for axis in reversed(range(len(self.count))):
            shape = (*share.shape[: 2 + axis], self.sizes[axis], *share.shape[3 + axis :])
            target = np.zeros(shape, share.dtype)
            for windows, pixels in self.places(axis):
                target[along(2 + axis, pixels)] += share[along(2 + axis, windows)]
            share = target
        np.copyto(image_diff, share)
