"""STOCHASTIC pooling, which Caffe has on the GPU alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite import rng
from pycaffe_lite.blob import Array
from pycaffe_lite.kernels.elementwise import scratch_like
from pycaffe_lite.kernels.pooling import PoolingMethod
from pycaffe_lite.kernels.windows import Window

NONE = -1


class StochasticPooling(PoolingMethod):
    """A pixel of the window drawn with a probability proportional to its value, which must not be negative.

        TRAIN: the first pixel, in row order, at which the sum of the pixels so far reaches u times the whole sum; u is
               uniform in [0, 1], drawn anew for each window, in logical (N, C, H, W) order. It gets the whole gradient.
        TEST:  what that gives on average: sum x² / sum x, or 0 where the sum is not above 0

    In training a window whose sums never get there (not a number, or negative) gives u times its sum, and no gradient.

    Source: Zeiler and Fergus, "Stochastic Pooling for Regularization of Deep Convolutional Neural Networks", 2013.
    """

    def __init__(self, window: Window, sizes: Sequence[int], count: Sequence[int], dtype: np.dtype) -> None:
        super().__init__(window, sizes, count, dtype)
        self.uniforms: Array = np.empty(0, np.float32)
        self.chosen = np.empty(0, np.int32)

    def prepare(self, out: Array) -> None:
        """Draws for all windows, before the threads share them."""
        batch, planes, height, width, run = out.shape
        if self.chosen.shape != out.shape:
            self.chosen = np.empty(out.shape, np.int32)
            self.drawn = np.empty((batch, planes * run, height, width), np.float32)
            logical = self.drawn.reshape(batch, planes, run, height, width)
            self.uniforms = logical.transpose(0, 1, 3, 4, 2)
        rng.uniform(out.size, out=self.drawn)

    def forward(self, image: Array, out: Array, cut: slice) -> None:
        """Sets `chosen` to the number of the tap that was drawn."""
        threshold, total = (scratch_like(name, out, out.dtype) for name in ("threshold", "total"))
        free, winner = (scratch_like(name, out, np.dtype(bool)) for name in ("free", "winner"))
        chosen = self.chosen[cut]
        self._sum(image, threshold)
        np.multiply(threshold, self.uniforms[cut], out=threshold)
        total.fill(0)
        free.fill(True)
        chosen.fill(NONE)
        np.copyto(out, threshold)
        for tap, ((y, x), (rows, columns)) in enumerate(self.window.taps(self.count, self.sizes)):
            pixels = image[:, :, rows, columns]
            sums, left, wins = (array[:, :, y, x] for array in (total, free, winner))
            np.add(sums, pixels, out=sums)
            np.greater_equal(sums, threshold[:, :, y, x], out=wins)
            np.logical_and(wins, left, out=wins)
            np.logical_xor(wins, left, out=left)
            np.copyto(out[:, :, y, x], pixels, where=wins)
            np.copyto(chosen[:, :, y, x], tap, where=wins)

    def _sum(self, image: Array, total: Array) -> None:
        """The sums over the windows, added in the order in which `forward` adds them again."""
        total.fill(0)
        for (y, x), (rows, columns) in self.window.taps(self.count, self.sizes):
            place = total[:, :, y, x]
            np.add(place, image[:, :, rows, columns], out=place)

    def backward(self, image: Array, image_diff: Array, out: Array, diff: Array, cut: slice) -> None:
        winner = scratch_like("winner", diff, np.dtype(bool))
        given = scratch_like("given", diff, diff.dtype)
        chosen = self.chosen[cut]
        image_diff.fill(0)
        for tap, ((y, x), (rows, columns)) in enumerate(self.window.taps(self.count, self.sizes)):
            wins = np.equal(chosen[:, :, y, x], tap, out=winner[:, :, y, x])
            part = np.multiply(diff[:, :, y, x], wins, out=given[:, :, y, x])
            place = image_diff[:, :, rows, columns]
            np.add(place, part, out=place)


class WeightedPooling(PoolingMethod):
    """STOCHASTIC pooling in TEST: the average weighted by the values themselves."""

    def forward(self, image: Array, out: Array, cut: slice) -> None:
        total = self._totals(image, out)
        square = scratch_like("square", out, out.dtype)
        out.fill(0)
        for (y, x), (rows, columns) in self.window.taps(self.count, self.sizes):
            pixels, place = image[:, :, rows, columns], out[:, :, y, x]
            np.add(place, np.multiply(pixels, pixels, out=square[:, :, y, x]), out=place)
        np.divide(out, total, out=out)

    def _totals(self, image: Array, out: Array) -> Array:
        """The sum of each window; infinity where it is not above 0, so that a quotient is 0 there."""
        total = scratch_like("total", out, out.dtype)
        self.reduce(np.add, 0, image, total)
        empty = np.greater(total, 0, out=scratch_like("empty", total, np.dtype(bool)))
        np.copyto(total, np.inf, where=np.logical_not(empty, out=empty))
        return total

    def backward(self, image: Array, image_diff: Array, out: Array, diff: Array, cut: slice) -> None:
        """dx = dy (2 x - y) / sum"""
        share, part = (scratch_like(name, diff, diff.dtype) for name in ("share", "part"))
        np.divide(diff, self._totals(image, out), out=share)
        image_diff.fill(0)
        for (y, x), (rows, columns) in self.window.taps(self.count, self.sizes):
            place, given = image_diff[:, :, rows, columns], part[:, :, y, x]
            np.multiply(image[:, :, rows, columns], 2, out=given)
            np.subtract(given, out[:, :, y, x], out=given)
            np.add(place, np.multiply(given, share[:, :, y, x], out=given), out=place)
