"""The three products of a depthwise convolution, in which each channel is filtered by itself.

As matrix products they would have one row or column. Here each is a sum over the kernel's taps of products of long
rows of pixels, in one call of `einsum`, which keeps a row of results in the cache while the taps pass by. See
`window_product` for what the three are.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from pycaffe_lite.kernels.indexing import along, fill_border
from pycaffe_lite.kernels.windows import Span, Window, dense
from pycaffe_lite.memory import scratch

BLOCK_BYTES = 1 << 20
"""Rows of a map that are worked on together: with the pixels they see they fit a second-level cache."""

RUN = 1024
"""Weights are repeated for neighbouring pixels up to about that many values: longer inner loops, still in the cache."""

MOST_SUMS = 8 << 20
"""Bytes of sums kept for each pixel of a row."""

MOST_MULTIPLES = 4
LEAST_GROUPS = 2


def is_depthwise(window: Window, image_channels: int, map_channels: int, group: int) -> bool:
    """Whether every image channel is a group of its own, with few map channels for each.

    With a stride and a dilation along one axis `scatter` would compute mostly zeros; that is left to the groups.
    """
    alone = group == image_channels >= LEAST_GROUPS and map_channels <= MOST_MULTIPLES * group
    gaps = any(s > 1 and d > 1 for s, d in zip(window.stride, window.dilation, strict=True))
    return alone and bool(window.kernel) and not gaps


class DepthwiseProduct:
    """Like WindowProduct, where group = image channels; each may have several map channels.

    Args:
        window: the geometry.
        image_channels, map_channels: of both sides, the second a multiple of the first.
        dtype: of the values.
    """

    block_bytes = gradient_bytes = BLOCK_BYTES

    def __init__(self, window: Window, image_channels: int, map_channels: int, dtype: np.dtype) -> None:
        self.window, self.dtype = window, dtype
        self.channels, self.multiple = map_channels, map_channels // image_channels
        # einsum's names for the axes: taps, the batch, places, pixels of a stride at a place, and a run of channels.
        axes = len(window.kernel)
        self.taps, self.batch = list(range(axes)), axes
        self.places, self.inner = list(range(axes + 1, 2 * axes + 1)), list(range(2 * axes + 1, 3 * axes))
        self.run = 3 * axes

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return (*self.window.kernel, self.channels)

    def row_bytes(self, count: Sequence[int]) -> int:
        """What one row of a map takes."""
        return prod(count[1:]) * self.channels * self.dtype.itemsize

    # -- gather and the weights' gradient --------------------------------------------------------------------

    def gather(self, image: np.ndarray, weight: np.ndarray, out: np.ndarray, rows: Span) -> None:
        target = out if out.flags.c_contiguous else scratch("map", out.shape, out.dtype)
        labels = [self.batch, *self.places, self.run]
        self._sum_taps(self._windows(image, rows), weight, [*self.taps, self.run], target, labels)
        if target is not out:
            np.copyto(out, target)

    def _windows(self, image: np.ndarray, rows: Span) -> np.ndarray:
        """A view taps x N x windows x map channels of the images, with their border."""
        padded = dense(self.window.padded(image, rows, self.multiple), "columns")
        taps, tap_strides, windows, window_strides = self.window.layout(padded)
        strides = (*tap_strides, *window_strides, padded.strides[-1])
        return as_strided(padded, (*taps, *windows, self.channels), strides)

    def _sum_taps(
        self, view: np.ndarray, weight: np.ndarray, weight_labels: list[int], out: np.ndarray, labels: list[int]
    ) -> None:
        """out = sum over the taps of view * weight.

        Neighbouring places are treated as one with a longer run, if they are neighbours in memory too.

        Args:
            view: taps x N x places x run.
            weight: its last axis is the run.
            out: dense, N x places x run, with axes for the pixels of a stride among them.
            labels: the names of out's axes.
        """
        places, run = view.shape[-2:]
        if view.strides[-2] == run * view.itemsize:
            repeat = max(n for n in range(1, max(2, RUN // run + 1)) if places % n == 0)
            shape, strides = (*view.shape[:-2], places // repeat, run * repeat), view.strides
            view = as_strided(view, shape, (*strides[:-2], strides[-2] * repeat, strides[-1]))
            out = out.reshape(*out.shape[:-2], *shape[-2:])
            weight = np.tile(weight, repeat)
        np.einsum(view, [*self.taps, self.batch, *self.places, self.run], weight, weight_labels, labels, out=out)

    def weight_gradient(
        self, image: np.ndarray, maps: np.ndarray, rows: Span, total: np.ndarray, first: bool, alone: bool
    ) -> None:
        """The sum over rows is kept for each pixel of a row, and those are added up at last: long inner loops.

        Large kernels would need much memory for that; but they have long sums anyway.
        """
        view, diff = self._windows(image, rows), dense(maps, "map")
        labels = [self.batch, *self.places, self.run]
        part = total if first else scratch("product", total.shape, total.dtype)
        if total.nbytes * diff.shape[-2] <= MOST_SUMS:
            sums = scratch("sums", (*self.window.kernel, *diff.shape[-2:]), self.dtype)
            np.einsum(view, [*self.taps, *labels], diff, labels, [*self.taps, *labels[-2:]], out=sums)
            np.add.reduce(sums, axis=-2, out=part)
        else:
            np.einsum(view, [*self.taps, *labels], diff, labels, [*self.taps, self.run], out=part)
        if not first:
            np.add(total, part, out=total)

    # -- scatter ---------------------------------------------------------------------------------------------

    def scatter(self, maps: np.ndarray, weight: np.ndarray, image: np.ndarray, pixels: Span) -> None:
        """Each pixel takes its sum over the windows that reach it.

        The pixels of a stride see the same windows, each with taps of its own: so this too is a filter over the map,
        whose result at a place is a whole stride of pixels. It has kernel / stride taps, rounded up.
        """
        stride = self.window.stride[0]
        row = prod(image.shape[2:-1]) * len(image) * self.channels * self.dtype.itemsize
        step = max(1, self.block_bytes // max(1, row * stride)) * stride
        weight = self._by_strides(weight)
        for first in range(0, image.shape[1], step):
            band = image[:, first : first + step]
            begin = pixels[0] + first
            spans = [(begin, begin + band.shape[1]), *((0, size) for size in image.shape[2:-1])]
            self._scatter_band(maps, weight, band, spans)

    def _steps(self) -> list[Span]:
        """Along each axis, how many windows reach a stride of pixels, and how far each is from the next."""
        return [
            (-(-kernel // stride), dilation)
            for kernel, dilation, stride in zip(
                self.window.kernel, self.window.dilation, self.window.stride, strict=True
            )
        ]

    def _by_strides(self, weight: np.ndarray) -> np.ndarray:
        """The weights with each kernel axis as steps x stride; zeros fill the last step."""
        steps, strides = [steps for steps, _ in self._steps()], self.window.stride
        full = np.zeros((*(n * stride for n, stride in zip(steps, strides, strict=True)), self.channels), self.dtype)
        full[tuple(slice(kernel) for kernel in self.window.kernel)] = weight
        split = _alternate(steps, strides)
        return full.reshape(*split[:-1], split[-1] * self.channels)

    def _scatter_band(self, maps: np.ndarray, weight: np.ndarray, image: np.ndarray, spans: Sequence[Span]) -> None:
        """Sets the pixels of those spans."""
        strides, pads = self.window.stride, self.window.pad
        # Places are strides of pixels, counted from the corner of the first window.
        places = [
            ((begin + pad) // stride, (end - 1 + pad) // stride + 1)
            for (begin, end), pad, stride in zip(spans, pads, strides, strict=True)
        ]
        lengths = [b - a for a, b in places]
        split = _alternate(lengths, strides)
        shape = (len(image), *split[:-1], split[-1] * self.channels)
        direct = image.size == prod(shape) and image.flags.c_contiguous
        out = image.reshape(shape) if direct else scratch("strides", shape, image.dtype)
        self._sum_taps(
            self._windows_at(maps, places),
            weight,
            _alternate(self.taps, [*self.inner, self.run]),
            out,
            [self.batch, *_alternate(self.places, [*self.inner, self.run])],
        )
        if direct:
            return
        whole = out.reshape(len(image), *(n * s for n, s in zip(lengths, strides, strict=True)), -1)
        corners = [begin + pad - a * s for (begin, _), (a, _), pad, s in zip(spans, places, pads, strides, strict=True)]
        inside = [slice(at, at + end - begin) for at, (begin, end) in zip(corners, spans, strict=True)]
        result = whole[along(1, *inside)].reshape(*image.shape, self.multiple)
        np.copyto(image, result[..., 0])
        for part in range(1, self.multiple):
            np.add(image, result[..., part], out=image)

    def _windows_at(self, maps: np.ndarray, places: Sequence[Span]) -> np.ndarray:
        """A view steps x N x places x run of the maps: the windows that reach each place, zeros where there are none.

        Each window comes once for every pixel of a stride of the last axis, so that these are one long run.
        """
        steps, stride = self._steps(), self.window.stride[-1]
        reach = [(a - (n - 1) * back, b) for (a, b), (n, back) in zip(places, steps, strict=True)]
        bordered = scratch("padded", (len(maps), *(b - a for a, b in reach), stride, self.channels), maps.dtype)
        inside = [(max(a, 0), min(b, count)) for (a, b), count in zip(reach, maps.shape[1:-1], strict=True)]
        borders = [(first - a, b - last) for (a, b), (first, last) in zip(reach, inside, strict=True)]
        part = maps[along(1, *(slice(first, last) for first, last in inside))]
        np.copyto(fill_border(bordered, borders, 0), part[..., None, :])
        flat = bordered.reshape(*bordered.shape[:-2], stride * self.channels)
        corner = flat[along(1, *(slice((n - 1) * back, None) for n, back in steps))]
        backs = [-back * length for (_, back), length in zip(steps, corner.strides[1:-1], strict=True)]
        shape = (*(n for n, _ in steps), len(maps), *(b - a for a, b in places), flat.shape[-1])
        return as_strided(corner, shape, (*backs, *corner.strides))


def _alternate(first: Sequence[int], second: Sequence[int]) -> list[int]:
    """One of the first, one of the second, and so on."""
    return [value for pair in zip(first, second, strict=True) for value in pair]
