"""The three products of a convolution over two axes, computed from the images themselves (see `tiles`).

Where NumPy does the work, and wherever the compiled loops have nothing to gain, `WindowProduct` does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from pycaffe_lite.blob import Array
from pycaffe_lite.kernels.choice import compiled
from pycaffe_lite.kernels.convolution import PARTIAL_BYTES, Block, WindowProduct
from pycaffe_lite.kernels.copying import border
from pycaffe_lite.kernels.tiles import BAND, BLOCK_BYTES, FEW_TAPS, ROWS, panel_width
from pycaffe_lite.kernels.windows import Span, Window
from pycaffe_lite.memory import Loans
from pycaffe_lite.parallel import parallel_for, slices

PIECE_PRODUCTS, MOST_PIECES = 4_000_000, 16
"""Multiplications of a piece, and how many pieces there are unless they would be too large."""

PIECE_BYTES = 2 << 20
"""Of both sides of a piece."""

MOST_WASTE = 1.3
"""Multiplications of a scatter, with those by the border's zeros, to those without."""


MANY_WINDOWS, MANY_PIXELS = 1000, 5000
"""With fewer of them, packing the weights takes long beside what is done with them; pixels are pointwise windows."""

FEW_CHANNELS = 8
"""With fewer of them most of a panel is empty."""

MOST_WEIGHTS, MOST_POINTWISE = 40_000, 4_000
"""The gradient of more weights does not stay in a cache while it is summed, tile by tile. A pointwise one is a product
without a matrix of windows anyway."""

PACKED = 1 << 16
"""Weights that a thread packs at a time."""


class Axis(NamedTuple):
    """Along one axis, the positions of one side that see the other side's places at the same distances.

    Attributes:
        positions: of the side that is computed.
        sources: for each of them a place on the other side, which may be outside.
        taps: the taps that lie on some place there.
        shifts: for each tap how far it is from there.
    """

    positions: np.ndarray
    sources: np.ndarray
    taps: np.ndarray
    shifts: np.ndarray

    @property
    def reach(self) -> Span:
        """The places that are seen, from the first to behind the last."""
        return int(self.sources[0] + self.shifts.min()), int(self.sources[-1] + self.shifts.max() + 1)


def windows_along(window: Window, axis: int, span: Span) -> list[Axis]:
    """The windows of a span see pixels."""
    positions, taps = np.arange(*span), np.arange(window.kernel[axis])
    sources, shifts = positions * window.stride[axis] - window.pad[axis], taps * window.dilation[axis]
    return [Axis(positions - span[0], sources, taps, shifts)]


def pixels_along(window: Window, axis: int, span: Span) -> list[Axis]:
    """The pixels of a span see windows: those that lie alike between two windows' beginnings see the same taps."""
    stride, axes = window.stride[axis], []
    distances = np.arange(window.kernel[axis]) * window.dilation[axis]
    beginning = np.arange(*span) + window.pad[axis]
    for phase in range(stride):
        (positions,), (taps,) = np.nonzero(beginning % stride == phase), np.nonzero(distances % stride == phase)
        if len(positions) and len(taps):
            axes.append(Axis(positions, beginning[positions] // stride, taps, -(distances[taps] // stride)))
    return axes


class Sight(NamedTuple):
    """What a block of one side sees of the other.

    Attributes:
        axes: pairs of what is alike along both axes.
        reach: along both axes the places that are seen.
        taken: those of them that there are.
        edges, inside: of the memory for them all, indices of the border and of those that there are.
        whole: whether there is no border.
        complete: whether each position sees some place.
    """

    axes: list[tuple[Axis, Axis]]
    reach: tuple[Span, Span]
    taken: tuple[slice, slice]
    edges: list[Any]
    inside: Any
    whole: bool
    complete: bool

    def source(self, images: Array, loans: Loans) -> Array:
        """The part of images that is seen, with a border of zeros: a view where it needs none."""
        rows, columns = self.taken
        part = images[:, rows, columns]
        if self.whole:
            return part
        (top, bottom), (left, right) = self.reach
        batch, channels, size = len(images), images.shape[-1], (bottom - top, right - left)
        if part.strides[-1] > part.strides[-2]:  # planes, which are copied as such
            padded = loans.take((batch, channels, *size), images.dtype, (0, 2, 3, 1))
        else:
            skew = 64 // images.itemsize if channels % 64 == 0 else 0  # else many pixels share a place in the cache
            padded = loans.take((batch, *size, channels + skew), images.dtype)[..., :channels]
        for edge in self.edges:
            padded[edge] = 0
        np.copyto(padded[self.inside], part)
        return padded


def sight(axes: Sequence[list[Axis]], sizes: Sequence[int], spans: Sequence[Span]) -> Sight:
    """Puts both axes together.

    Args:
        axes: for each what `windows_along` or `pixels_along` gives.
        sizes: of the side that is seen.
        spans: the positions that see it.
    """
    reaches = [(min(a.reach[0] for a in along), max(a.reach[1] for a in along)) for along in axes]
    taken, widths = [], []
    for (begin, end), size in zip(reaches, sizes, strict=True):
        inside = min(max(begin, 0), size), min(max(end, 0), size)
        before = min(max(-begin, 0), end - begin)
        taken.append(slice(*inside))
        widths.append((before, end - begin - before - (inside[1] - inside[0])))
    edges, inner = border((1, *(end - begin for begin, end in reaches)), widths)
    seen = [
        sum(len(a.positions) for a in along) == end - begin for along, (begin, end) in zip(axes, spans, strict=True)
    ]
    pairs, whole = list(product(axes[0], axes[1])), not any(map(any, widths))
    return Sight(pairs, (reaches[0], reaches[1]), (taken[0], taken[1]), edges, inner, whole, all(seen))


class Tables(NamedTuple):
    """Offsets into memory, in elements.

    Attributes:
        rows: for each position, image by image, where its source is.
        steps: for each tap and channel how far it is from there.
        places: for each position where its own pixel is.
        taps: the numbers of the taps.
    """

    rows: np.ndarray
    steps: np.ndarray
    places: np.ndarray
    taps: np.ndarray


def tables(seen: Sight, source: Array, result: Array, kernel_width: int) -> list[Tables]:
    """For each of the pairs of axes, the offsets into `source` and `result`, N x H x W x C."""
    steps, own = ([stride // array.itemsize for stride in array.strides] for array in (source, result))
    batch, channels = np.arange(len(source)), np.arange(source.shape[-1]) * steps[3]
    (top, _), (left, _) = seen.reach
    found = []
    for y, x in seen.axes:
        rows = _grid(batch * steps[0], (y.sources - top) * steps[1], (x.sources - left) * steps[2])
        shifts = _grid(y.shifts * steps[1], x.shifts * steps[2], channels)
        places = _grid(batch * own[0], y.positions * own[1], x.positions * own[2])
        taps = _grid(y.taps * kernel_width, x.taps)
        found.append(Tables(rows, shifts, places, taps))
    return found


def _grid(*parts: np.ndarray) -> np.ndarray:
    """The sums of one of each of the parts, the last one's running fastest."""
    total: Any = 0
    for i, part in enumerate(parts):
        total = total + part.reshape(-1, *(1,) * (len(parts) - 1 - i))
    return total.reshape(-1).astype(np.int32)


class DirectProduct(WindowProduct):
    """As WindowProduct, over two axes, with the compiled loops where they gain something."""

    def __init__(
        self, window: Window, images: Sequence[int], maps: Sequence[int], dtype: np.dtype, group: int = 1
    ) -> None:
        super().__init__(window, images, maps, dtype, group)
        self.image_sizes, self.map_sizes = images[1:-1], maps[1:-1]
        self.all_taps = np.arange(prod(window.kernel), dtype=np.int32)
        products, size = prod(maps) * self.taps, (prod(images[1:]) + prod(maps[1:])) * dtype.itemsize
        pieces = max(1, min(products // PIECE_PRODUCTS, MOST_PIECES))
        self.map_pieces = _cut(images[0], maps[1], max(pieces, images[0] * size // PIECE_BYTES))
        self.image_pieces = _cut(images[0], images[1], max(pieces, images[0] * size // PIECE_BYTES))
        partial = prod(self.weight_shape) * dtype.itemsize
        self.sums = [[block] for block in _cut(images[0], maps[1], max(1, min(pieces, PARTIAL_BYTES // partial)))]
        # So many rows meet one panel: what they see stays in a second-level cache.
        self.image_block = max(ROWS, BLOCK_BYTES // (self.group_channels * prod(window.stride) * dtype.itemsize))
        self.map_block = max(ROWS, BLOCK_BYTES // (maps[-1] // group * dtype.itemsize))
        windows, weights, pointwise = prod(maps[:-1]), prod(self.weight_shape), prod(window.kernel) == 1
        waste = prod(images[:-1]) / max(1, windows * prod(window.stride))
        self.gathers = windows >= MANY_WINDOWS
        self.scatters = (
            windows >= (MANY_PIXELS if pointwise else MANY_WINDOWS)
            and waste <= MOST_WASTE
            and self.group_channels >= FEW_CHANNELS
        )
        self.adds = weights <= (MOST_POINTWISE if pointwise else MOST_WEIGHTS)

    def _loops(self, gains: bool, *arrays: Array) -> Any:
        """The compiled loops, if they gain something and these arrays' pixels have their channels side by side."""
        usable = gains and all(a.size and a.strides[-1] == a.itemsize for a in arrays)
        return compiled(self.dtype) if usable else None

    def gather(self, images: Array, weight: Array, maps: Array, bias: Array | None = None) -> None:
        loops = self._loops(self.gathers, maps)
        if loops is None:
            super().gather(images, weight, maps, bias)
            return
        shift = np.zeros(self.map_channels, self.dtype) if bias is None else bias[: self.map_channels]
        filters = weight.reshape(len(self.all_taps), -1, self.map_channels)

        def step(i: int) -> None:
            block = self.map_pieces[i]
            for (channels, outputs), packed in zip(self.groups, panels, strict=True):
                with Loans() as inner:
                    target = maps[block.place][..., outputs]
                    source, (table,) = self._windows(images[block.images][..., channels], target, block.rows, inner)
                    loops.gathered_product(
                        source, table.rows, table.steps, packed, target, table.places, 0,
                        shift[outputs], target, table.places, -np.inf, self.image_block,
                    )  # fmt: skip

        with Loans() as loans:
            panels = [pack(filters[..., outputs], self.all_taps, loans) for _, outputs in self.groups]
            self.each(len(self.map_pieces), step)

    def scatter(self, maps: Array, weight: Array, images: Array, bias: Array | None = None) -> None:
        loops = self._loops(self.scatters, images)
        if loops is None:
            super().scatter(maps, weight, images, bias)
            return
        inputs = images.shape[-1]
        shift = np.zeros(inputs, self.dtype) if bias is None else bias[:inputs]
        filters = weight.reshape(len(self.all_taps), -1, self.map_channels).transpose(0, 2, 1)
        along = [pixels_along(self.window, axis, (0, size)) for axis, size in enumerate(self.image_sizes)]

        def step(i: int) -> None:
            block = self.image_pieces[i]
            for channels, outputs in self.groups:
                target, own = images[block.place][..., channels], shift[channels]
                with Loans() as inner:
                    source, parts, complete = self._pixels(maps[block.images][..., outputs], target, block.rows, inner)
                    if not complete:  # a stride longer than the kernel leaves pixels that no window sees
                        target[...] = own
                    for table in parts:
                        packed = panels[outputs.start, table.taps[0]]
                        loops.gathered_product(
                            source, table.rows, table.steps, packed, target, table.places, 0,
                            own, target, table.places, -np.inf, self.map_block,
                        )  # fmt: skip

        with Loans() as loans:
            panels = {
                (outputs.start, taps[0]): pack(filters[:, outputs], taps, loans)
                for _, outputs in self.groups
                for taps in (_grid(y.taps * self.window.kernel[1], x.taps) for y, x in product(*along))
            }
            self.each(len(self.image_pieces), step)

    def gradient_pieces(self, maps: Array) -> list[list[Block]]:
        return self.pieces if self._loops(self.adds, maps) is None else self.sums

    def add_weight_gradient(
        self, images: Array, maps: Array, rows: Span, total: Array, first: bool, alone: bool
    ) -> None:
        loops = self._loops(self.adds, maps)
        if loops is None:
            super().add_weight_gradient(images, maps, rows, total, first, alone)
            return
        panel = panel_width(self.dtype)
        for channels, outputs in self.groups:
            with Loans() as loans:
                target, place = maps[..., outputs], total[:, outputs]
                width = target.shape[-1]
                packs = not target.flags.c_contiguous or self.taps > FEW_TAPS
                scratch = loans.take((-(-width // panel) * panel * BAND if packs else 1,), self.dtype)
                source, (table,) = self._windows(images[..., channels], target, rows, loans)
                totals = np.arange(self.taps, dtype=np.int32) * np.int32(place.strides[0] // place.itemsize)
                loops.gathered_gradient(
                    source, table.rows, table.steps, target, table.places,
                    place[None, None], totals, not first, np.zeros(width, self.dtype), scratch, packs,
                )  # fmt: skip

    def _windows(self, images: Array, maps: Array, rows: Span, loans: Loans) -> tuple[Array, list[Tables]]:
        """What some rows of windows see, and the tables."""

        def make() -> Sight:
            spans = (rows, (0, self.map_sizes[1]))
            return sight(
                [windows_along(self.window, axis, span) for axis, span in enumerate(spans)], self.image_sizes, spans
            )

        seen = self.plan(("windows", rows), make)
        source = seen.source(images, loans)
        key = "windows", rows, source.strides, maps.strides, len(maps)
        return source, self.plan(key, lambda: tables(seen, source, maps, self.window.kernel[1]))

    def _pixels(self, maps: Array, images: Array, rows: Span, loans: Loans) -> tuple[Array, list[Tables], bool]:
        """What some rows of pixels see of the maps, the tables, and whether each of them sees something."""

        def make() -> Sight | None:
            spans = (rows, (0, self.image_sizes[1]))
            axes = [pixels_along(self.window, axis, span) for axis, span in enumerate(spans)]
            return sight(axes, self.map_sizes, spans) if all(axes) else None

        seen = self.plan(("pixels", rows), make)
        if seen is None:
            return maps, [], False
        source = seen.source(maps, loans)
        key = "pixels", rows, source.strides, images.strides, len(images)
        return source, self.plan(key, lambda: tables(seen, source, images, self.window.kernel[1])), seen.complete


def pack(filters: Array, taps: np.ndarray, loans: Loans) -> Array:
    """Filters of some taps, taps x rows x columns, in panels, (taps * rows) long: borrowed memory."""
    panel = panel_width(filters.dtype)
    packed = loans.take((-(-filters.shape[2] // panel), len(taps) * filters.shape[1], panel), filters.dtype)
    cuts = slices(len(packed), packed.size // PACKED)

    def part(i: int) -> None:
        cut = cuts[i]
        compiled(filters.dtype).pack(filters[..., cut.start * panel : cut.stop * panel], taps, packed[cut])

    parallel_for(len(cuts), part)
    return packed


def _cut(batch: int, rows: int, pieces: int) -> list[Block]:
    """A batch in about so many pieces of whole images, or of rows of one."""
    bands = -(-pieces // max(1, batch))
    groups = slices(batch, batch if bands > 1 else pieces) if batch else []
    return [Block(images, (band.start, band.stop), (images, band)) for images in groups for band in slices(rows, bands)]
