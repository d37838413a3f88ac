"""Sliding windows: from an image to the matrix of its windows (im2col), and back (col2im).

Images here are channels-last, N x H x W x C, in any memory. The matrix has a row for each window (N * OH * OW) and a
column for each tap (KH * KW * C), so a convolution is one product with the filter matrix (KH * KW * C) x O.

In memory the taps come last, so that a window's row is copied KW * C values at a time; where that run would be
short (one or three channels), the taps come first instead and runs are whole rows of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from pycaffe_lite.parallel import scratch

SHORT_RUN = 16


@dataclass(frozen=True)
class Window:
    """The geometry of a sliding window; each field has one length for each spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[int, ...]
    dilation: tuple[int, ...]

    def output(self, spatial: Sequence[int]) -> tuple[int, ...]:
        """How many windows fit along each axis; below 1 where not even one does."""
        return tuple(
            (size + 2 * pad - (dilation * (kernel - 1) + 1)) // stride + 1
            for size, kernel, stride, pad, dilation in zip(
                spatial, self.kernel, self.stride, self.pad, self.dilation, strict=True
            )
        )

    @property
    def pointwise(self) -> bool:
        """Whether each window is just one pixel, and each pixel a window."""
        return all(k == 1 for k in self.kernel) and all(s == 1 for s in self.stride) and not any(self.pad)

    def taps_first(self, channels: int) -> bool:
        """Whether runs along the taps would be too short to copy well."""
        return bool(self.kernel) and self.kernel[-1] * channels < SHORT_RUN

    def columns(self, x: np.ndarray) -> np.ndarray:
        """The matrix of the windows of x.

        Args:
            x: images, N x spatial x C, any strides.

        Returns:
            (N * windows) x (taps * C); for a pointwise window a view of x where x is dense, else scratch memory.
        """
        channels = x.shape[-1]
        if self.pointwise:
            return _dense(x).reshape(-1, channels)
        count = self.output(x.shape[1:-1])
        x = self._padded(x)
        steps = x.strides[1:-1]
        rows, row_strides = (x.shape[0], *count), (x.strides[0], *_times(steps, self.stride))
        taps, tap_strides = (*self.kernel, channels), (*_times(steps, self.dilation), x.strides[-1])
        if self.taps_first(channels):
            view = as_strided(x, taps + rows, tap_strides + row_strides)
            return _copy("columns", view).reshape(prod(taps), prod(rows)).T
        view = as_strided(x, rows + taps, row_strides + tap_strides)
        return _copy("columns", view).reshape(prod(rows), prod(taps))

    def empty_columns(self, x: np.ndarray) -> np.ndarray:
        """Scratch memory for the matrix that `columns` would make, for its derivative."""
        taps = prod(self.kernel) * x.shape[-1]
        rows = x.shape[0] * prod(self.output(x.shape[1:-1]))
        if self.taps_first(x.shape[-1]):
            return scratch("columns_diff", (taps, rows), x.dtype).T
        return scratch("columns_diff", (rows, taps), x.dtype)

    def sum_columns(self, columns: np.ndarray, x: np.ndarray) -> None:
        """The adjoint of `columns`: sets each pixel of x to the sum of its places in the matrix.

        The kernel's axes are folded one after the other: after the first fold whole rows of the kernel have been
        added, KW * C values at a time, and only KW shifts are left for the second.
        """
        axes = len(self.kernel)
        batch, sizes, channels = x.shape[0], x.shape[1:-1], x.shape[-1]
        count = self.output(sizes)
        if self.taps_first(channels):
            part = columns.T.reshape(*self.kernel, channels, batch, *count)
            part = part.transpose(*range(axes + 1, 2 * axes + 2), *range(axes + 1))
        else:
            part = columns.reshape(batch, *count, *self.kernel, channels)
        for axis in range(axes):
            last = axis == axes - 1
            shape = (batch, *sizes[: axis + 1], *count[axis + 1 :], *self.kernel[axis + 1 :], channels)
            target = x if last else scratch(f"fold{axis}", shape, x.dtype)
            self._fold(axis, part, target)
            part = target

    def _fold(self, axis: int, part: np.ndarray, target: np.ndarray) -> None:
        """Adds the windows of one axis, of which `part` has count x kernel, into the pixels of that axis."""
        target[...] = 0
        before = (slice(None),) * (1 + axis)
        between = (slice(None),) * (len(self.kernel) - axis - 1)
        for tap in range(self.kernel[axis]):
            windows, pixels = self.overlap(axis, tap, part.shape[1 + axis], target.shape[1 + axis])
            place = target[(*before, pixels)]
            np.add(place, part[(*before, windows, *between, tap)], out=place)

    def overlap(self, axis: int, tap: int, count: int, size: int) -> tuple[slice, slice]:
        """The windows whose tap falls inside the image along an axis, and the pixels it falls on."""
        stride, offset = self.stride[axis], tap * self.dilation[axis] - self.pad[axis]
        first = max(0, -(offset // stride))
        last = min(count, (size - 1 - offset) // stride + 1)
        if last <= first:
            return slice(0, 0), slice(0, 0)
        start = first * stride + offset
        return slice(first, last), slice(start, start + (last - first - 1) * stride + 1, stride)

    def _padded(self, x: np.ndarray) -> np.ndarray:
        """x with its border of zeros, in scratch memory; x itself where there is none."""
        if not any(self.pad):
            return x
        sizes = [size + 2 * pad for size, pad in zip(x.shape[1:-1], self.pad, strict=True)]
        padded = scratch("padded", (x.shape[0], *sizes, x.shape[-1]), x.dtype)
        inside: tuple[slice, ...] = (slice(None),)
        for pad, size in zip(self.pad, x.shape[1:-1], strict=True):
            padded[(*inside, slice(0, pad))] = 0
            padded[(*inside, slice(pad + size, None))] = 0
            inside = (*inside, slice(pad, pad + size))
        padded[inside] = x
        return padded


def _times(steps: Sequence[int], factors: Sequence[int]) -> tuple[int, ...]:
    return tuple(step * factor for step, factor in zip(steps, factors, strict=True))


def _copy(name: str, view: np.ndarray) -> np.ndarray:
    memory = scratch(name, view.shape, view.dtype)
    np.copyto(memory, view)
    return memory


def _dense(x: np.ndarray) -> np.ndarray:
    return x if x.flags.c_contiguous else _copy("columns", x)
