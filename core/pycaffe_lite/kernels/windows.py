"""Sliding windows: from an image to the matrix of its windows (im2col), and back (col2im).

Images here are channels-last, N x H x W x C, in any memory. The matrix has a row for each window (N * OH * OW) and a
column for each tap (KH * KW * C), so a convolution is one product with the filter matrix (KH * KW * C) x O.

In memory the taps come last, so that a window's row is copied KW * C values at a time; where that run would be
short (one or three channels), the taps come first instead and runs are whole rows of the image.

A large image is worked on in bands: some rows of windows (`rows`, along the first spatial axis) at a time.

Which tap lies on which pixel follows from the shapes: `Padding`, `Im2col` and `Col2im` work that out when they are
made, and then do nothing but copy and add.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from pycaffe_lite.kernels.choice import compiled
from pycaffe_lite.kernels.copying import Index, along, border, copied, dense, side_by_side
from pycaffe_lite.memory import Loans, borrow

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

    def taps_first(self, channels: int) -> bool:
        """Whether runs along the taps would be too short to copy well."""
        return bool(self.kernel) and self.kernel[-1] * channels < SHORT_RUN

    def windows_on(self, pixels: Span, count: int) -> Span:
        """The rows of windows that reach pixels of those image rows."""
        stride, pad, extent = self.stride[0], self.pad[0], self.extent[0]
        first = max(0, -((extent - 1 - pad - pixels[0]) // stride))
        last = min(count, (pixels[1] - 1 + pad) // stride + 1)
        return (first, max(first, last))


class Padding:
    """The part of some images under some rows of windows, with its border of zeros.

    Args:
        window: the geometry.
        shape: of the images, N x spatial x C.
        rows: which windows, along the first spatial axis.
        repeat: how often each channel is to come.
        planes: whether memory is to have the channels before the pixels; nothing is repeated then.
    """

    def __init__(self, window: Window, shape: Sequence[int], rows: Span, repeat: int = 1, planes: bool = False) -> None:
        batch, *sizes, channels = shape
        self.under, borders = _under(window, sizes, rows)
        self.repeat, self.needed = repeat, repeat > 1 or any(map(any, borders))
        if sizes:
            sizes[0] = self.under.stop - self.under.start
        lengths = [size + sum(widths) for size, widths in zip(sizes, borders, strict=True)]
        self.shape = (batch, *lengths, channels * repeat)
        self.memory_shape = (batch, channels, *lengths) if planes else (batch, *lengths, channels, repeat)
        self.axes = (0, *range(2, len(lengths) + 2), 1) if planes else None
        self.edges, self.inside = border(self.shape, borders)

    def add(self, x: np.ndarray, loans: Loans) -> np.ndarray:
        """That part of x, images of that shape: borrowed memory; a view of x if nothing is to be added."""
        x = x[:, self.under]
        if not self.needed:
            return x
        padded = loans.take(self.memory_shape, x.dtype, self.axes)
        for edge in self.edges:
            padded[edge] = 0
        inside = padded[self.inside]
        if self.axes is not None:
            np.copyto(inside, x)
            return padded
        for part in range(self.repeat):
            np.copyto(inside[..., part], x)
        return padded.reshape(self.shape)


def _under(window: Window, sizes: Sequence[int], rows: Span) -> tuple[slice, list[Span]]:
    """The image rows under some rows of windows, and how many zeros go before and after along each axis."""
    if not sizes:
        return slice(None), []
    first = rows[0] * window.stride[0] - window.pad[0]
    length = (rows[1] - rows[0] - 1) * window.stride[0] + window.extent[0]
    begin, end = (min(max(at, 0), sizes[0]) for at in (first, first + length))
    before = min(max(-first, 0), length)
    return slice(begin, end), [(before, length - before - (end - begin)), *((pad, pad) for pad in window.pad[1:])]


class Walk:
    """The windows of padded images as a view with an axis for each axis of windows and of taps.

    Attributes:
        taps, windows: the lengths of the taps' axes and of the windows', the batch first.
    """

    def __init__(self, window: Window, count: Sequence[int], batch: int, channels: int, taps_first: bool) -> None:
        self.taps, self.windows = window.kernel, (batch, *count)
        # Each axis of the view walks along one axis of the images, so many pixels at a time.
        taps, windows = list(enumerate(window.dilation, start=1)), [(0, 1), *enumerate(window.stride, start=1)]
        if taps_first:
            self.shape = (*self.taps, channels, *self.windows)
            self.steps = [*taps, (-1, 1), *windows]
        else:
            self.shape = (*self.windows, *self.taps, channels)
            self.steps = [*windows, *taps, (-1, 1)]
        self._strides: dict[tuple[int, ...], tuple[int, ...]] = {}

    def view(self, padded: np.ndarray) -> np.ndarray:
        """That view of images in any memory."""
        strides = self._strides.get(padded.strides)
        if strides is None:
            strides = tuple(padded.strides[axis] * factor for axis, factor in self.steps)
            self._strides[padded.strides] = strides
        if padded.flags.c_contiguous:
            return np.ndarray(self.shape, padded.dtype, padded, 0, strides)  # seven times as fast as as_strided
        return as_strided(padded, self.shape, strides)


class Im2col:
    """The matrix of some rows of windows of some images.

    Args:
        window: the geometry.
        shape: of the images, N x spatial x C.
        rows: which windows, along the first spatial axis.

    Attributes:
        shape: of the matrix, (N * windows) x (taps * C).
    """

    def __init__(self, window: Window, shape: Sequence[int], rows: Span) -> None:
        batch, *sizes, channels = shape
        self.pointwise, self.taps_first = window.pointwise, window.taps_first(channels)
        self.padding = Padding(window, shape, rows, planes=self.taps_first)
        self.walk = Walk(window, windows_of(window, sizes, rows), batch, channels, self.taps_first)
        self.shape = prod(self.walk.windows), prod(self.walk.taps) * channels

    def matrix(self, x: np.ndarray, loans: Loans) -> np.ndarray:
        """The matrix of images x, in borrowed memory; for a pointwise window a view of x where x is dense."""
        x = self.padding.add(x, loans)
        if self.pointwise:
            return dense(x, loans).reshape(self.shape)
        if self.taps_first:
            return copied(self.walk.view(x), loans).reshape(self.shape[::-1]).T
        if x.strides[-1] != x.itemsize:
            x = copied(x, loans)  # windows overlap, so their runs are copied more often than this
        return copied(self.walk.view(x), loans).reshape(self.shape)


class Col2im:
    """The adjoint of `Im2col`: adds to each pixel its places in the matrix.

    The kernel's axes are folded one after the other: after the first fold whole rows of the kernel have been
    added, KW * C values at a time, and only KW shifts are left for the second.

    Args:
        window: the geometry.
        shape: of the images, N x spatial x C, where the first spatial axis has the rows `pixels` alone.
        rows: which windows the matrix is of, along the first spatial axis.
        pixels: which rows of the images there are; what falls on other rows is left out.
    """

    def __init__(self, window: Window, shape: Sequence[int], rows: Span, pixels: Span) -> None:
        batch, *sizes, channels = shape
        count, axes = windows_of(window, sizes, rows), len(sizes)
        # What the compiled loop takes to know the windows by.
        corner = (rows[0] * window.stride[0] - window.pad[0] - pixels[0], *(-pad for pad in window.pad[1:]))
        self.geometry = *corner, *window.stride, *window.dilation
        self.taps_first = window.taps_first(channels)
        self.two_axes = axes == 2 and not self.taps_first
        windows, taps = (batch, *count), (*window.kernel, channels)
        self.shape = prod(windows), prod(taps)
        self.part_shape = (*taps, *windows) if self.taps_first else (*windows, *taps)
        self.part_axes = (*range(axes + 1, 2 * axes + 2), *range(axes + 1))
        self.folds = [
            _fold(window, axis, (rows, pixels) if axis == 0 else ((0, count[axis]), (0, sizes[axis])))
            for axis in range(axes)
        ]
        # What there is after each fold but the last, which goes into the images.
        self.sums = [(batch, *sizes[: axis + 1], *count[axis + 1 :], *taps[axis + 1 :]) for axis in range(axes - 1)]

    def empty(self, dtype: np.dtype) -> borrow:
        """Memory for the matrix."""
        return borrow(self.shape[::-1], dtype, (1, 0)) if self.taps_first else borrow(self.shape, dtype)

    def add(self, matrix: np.ndarray, x: np.ndarray) -> None:
        """Adds to the images x a matrix in memory that `empty` gave."""
        if self.two_axes and x.size and side_by_side(x) and (loops := compiled(x.dtype)):
            *steps, step = (stride // x.itemsize for stride in x.strides)
            length = 1 + sum((n - 1) * s for n, s in zip(x.shape, (*steps, step), strict=True))
            memory = as_strided(x, (length,), (x.itemsize,))
            loops.col2im(matrix.reshape(self.part_shape), memory, *x.shape[1:3], *steps, *self.geometry)
            return
        part = (matrix.T if self.taps_first else matrix).reshape(self.part_shape)
        if self.taps_first:
            part = part.transpose(self.part_axes)
        with Loans() as loans:
            for shape, fold in zip((*self.sums, None), self.folds, strict=True):
                target = x
                if shape is not None:
                    target = loans.take(shape, x.dtype)
                    target.fill(0)
                for windows, pixels in fold:
                    place = target[pixels]
                    np.add(place, part[windows], out=place)
                part = target


def windows_of(window: Window, sizes: Sequence[int], rows: Span) -> tuple[int, ...]:
    """The numbers of windows along the axes, of those `rows` alone."""
    return (rows[1] - rows[0], *window.output(sizes)[1:]) if sizes else ()


def _fold(window: Window, axis: int, spans: tuple[Span, Span]) -> list[tuple[Index, Index]]:
    """For each tap along an axis its places among windows x taps, and those among the pixels."""
    between = (slice(None),) * (len(window.kernel) - axis - 1)
    overlaps = [window.overlap(axis, tap, *spans) for tap in range(window.kernel[axis])]
    return [
        (along(1 + axis, windows, *between, tap), along(1 + axis, pixels))
        for tap, (windows, pixels) in enumerate(overlaps)
    ]
