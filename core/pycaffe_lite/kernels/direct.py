"""The three products of a convolution over two axes, computed from the images themselves (see `tiles`).

Where NumPy does the work, and wherever the compiled loops have nothing to gain, `WindowProduct` does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from pycaffe_lite.blob import Array
from pycaffe_lite.kernels.choice import compiled
from pycaffe_lite.kernels.convolution import PARTIAL_BYTES, Block, WindowProduct, cut_rows
from pycaffe_lite.kernels.copying import side_by_side
from pycaffe_lite.kernels.sights import Sights
from pycaffe_lite.kernels.tiles import BAND, FEW_TAPS, panel_width, rows_of_a_panel
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


class DirectProduct(WindowProduct):
    """As WindowProduct, over two axes, with the compiled loops where they gain something."""

    def __init__(
        self, window: Window, images: Sequence[int], maps: Sequence[int], dtype: np.dtype, group: int = 1
    ) -> None:
        super().__init__(window, images, maps, dtype, group)
        self.sights = Sights(window, images[1:-1], maps[1:-1])
        self.all_taps = np.arange(prod(window.kernel), dtype=np.int32)
        pieces = max(1, min(self.products // PIECE_PRODUCTS, MOST_PIECES))
        size = images[0] * (prod(images[1:]) + prod(maps[1:])) * dtype.itemsize
        self.map_pieces, self.image_pieces = (
            cut_rows(images[0], rows, max(pieces, size // PIECE_BYTES)) for rows in (maps[1], images[1])
        )
        partial = prod(self.weight_shape) * dtype.itemsize
        self.sums = [[block] for block in cut_rows(images[0], maps[1], max(1, min(pieces, PARTIAL_BYTES // partial)))]
        self.image_block = rows_of_a_panel(self.group_channels * prod(window.stride) * dtype.itemsize)
        self.map_block = rows_of_a_panel(maps[-1] // group * dtype.itemsize)
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
        usable = gains and all(a.size for a in arrays) and side_by_side(*arrays)
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
                    source, table = self.sights.windows(images[block.images][..., channels], target, block.rows, inner)
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

        def step(i: int) -> None:
            block = self.image_pieces[i]
            for channels, outputs in self.groups:
                target, own = images[block.place][..., channels], shift[channels]
                with Loans() as inner:
                    source, parts, complete = self.sights.pixels(
                        maps[block.images][..., outputs], target, block.rows, inner
                    )
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
                for taps in self.sights.pixel_taps
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
                source, table = self.sights.windows(images[..., channels], target, rows, loans)
                totals = np.arange(self.taps, dtype=np.int32) * np.int32(place.strides[0] // place.itemsize)
                loops.gathered_gradient(
                    source, table.rows, table.steps, target, table.places,
                    place[None, None], totals, not first, np.zeros(width, self.dtype), scratch, packs,
                )  # fmt: skip


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
