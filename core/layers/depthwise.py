"""The three products of a depthwise convolution, in which each channel is filtered by itself.

As matrix products they would have one row or column. Here each is a sum over the kernel's taps of products of long
rows of pixels, in one call of `einsum`, which keeps a row of results in the cache while the taps pass by. See
`window_product` for what the three are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import gcd, prod
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from pycaffe_lite.layers.window import Place, Span, Window, dense
from pycaffe_lite.parallel import PIECE_BYTES, scratch

RUN = 1024
"""Weights are repeated for neighbouring pixels up to about that many values: longer inner loops, still in the cache."""

MOST_MULTIPLES = 4
LEAST_GROUPS = 4


def is_depthwise(window: Window, image_channels: int, map_channels: int, group: int) -> bool:
    """Whether every image channel is a group of its own, with few map channels for each."""
    alone = group == image_channels >= LEAST_GROUPS and map_channels <= MOST_MULTIPLES * group
    return alone and bool(window.kernel)


class Phase(NamedTuple):
    """Along an axis, pixels a stride apart, which see the same taps.

    Attributes:
        pixels: which, in the image rows at hand.
        taps: which of the kernel.
        first: the window whose first tap, of those, lies on the first pixel.
        back: by how many windows earlier each next tap is.
    """

    pixels: slice
    taps: slice
    first: int
    back: int


class DepthwiseProduct:
    """Like WindowProduct, where group = image channels; each may have several map channels.

    Args:
        window: the geometry.
        image_channels, map_channels: of both sides, the second a multiple of the first.
        dtype: of the values.
    """

    block_bytes = PIECE_BYTES

    def __init__(self, window: Window, image_channels: int, map_channels: int, dtype: np.dtype) -> None:
        self.window, self.dtype = window, dtype
        self.channels, self.multiple = map_channels, map_channels // image_channels
        # einsum's names for the axes: the kernel's, then the batch, the map's spatial ones, and the channels.
        axes = len(window.kernel)
        self.taps, self.map_axes = list(range(axes)), list(range(axes, 2 * axes + 2))

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return (*self.window.kernel, self.channels)

    def row_bytes(self, count: Sequence[int]) -> int:
        """What one row of a map takes."""
        return prod(count[1:]) * self.channels * self.dtype.itemsize

    def gather(self, image: np.ndarray, weight: np.ndarray, out: np.ndarray, rows: Span) -> None:
        self._filter(self._windows(image, rows), weight, out)

    def _windows(self, image: np.ndarray, rows: Span) -> np.ndarray:
        """A view taps x N x windows x map channels of the images, with their border."""
        padded = dense(self.window.padded(image, rows, self.multiple), "columns")
        taps, tap_strides, windows, window_strides = self.window.layout(padded)
        strides = (*tap_strides, *window_strides, padded.strides[-1])
        return as_strided(padded, (*taps, *windows, self.channels), strides)

    def _filter(self, view: np.ndarray, weight: np.ndarray, out: np.ndarray) -> None:
        """out = sum over the taps of view * weight; the view has the taps' axes before those of out."""
        run = out.strides[-1] == out.itemsize
        target = out if run else scratch("map", out.shape, out.dtype)
        repeat = self._repeat(view) if target.flags.c_contiguous else 1
        if repeat > 1:
            pixels, channels = view.shape[-2:]
            flat = target.reshape(*target.shape[:-2], pixels // repeat, channels * repeat)
            strides = (*view.strides[:-2], view.strides[-2] * repeat, view.strides[-1])
            view = as_strided(view, (*weight.shape[:-1], *flat.shape), strides)
            self._sum_taps(view, np.tile(weight, repeat), flat)
        else:
            self._sum_taps(view, weight, target)
        if not run:
            np.copyto(out, target)

    def _sum_taps(self, view: np.ndarray, weight: np.ndarray, out: np.ndarray) -> None:
        map_axes, channel_axis = self.map_axes, self.map_axes[-1]
        np.einsum(view, [*self.taps, *map_axes], weight, [*self.taps, channel_axis], map_axes, out=out)

    def _repeat(self, view: np.ndarray) -> int:
        """How many neighbouring pixels of a row to treat as one of so many times the channels."""
        pixels, channels = view.shape[-2:]
        if view.strides[-2] != channels * view.itemsize:
            return 1
        return max(n for n in range(1, max(2, RUN // channels + 1)) if pixels % n == 0)

    def weight_gradient(
        self, image: np.ndarray, maps: np.ndarray, rows: Span, total: np.ndarray, first: bool
    ) -> None:
        """The sum over rows is kept for each pixel of a row, and those are added up at last: long inner loops."""
        view, diff = self._windows(image, rows), dense(maps, "map")
        kept = [*self.taps, *self.map_axes[-2:]]
        sums = scratch("sums", (*self.window.kernel, *diff.shape[-2:]), self.dtype)
        np.einsum(view, [*self.taps, *self.map_axes], diff, self.map_axes, kept, out=sums)
        part = total if first else scratch("product", total.shape, total.dtype)
        np.add.reduce(sums, axis=-2, out=part)
        if not first:
            np.add(total, part, out=total)

    # -- scatter ---------------------------------------------------------------------------------------------

    def scatter(self, maps: np.ndarray, weight: np.ndarray, image: np.ndarray, pixels: Span) -> None:
        """Each pixel takes its sum over the windows that reach it.

        Pixels whose places modulo the stride agree see the same taps, at neighbouring windows, so each such phase
        is a filter over the map.
        """
        spans = [pixels, *((0, size) for size in image.shape[2:-1])]
        reach = [self._reach(axis, span) for axis, span in enumerate(spans)]
        maps = self._bordered(maps, reach)
        axes = [list(self._phases(axis, span, reach[axis][0])) for axis, span in enumerate(spans)]
        for phases in product(*axes):
            place = image[(slice(None), *(phase.pixels for phase in phases))]
            self._scatter_phase(phases, maps, weight[tuple(phase.taps for phase in phases)], place)

    def _scatter_phase(self, phases: Sequence[Phase], maps: np.ndarray, weight: np.ndarray, place: np.ndarray) -> None:
        if not weight.size:
            place.fill(0)
            return
        corner = maps[(slice(None), *(slice(phase.first, None) for phase in phases))]
        steps = corner.strides[1:-1]
        view = as_strided(
            corner,
            (*weight.shape[:-1], *place.shape[:-1], self.channels),
            (*(-phase.back * step for phase, step in zip(phases, steps, strict=True)), *corner.strides),
        )
        if self.multiple == 1:
            self._filter(view, weight, place)
            return
        result = scratch("phase", (*place.shape[:-1], self.channels), place.dtype)
        self._filter(view, weight, result)
        np.add.reduce(result.reshape(*place.shape, self.multiple), axis=-1, out=place)

    def _phases(self, axis: int, pixels: Span, origin: int) -> Iterator[Phase]:
        """The phases of a range of pixels; windows are counted from `origin`."""
        stride, pad, dilation = (lengths[axis] for lengths in (self.window.stride, self.window.pad, self.window.dilation))
        step = stride // gcd(stride, dilation)
        for start in range(min(stride, pixels[1] - pixels[0])):
            offset = pixels[0] + start + pad
            taps = [tap for tap in range(self.window.kernel[axis]) if (offset - tap * dilation) % stride == 0]
            first = (offset - taps[0] * dilation) // stride - origin if taps else 0
            where = slice(taps[0], None, step) if taps else slice(0)
            yield Phase(slice(start, None, stride), where, first, step * dilation // stride)

    def _reach(self, axis: int, pixels: Span) -> Span:
        """All windows that may reach a range of pixels, those outside the map included."""
        stride, pad, extent = self.window.stride[axis], self.window.pad[axis], self.window.extent[axis]
        return (pixels[0] + pad - extent + 1) // stride, (pixels[1] - 1 + pad) // stride + 1

    def _bordered(self, maps: np.ndarray, reach: Sequence[Span]) -> np.ndarray:
        """The maps in a range of windows, with zeros for those outside."""
        bordered = scratch("padded", (len(maps), *(end - begin for begin, end in reach), self.channels), maps.dtype)
        source: Place = (slice(None),)
        inside: Place = (slice(None),)
        for (begin, end), count in zip(reach, maps.shape[1:-1], strict=True):
            first, last = min(max(begin, 0), count), min(max(end, 0), count)
            bordered[(*inside, slice(0, first - begin))] = 0
            bordered[(*inside, slice(last - begin, None))] = 0
            source, inside = (*source, slice(first, last)), (*inside, slice(first - begin, last - begin))
        bordered[inside] = maps[source]
        return bordered
