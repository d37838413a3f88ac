"""The three products of a depthwise convolution, in which each channel is filtered by itself.

As matrix products they would have one row or column. Here each is a sum over the kernel's taps of products of long
rows of pixels, in one call of `einsum`, which keeps a row of results in the cache while the taps pass by. See
`convolution` for what the three are.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from pycaffe_lite.blob import Array
from pycaffe_lite.kernels.choice import compiled
from pycaffe_lite.kernels.convolution import ConvolutionProduct
from pycaffe_lite.kernels.copying import Index, along, border, dense, dense_to_write, side_by_side
from pycaffe_lite.kernels.sights import Sights
from pycaffe_lite.kernels.windows import Padding, Span, Walk, Window, windows_of
from pycaffe_lite.memory import Loans

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


class DepthwiseProduct(ConvolutionProduct):
    """Like WindowProduct, where group = image channels; each may have several map channels."""

    block_bytes = gradient_bytes = BLOCK_BYTES

    def __init__(self, window: Window, images: Sequence[int], maps: Sequence[int], dtype: np.dtype) -> None:
        self.weight_shape = (*window.kernel, maps[-1])
        self.multiple = maps[-1] // images[-1]
        self.pixel_bytes = maps[-1] * dtype.itemsize
        # einsum's names for the axes: taps, the batch, places, pixels of a stride at a place, and a run of channels.
        axes = len(window.kernel)
        self.taps, self.batch = list(range(axes)), axes
        self.places, self.inner = list(range(axes + 1, 2 * axes + 1)), list(range(2 * axes + 1, 3 * axes))
        self.run = 3 * axes
        # Along each axis, how many windows reach a stride of pixels, and how far each is from the next.
        self.steps = [
            (-(-kernel // stride), dilation)
            for kernel, dilation, stride in zip(window.kernel, window.dilation, window.stride, strict=True)
        ]
        self.sights, self.zeros = Sights(window, images[1:-1], maps[1:-1]), np.zeros(maps[-1], dtype)
        super().__init__(window, images, maps, dtype)

    def row_bytes(self, count: Sequence[int]) -> int:
        """What one row of a map takes."""
        return prod(count[1:]) * self.pixel_bytes

    # -- gather and the weights' gradient --------------------------------------------------------------------

    def loops(self, *arrays: Array) -> Any:
        """The compiled loops, for two axes, one map channel for each image channel, and pixels whose channels lie
        side by side in these arrays."""
        plain = self.multiple == 1 and len(self.window.kernel) == 2
        return compiled(self.dtype) if plain and all(a.size for a in arrays) and side_by_side(*arrays) else None

    def gather_block(self, images: Array, weight: Array, out: Array, rows: Span) -> None:
        if loops := self.loops(images, out):
            with Loans() as loans:
                source, table = self.sights.windows(images, out, rows, loans)
                loops.gathered_channels(
                    source, table.rows, table.shifts, dense(weight, loans).reshape(-1, self.map_channels),
                    out, table.places, 0, self.zeros, out, table.places, -np.inf,
                )  # fmt: skip
            return
        labels = [self.batch, *self.places, self.run]
        with Loans() as loans, dense_to_write(out) as target:
            view = self._windows(images, rows, loans)
            self._sum_taps(view, weight, [*self.taps, self.run], target, labels)

    def _windows(self, images: Array, rows: Span, loans: Loans) -> np.ndarray:
        """A view taps x N x windows x map channels of the images, with their border."""
        padding, walk = self.plan((images.shape, rows), lambda: self._walk(images.shape, rows))
        axes = len(self.taps)
        view = walk.view(dense(padding.add(images, loans), loans))
        return view.transpose(*range(axes + 1, 2 * axes + 1), *range(axes + 1), 2 * axes + 1)

    def _walk(self, shape: tuple[int, ...], rows: Span) -> tuple[Padding, Walk]:
        count = windows_of(self.window, shape[1:-1], rows)
        padding = Padding(self.window, shape, rows, self.multiple)
        return padding, Walk(self.window, count, shape[0], self.map_channels, taps_first=False)

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

    def add_weight_gradient(
        self, images: Array, maps: Array, rows: Span, total: Array, first: bool, alone: bool
    ) -> None:
        """The sum over rows is kept for each pixel of a row, and those are added up at last: long inner loops.

        Large kernels would need much memory for that; but they have long sums anyway.
        """
        if loops := self.loops(images):
            with Loans() as loans:
                diff = dense(maps, loans)
                source, table = self.sights.windows(images, diff, rows, loans)
                rows_of_total = np.arange(len(table.shifts), dtype=np.int32) * np.int32(self.map_channels)
                loops.gathered_channel_gradient(
                    source, table.rows, table.shifts, diff, total.reshape(-1, self.map_channels),
                    rows_of_total, not first, self.zeros,
                )  # fmt: skip
            return
        labels = [self.batch, *self.places, self.run]
        with Loans() as loans:
            view, diff = self._windows(images, rows, loans), dense(maps, loans)
            part = total if first else loans.take(total.shape, total.dtype)
            if total.nbytes * diff.shape[-2] <= MOST_SUMS:
                sums = loans.take((*self.window.kernel, *diff.shape[-2:]), self.dtype)
                np.einsum(view, [*self.taps, *labels], diff, labels, [*self.taps, *labels[-2:]], out=sums)
                np.add.reduce(sums, axis=-2, out=part)
            else:
                np.einsum(view, [*self.taps, *labels], diff, labels, [*self.taps, self.run], out=part)
            if not first:
                np.add(total, part, out=total)

    # -- scatter ---------------------------------------------------------------------------------------------

    def scatter_block(self, maps: Array, weight: Array, images: Array, pixels: Span) -> None:
        """Each pixel takes its sum over the windows that reach it.

        The pixels of a stride see the same windows, each with taps of its own: so this too is a filter over the map,
        whose result at a place is a whole stride of pixels. It has kernel / stride taps, rounded up.
        """
        if loops := self.loops(maps, images):
            with Loans() as loans:
                source, parts, complete = self.sights.pixels(maps, images, pixels, loans)
                if not complete:  # a stride longer than the kernel leaves pixels that no window sees
                    images.fill(0)
                for table in parts:
                    filters = weight.reshape(-1, self.map_channels)[table.taps]
                    loops.gathered_channels(
                        source, table.rows, table.shifts, filters,
                        images, table.places, 0, self.zeros, images, table.places, -np.inf,
                    )  # fmt: skip
            return
        weight = self._by_strides(weight)
        key = images.shape, maps.shape, pixels
        for band in self.plan(key, lambda: self._bands(*key)):
            self._scatter_band(maps, weight, images[:, band.rows], band)

    def _by_strides(self, weight: Array) -> Array:
        """The weights with each kernel axis as steps x stride; zeros fill the last step."""
        steps, strides = [steps for steps, _ in self.steps], self.window.stride
        full = np.zeros(
            (*(n * stride for n, stride in zip(steps, strides, strict=True)), self.map_channels), self.dtype
        )
        full[tuple(slice(kernel) for kernel in self.window.kernel)] = weight
        split = _alternate(steps, strides)
        return full.reshape(*split[:-1], split[-1] * self.map_channels)

    def _bands(self, images: tuple[int, ...], maps: tuple[int, ...], pixels: Span) -> list[_Band]:
        """Cuts the rows `pixels` of the images into whole strides of about a block's size."""
        stride = self.window.stride[0]
        row = prod(images[2:-1]) * images[0] * self.pixel_bytes
        step = max(1, self.block_bytes // max(1, row * stride)) * stride
        bands = []
        for first in range(0, images[1], step):
            rows = slice(first, min(first + step, images[1]))
            spans = [(pixels[0] + rows.start, pixels[0] + rows.stop), *((0, size) for size in images[2:-1])]
            bands.append(self._band(rows, (images[0], rows.stop - rows.start, *images[2:]), maps, spans))
        return bands

    def _band(self, rows: slice, images: Sequence[int], maps: tuple[int, ...], spans: Sequence[Span]) -> _Band:
        """The geometry of the pixels of those spans."""
        strides, pads = self.window.stride, self.window.pad
        # Places are strides of pixels, counted from the corner of the first window.
        places = [
            ((begin + pad) // stride, (end - 1 + pad) // stride + 1)
            for (begin, end), pad, stride in zip(spans, pads, strides, strict=True)
        ]
        lengths = [b - a for a, b in places]
        split = _alternate(lengths, strides)
        corners = [begin + pad - a * s for (begin, _), (a, _), pad, s in zip(spans, places, pads, strides, strict=True)]
        inside = [slice(at, at + end - begin) for at, (begin, end) in zip(corners, spans, strict=True)]
        reach = [(a - (n - 1) * back, b) for (a, b), (n, back) in zip(places, self.steps, strict=True)]
        seen = [(max(a, 0), min(b, count)) for (a, b), count in zip(reach, maps[1:-1], strict=True)]
        widths = [(first - a, b - last) for (a, b), (first, last) in zip(reach, seen, strict=True)]
        bordered = (maps[0], *(b - a for a, b in reach), strides[-1], self.map_channels)
        return _Band(
            rows,
            shape=(images[0], *split[:-1], split[-1] * self.map_channels),
            whole=(images[0], *(n * s for n, s in zip(lengths, strides, strict=True)), images[-1], self.multiple),
            inside=along(1, *inside),
            maps=along(1, *(slice(first, last) for first, last in seen)),
            bordered=bordered,
            border=border(bordered, widths),
            corner=along(1, *(slice((n - 1) * back, None) for n, back in self.steps)),
            windows=(*(n for n, _ in self.steps), maps[0], *lengths, strides[-1] * self.map_channels),
        )

    def _scatter_band(self, maps: Array, weight: Array, image: Array, band: _Band) -> None:
        """Sets the pixels of a band."""
        with Loans() as loans:
            direct = image.size == prod(band.shape) and image.flags.c_contiguous
            out = image.reshape(band.shape) if direct else loans.take(band.shape, image.dtype)
            self._sum_taps(
                self._windows_at(maps, band, loans),
                weight,
                _alternate(self.taps, [*self.inner, self.run]),
                out,
                [self.batch, *_alternate(self.places, [*self.inner, self.run])],
            )
            if direct:
                return
            result = out.reshape(band.whole)[band.inside]
            np.copyto(image, result[..., 0])
            for part in range(1, self.multiple):
                np.add(image, result[..., part], out=image)

    def _windows_at(self, maps: Array, band: _Band, loans: Loans) -> np.ndarray:
        """A view steps x N x places x run of the maps: the windows that reach each place, zeros where there are none.

        Each window comes once for every pixel of a stride of the last axis, so that these are one long run.
        """
        bordered = loans.take(band.bordered, maps.dtype)
        edges, inside = band.border
        for edge in edges:
            bordered[edge] = 0
        np.copyto(bordered[inside], maps[band.maps][..., None, :])
        corner = bordered.reshape(*band.bordered[:-2], -1)[band.corner]
        backs = [-back * length for (_, back), length in zip(self.steps, corner.strides[1:-1], strict=True)]
        return as_strided(corner, band.windows, (*backs, *corner.strides))


class _Band(NamedTuple):
    """Some rows of pixels that take their sums together.

    Attributes:
        rows: which.
        shape: of the sums, N x (places x stride for each axis) x run.
        whole, inside: their shape with the map channels as two axes, and where the pixels are there.
        maps: where the windows are that reach these pixels.
        bordered, border: the shape of those with zeros around, each as often as the last stride, and where these are.
        corner: where the windows begin in it.
        windows: the shape of the view that walks over it.
    """

    rows: slice
    shape: tuple[int, ...]
    whole: tuple[int, ...]
    inside: Index
    maps: Index
    bordered: tuple[int, ...]
    border: tuple[list[Index], Index]
    corner: Index
    windows: tuple[int, ...]


def _alternate(first: Sequence[int], second: Sequence[int]) -> list[int]:
    """One of the first, one of the second, and so on."""
    return [value for pair in zip(first, second, strict=True) for value in pair]
