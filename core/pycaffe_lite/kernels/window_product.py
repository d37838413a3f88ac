"""The three products of a convolution, as matrix products over the windows' matrix.

`image` is the side that the window slides over (a Convolution's bottom, a Deconvolution's top), `map` the side
with one pixel for each window (a Convolution's top, a Deconvolution's bottom). Both are channels-last,
N x spatial x channels.

    gather            map = windows of image @ W
    scatter           image = sum of (map @ Wᵀ) over the windows, each where it lies
    weight_gradient   dW = (windows of image)ᵀ @ map
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np

from pycaffe_lite.kernels.windows import Span, Window, dense
from pycaffe_lite.memory import scratch
from pycaffe_lite.parallel import parallel_for, slices

BLOCK_BYTES = 2 << 20
"""The window matrix of one block: large enough for a good product, small enough for a cache to hold."""

GRADIENT_WINDOWS = 512
"""A product that gives a part of the weights' gradient takes at least so many windows, or adding it would count."""


PART_PRODUCTS = 12_000_000
"""Multiplications that make a part of a product worth a thread's while."""

LEAST_PART, MOST_PARTS = 64, 16
"""Rows of a part, and how many parts there are."""


class WindowProduct:
    """Matrix products, one for each group.

    Args:
        window: the geometry.
        image_channels, map_channels: of both sides.
        group: into how many parts both are cut; the i-th part of one side sees the i-th part of the other.
        dtype: of the values.
    """

    block_bytes = BLOCK_BYTES

    def __init__(self, window: Window, image_channels: int, map_channels: int, group: int, dtype: np.dtype) -> None:
        self.window, self.dtype = window, dtype
        self.taps = image_channels // group * prod(window.kernel)
        self.groups = [(_part(g, image_channels // group), _part(g, map_channels // group)) for g in range(group)]
        self.map_channels = map_channels
        self.gradient_bytes = max(self.block_bytes, GRADIENT_WINDOWS * self.taps * dtype.itemsize)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """How `gather` and the others see the weights, whose memory is KH x KW x C/group x map channels."""
        return (self.taps, self.map_channels)

    def row_bytes(self, count: Sequence[int]) -> int:
        """What one row of the windows of an image takes in the windows' matrix."""
        return prod(count[1:]) * self.taps * self.dtype.itemsize

    def gather(self, image: np.ndarray, weight: np.ndarray, out: np.ndarray, rows: Span) -> None:
        """Sets `out`, the rows of the map that `rows` names."""
        flat = out if out.flags.c_contiguous else scratch("map", out.shape, out.dtype)
        target = flat.reshape(-1, self.map_channels)
        for channels, maps in self.groups:
            np.matmul(self.window.columns(image[..., channels], rows), weight[:, maps], out=target[:, maps])
        if flat is not out:
            np.copyto(out, flat)

    def scatter(self, maps: np.ndarray, weight: np.ndarray, image: np.ndarray, pixels: Span) -> None:
        """Sets the rows `pixels` of the images, from all windows that reach them.

        Args:
            maps: whole maps.
            image: the rows `pixels` of the images.
        """
        if self.window.pointwise:
            self._scatter_pixels(maps[:, slice(*pixels)] if self.window.kernel else maps, weight, image)
            return
        image.fill(0)
        for band in self._bands(self.window.windows_on(pixels, maps.shape[1]), maps):
            source = dense(maps[:, slice(*band)], "map").reshape(-1, self.map_channels)
            reached, part = self._reached(band, image, pixels)
            for channels, outputs in self.groups:
                place = part[..., channels]
                columns = self.window.empty_columns(
                    len(maps), (band[1] - band[0], *maps.shape[2:-1]), place.shape[-1], self.dtype
                )
                np.matmul(source[:, outputs], weight[:, outputs].T, out=columns)
                self.window.add_columns(columns, band, place, reached)

    def _bands(self, rows: Span, maps: np.ndarray) -> Iterator[Span]:
        """Cuts rows of windows so that the matrix of a band is no larger than a block."""
        size = len(maps) * self.row_bytes(maps.shape[1:-1]) * (rows[1] - rows[0])
        for band in slices(rows[1] - rows[0], -(-size // self.block_bytes)):
            if band.stop > band.start:
                yield rows[0] + band.start, rows[0] + band.stop

    def _reached(self, band: Span, image: np.ndarray, pixels: Span) -> tuple[Span, np.ndarray]:
        """The image rows, among `pixels`, that a band of windows lies on, and those rows of the images."""
        stride, pad, extent = self.window.stride[0], self.window.pad[0], self.window.extent[0]
        begin = max(pixels[0], band[0] * stride - pad)
        end = max(begin, min(pixels[1], (band[1] - 1) * stride - pad + extent))
        return (begin, end), image[:, begin - pixels[0] : end - pixels[0]]

    def _scatter_pixels(self, maps: np.ndarray, weight: np.ndarray, image: np.ndarray) -> None:
        source = dense(maps, "map").reshape(-1, self.map_channels)
        flat = image if image.flags.c_contiguous else scratch("columns_diff", image.shape, image.dtype)
        target = flat.reshape(len(source), -1)
        for channels, outputs in self.groups:
            np.matmul(source[:, outputs], weight[:, outputs].T, out=target[:, channels])
        if flat is not image:
            np.copyto(image, flat)

    def weight_gradient(
        self, image: np.ndarray, maps: np.ndarray, rows: Span, total: np.ndarray, first: bool, alone: bool
    ) -> None:
        """Sets `total`, or unless `first` adds to it, the gradient from the rows of the maps that `rows` names.

        Args:
            alone: whether no other such call runs, so that the threads may share this one.
        """
        diff = dense(maps, "map").reshape(-1, self.map_channels)
        for channels, outputs in self.groups:
            columns = self.window.columns(image[..., channels], rows)
            _sum_shared(columns.T, diff[:, outputs], total[:, outputs], first, alone)


def _part(index: int, length: int) -> slice:
    return slice(index * length, (index + 1) * length)


def _sum_shared(a: np.ndarray, b: np.ndarray, total: np.ndarray, first: bool, alone: bool) -> None:
    """As sum_product; with `alone` the threads share the rows of the result."""
    parts = slices(len(a), min(MOST_PARTS, len(a) // LEAST_PART, len(a) * b.size // PART_PRODUCTS) if alone else 1)
    parallel_for(len(parts), lambda i: sum_product(a[parts[i]], b, total[parts[i]], first))


def sum_product(a: np.ndarray, b: np.ndarray, total: np.ndarray, first: bool) -> None:
    """total = a @ b if it is the first, else total += a @ b."""
    if first and total.flags.c_contiguous:
        np.dot(a, b, out=total)  # np.matmul keeps the interpreter's lock while it makes 500 elements or fewer
        return
    product = scratch("product", total.shape, total.dtype)
    np.dot(a, b, out=product)
    if first:
        np.copyto(total, product)
        return
    np.add(total, product, out=total)
