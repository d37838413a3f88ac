"""MAX and AVE pooling of pieces of a batch.

Images and their pooled maps have five axes here, N x P x H x W x Q, with the channels before the pixels (Q = 1) or
behind them (P = 1), as they lie in memory. Results are the same whatever the piece.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pycaffe_lite.blob import Array
from pycaffe_lite.kernels.elementwise import scratch_like
from pycaffe_lite.kernels.indexing import along
from pycaffe_lite.kernels.windows import Window

LEAST = np.finfo(np.float32).min
"""Caffe's maximum starts here, so a window without a pixel gives this."""


class PoolingMethod:
    """What a window makes of its pixels.

    Args:
        window: the geometry.
        sizes: H and W of the images.
        count: H and W of the maps.
        dtype: of the values.
    """

    def __init__(self, window: Window, sizes: Sequence[int], count: Sequence[int], dtype: np.dtype) -> None:
        self.window, self.sizes, self.count, self.dtype = window, tuple(sizes), tuple(count), dtype

    def prepare(self, out: Array) -> None:
        """Called before the pieces of a forward pass, with the whole maps."""

    def forward(self, image: Array, out: Array, cut: slice) -> None:
        """Sets the maps of a piece: the images that `cut` names."""
        raise NotImplementedError

    def prepare_backward(self, shape: tuple[int, ...]) -> None:
        """Called before the pieces of a backward pass, with the shape of the images of the largest one."""

    def backward(self, image: Array, image_diff: Array, out: Array, diff: Array, cut: slice) -> None:
        """Sets the images' diff from that of the maps."""
        raise NotImplementedError

    def places(self, axis: int) -> list[tuple[slice, slice]]:
        """For each tap along an axis the windows that have it on a pixel, and those pixels."""
        windows, pixels = (0, self.count[axis]), (0, self.sizes[axis])
        return [self.window.overlap(axis, tap, windows, pixels) for tap in range(self.window.kernel[axis])]

    def reduce(self, function: Callable[..., object], empty: float, image: Array, out: Array) -> None:
        """Reduces each window with a ufunc: its rows first, of whole image rows, then those along the columns."""
        batch, planes, _, width, run = image.shape
        rows = scratch_like("rows", image, image.dtype, (batch, planes, self.count[0], width, run))
        self._reduce_axis(function, empty, 0, image, rows)
        self._reduce_axis(function, empty, 1, rows, out)

    def _reduce_axis(self, function: Callable[..., object], empty: float, axis: int, image: Array, out: Array) -> None:
        parts = [
            (out[along(2 + axis, windows)], image[along(2 + axis, pixels)]) for windows, pixels in self.places(axis)
        ]
        if len(parts) > 1 and all(place.shape == out.shape for place, _ in parts[:2]):
            function(parts[0][1], parts[1][1], out=out)
            parts = parts[2:]
        else:
            out.fill(empty)
        for place, pixels in parts:
            function(place, pixels, out=place)


class AveragePooling(PoolingMethod):
    """The sum divided by the window's size: padding counts, up to one pad past the edge.

    A window without a pixel gives 0.
    """

    def __init__(self, window: Window, sizes: Sequence[int], count: Sequence[int], dtype: np.dtype) -> None:
        super().__init__(window, sizes, count, dtype)
        lengths = []
        for size, n, kernel, stride, pad in zip(sizes, count, window.kernel, window.stride, window.pad, strict=True):
            start = np.arange(n) * stride - pad
            lengths.append(np.maximum(np.minimum(start + kernel, size + pad) - start, 1))
        self.divisor = np.outer(*lengths).astype(dtype)[..., None]

    def forward(self, image: Array, out: Array, cut: slice) -> None:
        self.reduce(np.add, 0, image, out)
        np.divide(out, self.divisor, out=out)

    def backward(self, image: Array, image_diff: Array, out: Array, diff: Array, cut: slice) -> None:
        """Spreads each share along the columns first, then whole rows of them along the rows."""
        share = scratch_like("share", diff, diff.dtype)
        np.divide(diff, self.divisor, out=share)
        batch, planes, height, _, run = diff.shape
        rows = scratch_like("rows", diff, diff.dtype, (batch, planes, height, self.sizes[1], run))
        self._spread(1, share, rows)
        self._spread(0, rows, image_diff)

    def _spread(self, axis: int, share: Array, target: Array) -> None:
        alone = self.count[axis] == 1 or self.window.stride[axis] >= self.window.kernel[axis]
        target.fill(0)
        for windows, pixels in self.places(axis):
            place = target[along(2 + axis, pixels)]
            if alone:
                np.copyto(place, share[along(2 + axis, windows)])
            else:
                np.add(place, share[along(2 + axis, windows)], out=place)
