"""Sliding windows: from an image to the matrix of its windows (im2col), and back (col2im).

Images here are channels-last, N x H x W x C, in any memory. The matrix has a row for each window (N * OH * OW) and a
column for each tap (KH * KW * C), so a convolution is one product with the filter matrix (KH * KW * C) x O.

In memory the taps come last, so that a window's row is copied KW * C values at a time; where that run would be
short (one or three channels), the taps come first instead and runs are whole rows of the image.

A large image is worked on in bands: some rows of windows (`rows`, along the first spatial axis) at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from pycaffe_lite.kernels.indexing import along, fill_border
from pycaffe_lite.memory import scratch

SHORT_RUN = 16

Span = tuple[int, int]
Place = tuple[slice, ...]


@dataclass(frozen=True)
class Window:
    """The geometry of a sliding window; each field has one length for each spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[int, ...]
    dilation: tuple[int, ...]

    @property
    def extent(self) -> tuple[int, ...]:
        """How many pixels a window reaches over along each axis."""
        return tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True))

    def output(self, spatial: Sequence[int]) -> tuple[int, ...]:
        """How many windows fit along each axis; below 1 where not even one does."""
        return tuple(
            (size + 2 * pad - extent) // stride + 1
            for size, extent, stride, pad in zip(spatial, self.extent, self.stride, self.pad, strict=True)
        )

    def input(self, count: Sequence[int]) -> tuple[int, ...]:
        """The smallest image with that many windows along each axis."""
        return tuple(
            stride * (n - 1) + extent - 2 * pad
            for n, extent, stride, pad in zip(count, self.extent, self.stride, self.pad, strict=True)
        )

    @property
    def pointwise(self) -> bool:
        """Whether each window is just one pixel, and each pixel a window."""
        return all(k == 1 for k in self.kernel) and all(s == 1 for s in self.stride) and not any(self.pad)

    # -- which tap of which window lies on which pixel -------------------------------------------------------

    def overlap(self, axis: int, tap: int, windows: Span, pixels: Span) -> tuple[slice, slice]:
        """Which windows have their tap on which pixels, along an axis.

        Args:
            windows, pixels: the ranges to look at, from the first to behind the last.

        Returns:
            two slices that match, counted from the beginnings of the ranges.
        """
        stride, offset = self.stride[axis], tap * self.dilation[axis] - self.pad[axis]
        first = max(windows[0], -((offset - pixels[0]) // stride))
        last = min(windows[1], (pixels[1] - 1 - offset) // stride + 1)
        if last <= first:
            return slice(0, 0), slice(0, 0)
        start = first * stride + offset - pixels[0]
        return (
            slice(first - windows[0], last - windows[0]),
            slice(start, start + (last - first - 1) * stride + 1, stride),
        )

    def taps(self, count: Sequence[int], sizes: Sequence[int]) -> Iterator[tuple[Place, Place]]:
        """For each tap of the kernel, in row order: the windows whose tap is inside the image, and its pixels."""
        axes = [
            [self.overlap(axis, tap, (0, count[axis]), (0, sizes[axis])) for tap in range(kernel)]
            for axis, kernel in enumerate(self.kernel)
        ]
        for places in product(*axes):
            yield tuple(windows for windows, _ in places), tuple(pixels for _, pixels in places)

    def windows_on(self, pixels: Span, count: int) -> Span:
        """The rows of windows that reach pixels of those image rows."""
        stride, pad, extent = self.stride[0], self.pad[0], self.extent[0]
        first = max(0, -((extent - 1 - pad - pixels[0]) // stride))
        last = min(count, (pixels[1] - 1 + pad) // stride + 1)
        return (first, max(first, last))

    # -- im2col ----------------------------------------------------------------------------------------------

    def taps_first(self, channels: int) -> bool:
        """Whether runs along the taps would be too short to copy well."""
        return bool(self.kernel) and self.kernel[-1] * channels < SHORT_RUN

    def columns(self, x: np.ndarray, rows: Span) -> np.ndarray:
        """The matrix of some rows of windows of x.

        Args:
            x: images, N x spatial x C, any strides.
            rows: which windows, along the first spatial axis.

        Returns:
            (N * windows) x (taps * C); for a pointwise window a view of x where x is dense, else scratch memory.
        """
        channels = x.shape[-1]
        taps_first = self.taps_first(channels)
        x = self.padded(x, rows, planes=taps_first)
        if self.pointwise:
            return dense(x, "columns").reshape(-1, channels)
        if not taps_first and x.strides[-1] != x.itemsize:
            x = _copy("padded", x)  # windows overlap, so their runs are copied more often than this
        taps, tap_strides, windows, window_strides = self.layout(x)
        if taps_first:
            view = as_strided(x, (*taps, channels, *windows), (*tap_strides, x.strides[-1], *window_strides))
            return _copy("columns", view).reshape(-1, prod(windows)).T
        view = as_strided(x, (*windows, *taps, channels), (*window_strides, *tap_strides, x.strides[-1]))
        return _copy("columns", view).reshape(prod(windows), -1)

    def layout(self, x: np.ndarray) -> tuple[tuple[int, ...], ...]:
        """Shape and strides of the taps, and of the windows (batch first), in a padded image."""
        steps = x.strides[1:-1]
        count = tuple(
            (size - extent) // stride + 1
            for size, extent, stride in zip(x.shape[1:-1], self.extent, self.stride, strict=True)
        )
        return (
            self.kernel,
            _times(steps, self.dilation),
            (x.shape[0], *count),
            (x.strides[0], *_times(steps, self.stride)),
        )

    def padded(self, x: np.ndarray, rows: Span, repeat: int = 1, planes: bool = False) -> np.ndarray:
        """The part of x under some rows of windows, with its border of zeros.

        Args:
            rows: which windows, along the first spatial axis.
            repeat: how often each channel is to come.
            planes: whether memory is to have the channels before the pixels, where nothing is repeated.

        Returns:
            scratch memory; a view of x if there is no border and nothing to repeat.
        """
        x, borders = self._under(x, rows)
        if repeat == 1 and not any(map(any, borders)):
            return x
        sizes = [size + sum(border) for size, border in zip(x.shape[1:-1], borders, strict=True)]
        channels = x.shape[-1]
        if planes:
            memory = scratch("padded", (x.shape[0], channels, *sizes), x.dtype)
            image = memory.transpose(0, *range(2, memory.ndim), 1)
            np.copyto(fill_border(image, borders, 0), x)
            return image
        padded = scratch("padded", (x.shape[0], *sizes, channels, repeat), x.dtype)
        inside = fill_border(padded, borders, 0)
        for part in range(repeat):
            np.copyto(inside[..., part], x)
        return padded.reshape(x.shape[0], *sizes, channels * repeat)

    def _under(self, x: np.ndarray, rows: Span) -> tuple[np.ndarray, list[Span]]:
        """The image rows under some rows of windows, and how many zeros go before and after along each axis."""
        if not self.kernel:
            return x, []
        first = rows[0] * self.stride[0] - self.pad[0]
        length = (rows[1] - rows[0] - 1) * self.stride[0] + self.extent[0]
        begin, end = (min(max(at, 0), x.shape[1]) for at in (first, first + length))
        before = min(max(-first, 0), length)
        borders = [(before, length - before - (end - begin)), *((pad, pad) for pad in self.pad[1:])]
        return x[:, begin:end], borders

    # -- col2im ----------------------------------------------------------------------------------------------

    def empty_columns(self, batch: int, count: Sequence[int], channels: int, dtype: np.dtype) -> np.ndarray:
        """Scratch memory for a matrix as `columns` makes it, of `count` windows in each of `batch` images."""
        taps, windows = prod(self.kernel) * channels, batch * prod(count)
        if self.taps_first(channels):
            return scratch("columns_diff", (taps, windows), dtype).T
        return scratch("columns_diff", (windows, taps), dtype)

    def add_columns(self, columns: np.ndarray, rows: Span, x: np.ndarray, pixels: Span) -> None:
        """The adjoint of `columns`: adds to each pixel of x its places in the matrix.

        The kernel's axes are folded one after the other: after the first fold whole rows of the kernel have been
        added, KW * C values at a time, and only KW shifts are left for the second.

        Args:
            columns: the matrix of those `rows` of windows.
            x: the image rows `pixels` of the images; what falls on other rows is left out.
        """
        axes, batch, channels = len(self.kernel), x.shape[0], x.shape[-1]
        sizes = x.shape[1:-1]
        count = (rows[1] - rows[0], *self.output(sizes)[1:])
        if self.taps_first(channels):
            part = columns.T.reshape(*self.kernel, channels, batch, *count)
            part = part.transpose(*range(axes + 1, 2 * axes + 2), *range(axes + 1))
        else:
            part = columns.reshape(batch, *count, *self.kernel, channels)
        for axis in range(axes):
            windows, span = (rows, pixels) if axis == 0 else ((0, count[axis]), (0, sizes[axis]))
            if axis == axes - 1:
                self._fold(axis, part, windows, x, span)
                return
            shape = (batch, *sizes[: axis + 1], *count[axis + 1 :], *self.kernel[axis + 1 :], channels)
            target = scratch(f"fold{axis}", shape, x.dtype)
            target.fill(0)
            self._fold(axis, part, windows, target, span)
            part = target

    def _fold(self, axis: int, part: np.ndarray, windows: Span, target: np.ndarray, pixels: Span) -> None:
        """Adds the windows of one axis, of which `part` has count x kernel, into the pixels of that axis."""
        between = (slice(None),) * (len(self.kernel) - axis - 1)
        for tap in range(self.kernel[axis]):
            where, under = self.overlap(axis, tap, windows, pixels)
            place = target[along(1 + axis, under)]
            np.add(place, part[along(1 + axis, where, *between, tap)], out=place)


def dense(x: np.ndarray, name: str) -> np.ndarray:
    """x itself if it is C-contiguous, else a copy in scratch memory."""
    return x if x.flags.c_contiguous else _copy(name, x)


def _times(steps: Sequence[int], factors: Sequence[int]) -> tuple[int, ...]:
    return tuple(step * factor for step, factor in zip(steps, factors, strict=True))


def _copy(name: str, view: np.ndarray) -> np.ndarray:
    memory = scratch(name, view.shape, view.dtype)
    np.copyto(memory, view)
    return memory
