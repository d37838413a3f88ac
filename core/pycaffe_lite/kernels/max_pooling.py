"""MAX pooling: see `pooling_methods` for the axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.blob import Array
from pycaffe_lite.kernels.indexing import fill_border
from pycaffe_lite.kernels.pooling import LEAST, PoolingMethod
from pycaffe_lite.kernels.windows import Window, dense
from pycaffe_lite.memory import scratch

Indices = NDArray[np.intp]


class MaxPooling(PoolingMethod):
    """The largest value; the first one, in row order, gets the whole gradient.

    Backward finds each window's winner again: pixels under the same tap of neighbouring windows lie a stride apart, so
    each maximum is repeated for all pixels of its stride, and whole rows are compared at once. A match counts
    `last` less the pixel's distance from the window's corner; the largest count is the first match.
    """

    def __init__(self, window: Window, sizes: Sequence[int], count: Sequence[int], dtype: np.dtype) -> None:
        super().__init__(window, sizes, count, dtype)
        stride = window.stride[1]
        self.groups = -(-window.kernel[1] // stride)
        self.last = (window.kernel[0] - 1) * sizes[1] + window.kernel[1]
        self.code_type = np.dtype(np.uint8 if self.last < 256 else np.uint16 if self.last < 65536 else np.uint32)
        self.classes: list[tuple[slice, slice, Indices]] = []

    def forward(self, image: Array, out: Array, cut: slice) -> None:
        self.reduce(np.maximum, LEAST, image, out)

    def write_indices(self, image: Array, out: Array, indices: Array) -> None:
        """Where each maximum lies in its image, counted along the rows; -1 where no pixel equals it."""
        height, width = self.sizes
        numbers = np.arange(height * width, dtype=self.dtype).reshape(height, width, 1)
        indices[...] = -1
        for (y, x), (rows, columns) in self.window.taps(self.count, self.sizes):
            place = indices[:, :, y, x]
            wins = (image[:, :, rows, columns] == out[:, :, y, x]) & (place < 0)
            np.copyto(place, numbers[rows, columns], where=wins)

    # -- backward --------------------------------------------------------------------------------------------

    def prepare_backward(self, shape: tuple[int, ...]) -> None:
        """Sorts the windows into classes that do not overlap, whose diffs can be written all at once."""
        if self.classes:
            return
        repeats = [-(-kernel // stride) for kernel, stride in zip(self.window.kernel, self.window.stride, strict=True)]
        self.classes = [
            (slice(a, None, repeats[0]), slice(b, None, repeats[1]), self._bases(shape, a, b, repeats))
            for a in range(min(repeats[0], self.count[0]))
            for b in range(min(repeats[1], self.count[1]))
        ]
        self.weights = self._weights(shape[-1])

    def _bases(self, shape: tuple[int, ...], row: int, column: int, steps: Sequence[int]) -> Indices:
        """For the windows of a class the place of pixel `last` from their corner, in the memory of the images."""
        batch, planes, height, width, run = shape
        corners = [
            np.arange(first, count, step) * stride - pad
            for first, count, step, stride, pad in zip(
                (row, column), self.count, steps, self.window.stride, self.window.pad, strict=True
            )
        ]
        pixels = corners[0][:, None] * width + corners[1] + self.last
        planes_at = np.arange(batch * planes).reshape(batch, planes, 1, 1, 1) * (height * width * run)
        return (planes_at + pixels[..., None] * run + np.arange(run)).astype(np.intp)

    def _weights(self, run: int) -> np.ndarray:
        """For each row of taps, and each group of them a stride wide, what a match counts in a row of windows."""
        (height, width), stride = self.window.kernel, self.window.stride[1]
        column = np.arange(self.groups * stride)
        counts = self.last - np.arange(height)[:, None] * self.sizes[1] - column
        counts[:, width:] = 0
        lanes = counts.astype(self.code_type).reshape(height, self.groups, 1, stride, 1)
        if stride == 1:
            return lanes.reshape(height, self.groups, 1)
        return np.broadcast_to(lanes, (height, self.groups, self.count[1], stride, run)).reshape(
            height, self.groups, -1
        )

    def backward(self, image: Array, image_diff: Array, out: Array, diff: Array, cut: slice) -> None:
        code = self._winners(image, out)
        all_won = bool(code.all())
        target = image_diff if image_diff.flags.c_contiguous else scratch("target", image.shape, image.dtype)
        target.fill(0)
        flat = target.reshape(-1)
        for number, (rows, columns, bases) in enumerate(self.classes):
            won, share = code[:, :, rows, columns], diff[:, :, rows, columns]
            places = scratch("places", share.shape, bases.dtype)
            np.multiply(won, -image.shape[-1], out=places, dtype=places.dtype)
            np.add(places, bases[: len(image)], out=places)
            self._add(flat, places, share, None if all_won else won > 0, number == 0)
        if target is not image_diff:
            np.copyto(image_diff, target)

    def _add(self, flat: Array, places: Indices, share: Array, keep: np.ndarray | None, first: bool) -> None:
        """flat[places] += share, where `keep` says so; flat is 0 at the first time. No place comes twice."""
        given = scratch("given", share.shape, share.dtype)
        if keep is not None:
            flat[places[keep]] += share[keep]
            return
        if first:
            np.copyto(given, share)
        else:
            np.take(flat, places, out=given, mode="clip")
            np.add(given, share, out=given)
        flat[places.reshape(-1)] = given.reshape(-1)

    def _winners(self, image: Array, out: Array) -> np.ndarray:
        """For each window `last` less the distance of the winner from its corner in pixels; 0 if there is none."""
        stride, (height, width) = self.window.stride[1], self.count
        shape, run = (*image.shape[:2], height, width * stride * image.shape[-1]), stride * image.shape[-1]
        rows, maxima = self._wide_rows(image), self._repeated(out, shape)
        code, counts = scratch("code", shape, self.code_type), scratch("counts", shape, self.code_type)
        equal = scratch("equal", shape, np.dtype(bool))
        code.fill(0)
        for row, (y, above) in enumerate(self.places(0)):
            for group, start in enumerate(range(0, self.groups * run, run)):
                pixels = rows[:, :, above, start : start + shape[-1]]
                np.equal(pixels, maxima[:, :, y], out=equal[:, :, y])
                np.multiply(equal.view(np.uint8)[:, :, y], self.weights[row, group], out=counts[:, :, y])
                np.maximum(code[:, :, y], counts[:, :, y], out=code[:, :, y])
        lanes = code.reshape(*shape[:3], width, stride, -1)
        best = lanes[:, :, :, :, 0]
        for lane in range(1, stride):
            np.maximum(best, lanes[:, :, :, :, lane], out=best)
        return best

    def _repeated(self, out: Array, shape: tuple[int, ...]) -> Array:
        """The maxima, each as often as its stride is wide."""
        stride = self.window.stride[1]
        if stride == 1:
            return dense(out, "maxima").reshape(shape)
        repeated = scratch("maxima", (*out.shape[:-1], stride, out.shape[-1]), out.dtype)
        np.copyto(repeated, out[..., None, :])
        return repeated.reshape(shape)

    def _wide_rows(self, image: Array) -> Array:
        """The images' rows, as wide as the comparisons read; beyond the edges stands what equals nothing."""
        *lengths, size, run = image.shape
        pad = self.window.pad[1]
        width = (self.count[1] - 1 + self.groups) * self.window.stride[1]
        if not pad and width <= size and image.flags.c_contiguous:
            return image.reshape(*lengths, size * run)
        wide = scratch("wide", (*lengths, width, run), image.dtype)
        inside = max(0, min(size, width - pad))
        place = fill_border(wide, [(pad, width - pad - inside)], np.nan, axis=3)
        np.copyto(place, image[..., :inside, :])
        return wide.reshape(*lengths, width * run)
