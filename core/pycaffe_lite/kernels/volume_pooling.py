"""MAX and AVE pooling over any number of spatial axes, for clips of images and other volumes.

Volumes and their pooled maps are N x C x D x H x W, or have more axes, with any strides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from pycaffe_lite.blob import Array
from pycaffe_lite.kernels.pooling import LEAST, PoolingMethod
from pycaffe_lite.kernels.windows import Window
from pycaffe_lite.memory import Loans


class VolumePooling(PoolingMethod):
    """What both have in common: a window is reduced along one axis after the other."""

    def reduce_all(self, function: Callable[..., object], empty: float, volume: Array, out: Array) -> None:
        """Reduces each window with a ufunc."""
        last = len(self.count) - 1
        with Loans() as loans:
            for axis, count in enumerate(self.count):
                shape = (*volume.shape[: 2 + axis], count, *volume.shape[3 + axis :])
                target = out if axis == last else loans.take(shape, volume.dtype)
                self._reduce_axis(axis, function, empty, volume, target)
                volume = target


class VolumeMaxPooling(VolumePooling):
    """The largest value; the first one, in row order, gets the whole gradient."""

    def forward(self, image: Array, out: Array, cut: slice) -> None:
        self.reduce_all(np.maximum, LEAST, image, out)

    def write_indices(self, image: Array, out: Array, indices: Array) -> None:
        """Where each maximum lies in its volume, counted along the rows; -1 where no value equals it."""
        numbers = np.arange(prod(self.sizes), dtype=self.dtype).reshape(1, 1, *self.sizes)
        indices[...] = -1
        for windows, pixels in self._each_tap():
            place = indices[windows]
            wins = (image[pixels] == out[windows]) & (place < 0)
            np.copyto(place, numbers[pixels], where=wins)

    def backward(self, image: Array, image_diff: Array, out: Array, diff: Array, cut: slice) -> None:
        image_diff.fill(0)
        waiting = np.ones(out.shape, bool)
        for windows, pixels in self._each_tap():
            still, target = waiting[windows], image_diff[pixels]
            wins = (image[pixels] == out[windows]) & still
            np.add(target, diff[windows], out=target, where=wins)
            still &= ~wins


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
            for windows, pixels in self.places[axis]:
                target[pixels] += share[windows]
            share = target
        np.copyto(image_diff, share)
