"""Convolutions of nets that only run forward, with what follows them done while a block's results are in the cache.

    maps = windows of images @ W + bias, + another map of that shape, negative values set to 0

The last two where they are wanted. Cuts are made for batches of one image: where there are few pixels, as in the last
layers of a net, the threads share the columns of the product, so that each reads a part of the weights alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import NamedTuple

import numpy as np

from pycaffe_lite.blob import Array
from pycaffe_lite.kernels.choice import compiled
from pycaffe_lite.kernels.convolution import cut_rows
from pycaffe_lite.kernels.copying import copied, side_by_side, view_as
from pycaffe_lite.kernels.depthwise import DepthwiseProduct
from pycaffe_lite.kernels.direct import pack
from pycaffe_lite.kernels.sights import Sights
from pycaffe_lite.kernels.tiles import panel_width, rows_of_a_panel
from pycaffe_lite.kernels.windows import Im2col, Window
from pycaffe_lite.memory import Loans
from pycaffe_lite.parallel import one_by_one, parallel_for, slices

WORTH_SHARING, PIECE_PRODUCTS, MOST_PIECES = 5_000_000, 25_000_000, 16
"""Multiplications that make two pieces of a product, and of each piece where there are more.

Handing a piece over takes a tenth of a millisecond: on two cores 196 x 512 x 512 takes 0.98 ms in two pieces, 1.31 in
four, 1.41 in one. SqueezeNet 1.1 takes 14 to 16 ms with this bound on sharing, 18 to 22 with 2 million.
"""

TILES_WORTH_SHARING = 20_000_000
"""The same for compiled tiles, which are over so soon that fewer take longer in two pieces: 2.6 million of a depthwise
convolution 0.57 ms on one thread and 0.94 on two, 13 million 0.40 and 0.42, 28 million 0.65 and 0.53.
"""

BLOCK_BYTES = 1 << 20
"""The window matrix of one block, and its results."""

FEW_PIXELS = 100
"""With fewer pixels the columns of a product are cut, not its rows."""

LONG_ROW = 2048

COLUMNS = 32
"""Columns of a cut are a multiple of this, but for the last ones."""


class Finish(NamedTuple):
    """The weights, and what follows the product with them.

    Attributes:
        weight: the filters.
        bias: one for each map channel.
        rectify: whether negative values are set to 0.
    """

    weight: Array
    bias: Array
    rectify: bool


class FusedConvolution:
    """A convolution over two spatial axes, channels-last.

    Args:
        window: the geometry.
        images, maps: the shapes of both sides, N x H x W x channels.
        finish: weights, KH * KW * C/group x map channels, and what follows them.
        group: into how many parts the channels of both sides are cut.
    """

    def __init__(
        self, window: Window, images: Sequence[int], maps: Sequence[int], finish: Finish, group: int = 1
    ) -> None:
        self.finish, dtype = finish, finish.weight.dtype
        batch, rows, columns, outputs = maps
        channels, self.outputs = images[-1] // group, outputs
        self.groups = [
            (slice(g * channels, (g + 1) * channels), slice(g * outputs // group, (g + 1) * outputs // group))
            for g in range(group)
        ]
        taps = channels * prod(window.kernel)
        products = prod(maps) * taps
        pieces = max(1 + (products > WORTH_SHARING), min(MOST_PIECES, products // PIECE_PRODUCTS))
        few = prod(maps[:-1]) < FEW_PIXELS
        self.cuts = _cut_columns(outputs, pieces) if few and group == 1 else []
        row_bytes = columns * (outputs + (0 if window.pointwise else taps)) * dtype.itemsize
        blocks = max(pieces, batch * rows * row_bytes // BLOCK_BYTES) if not self.cuts else 1
        self.blocks = cut_rows(batch, rows, blocks)
        self.im2col = [
            Im2col(window, (block.images.stop - block.images.start, *images[1:-1], channels), block.rows)
            for block in self.blocks
        ]

    def run(self, images: Array, maps: Array, other: Array | None = None) -> None:
        """Sets the maps.

        Args:
            images, maps, other: N x H x W x channels, in any memory.
            other: a map to add.
        """
        weight, bias, rectify = self.finish
        if self.cuts:
            self._run_by_columns(images, maps, other)
            return

        def piece(i: int) -> None:
            block, im2col = self.blocks[i], self.im2col[i]
            out = maps[block.place]
            with Loans() as loans:
                target = _rows(out, loans)
                for channels, outputs in self.groups:
                    with Loans() as inner:
                        matrix = im2col.matrix(images[block.images][..., channels], inner)
                        np.matmul(matrix, weight[:, outputs], out=target[:, outputs])
                finish(target, bias, None if other is None else _rows_of(other[block.place], loans), rectify)
                _give_back(target, out)

        parallel_for(len(self.blocks), piece)

    def _run_by_columns(self, images: Array, maps: Array, other: Array | None) -> None:
        weight, bias, rectify = self.finish
        with Loans() as loans:
            target, matrix = _rows(maps, loans), self.im2col[0].matrix(images, loans)
            added = None if other is None else _rows_of(other, loans)

            def piece(i: int) -> None:
                cut = self.cuts[i]
                place = target[:, cut]
                np.matmul(matrix, weight[:, cut], out=place)
                finish(place, bias[cut], None if added is None else added[:, cut], rectify)

            parallel_for(len(self.cuts), piece)
            _give_back(target, maps)


class TiledConvolution:
    """A FusedConvolution by compiled tiles, with the weights packed once.

    The pieces are rows of the maps where the images take more memory than the weights, else columns: so each thread
    reads a part of the larger.
    """

    def __init__(
        self, window: Window, images: Sequence[int], maps: Sequence[int], finish: Finish, group: int = 1
    ) -> None:
        self.sights, self.bias = Sights(window, images[1:-1], maps[1:-1]), finish.bias
        dtype, channels, outputs = finish.weight.dtype, images[-1] // group, maps[-1] // group
        panel, taps = panel_width(dtype), np.arange(prod(window.kernel), dtype=np.int32)
        filters = np.array(finish.weight, order="C").reshape(len(taps), channels, maps[-1])
        groups = [
            (slice(g * channels, (g + 1) * channels), slice(g * outputs, (g + 1) * outputs)) for g in range(group)
        ]
        with Loans() as loans:
            packed = [pack(filters[..., columns], taps, loans).copy() for _, columns in groups]
        products = prod(maps) * channels * len(taps)
        pieces = max(1 + (products > TILES_WORTH_SHARING), min(MOST_PIECES, products // PIECE_PRODUCTS))
        by_columns = prod(images) < finish.weight.size and outputs >= pieces * panel
        bands = max(pieces, (prod(images) + prod(maps)) * dtype.itemsize // BLOCK_BYTES)
        blocks = cut_rows(maps[0], maps[1], 1 if by_columns else bands)
        cuts = slices(len(packed[0]), pieces if by_columns else 1)
        self.pieces = [
            (block, channels, _columns(columns, cut, panel), panels[cut])
            for block in blocks
            for (channels, columns), panels in zip(groups, packed, strict=True)
            for cut in cuts
        ]
        self.rows_of_a_panel = rows_of_a_panel(channels * prod(window.stride) * dtype.itemsize)
        self.least = 0.0 if finish.rectify else -np.inf

    def run(self, images: Array, maps: Array, other: Array | None = None) -> None:
        """As FusedConvolution's."""
        loops = compiled(maps.dtype)

        def piece(i: int) -> None:
            block, channels, columns, packed = self.pieces[i]
            with Loans() as loans:
                target, start = result[block.place][..., columns], begun[block.place][..., columns]
                source, table = self.sights.windows(images[block.images][..., channels], target, block.rows, loans)
                starts = self.sights.places(source, start, block.rows)
                loops.gathered_product(
                    source, table.rows, table.steps, packed, start, starts, other is not None,
                    self.bias[columns], target, table.places, self.least, self.rows_of_a_panel,
                )  # fmt: skip

        with Loans() as outer:
            result = maps if side_by_side(maps) else outer.take(maps.shape, maps.dtype)
            begun = result if other is None else other if side_by_side(other) else copied(other, outer)
            parallel_for(len(self.pieces), piece)
            if result is not maps:  # a pinned blob's, which lie in C order
                np.copyto(maps, result)


class FusedDepthwise:
    """A depthwise convolution; `run` is that of FusedConvolution, the weights are as DepthwiseProduct takes them."""

    def __init__(self, product: DepthwiseProduct, finish: Finish) -> None:
        self.product, self.finish = product, finish
        self.filters = np.array(finish.weight, order="C").reshape(-1, product.map_channels)
        self.each = one_by_one if product.products < TILES_WORTH_SHARING else parallel_for

    def run(self, images: Array, maps: Array, other: Array | None = None) -> None:
        """As FusedConvolution's."""
        weight, bias, rectify = self.finish
        begun = maps if other is None else other
        loops = self.product.loops(images, maps, begun)

        def by_tiles(i: int) -> None:
            block = self.product.blocks[i]
            target, start = maps[block.place], begun[block.place]
            with Loans() as loans:
                source, table = self.product.sights.windows(images[block.images], target, block.rows, loans)
                starts = self.product.sights.places(source, start, block.rows)
                loops.gathered_channels(
                    source, table.rows, table.shifts, self.filters, start, starts, other is not None, bias,
                    target, table.places, 0.0 if rectify else -np.inf,
                )  # fmt: skip

        def piece(i: int) -> None:
            block = self.product.blocks[i]
            out = maps[block.place]
            with Loans() as loans:
                target = _rows(out, loans)
                self.product.gather_block(images[block.images], weight, target.reshape(out.shape), block.rows)
                finish(target, bias, None if other is None else _rows_of(other[block.place], loans), rectify)
                _give_back(target, out)

        if loops is None:
            parallel_for(len(self.product.blocks), piece)
        else:
            self.each(len(self.product.blocks), by_tiles)


def _columns(of: slice, panels: slice, panel: int) -> slice:
    """The columns of some panels of a group's."""
    return slice(of.start + panels.start * panel, min(of.stop, of.start + panels.stop * panel))


def finish(rows: Array, bias: Array, other: Array | None, rectify: bool) -> None:
    """rows = rows + bias + other, and 0 for negative values if `rectify` says so.

    Args:
        rows, other: pixels x channels, each pixel's channels side by side.
    """
    if rows.flags.c_contiguous and (other is None or other.flags.c_contiguous):  # long rows are several times faster
        together = next(n for n in (16, 8, 4, 2, 1) if len(rows) % n == 0 and (n == 1 or n * bias.size <= LONG_ROW))
        shape = (len(rows) // together, together * bias.size)
        bias = np.tile(bias, together)
        rows, other = rows.reshape(shape), None if other is None else other.reshape(shape)
    np.add(rows, bias, out=rows)
    if other is not None:
        np.add(rows, other, out=rows)
    if rectify:
        np.maximum(rows, 0, out=rows)


def _cut_columns(outputs: int, pieces: int) -> list[slice]:
    """The columns of a product in pieces; nothing if there would be one alone."""
    pieces = min(pieces, outputs // COLUMNS)
    if pieces < 2:
        return []
    bounds = [-(-outputs * i // (pieces * COLUMNS)) * COLUMNS for i in range(pieces)]
    return [slice(a, b) for a, b in pairwise([*bounds, outputs])]


def _rows(out: Array, loans: Loans) -> Array:
    """Maps as pixels x channels to write: a view where there is one that BLAS can write to, else borrowed memory."""
    shape = (prod(out.shape[:-1]), out.shape[-1])
    if side_by_side(out):
        view = view_as(out, shape)
        if view is not None:
            return view
    return loans.take(shape, out.dtype)


def _rows_of(maps: Array, loans: Loans) -> Array:
    """Maps as pixels x channels to read."""
    rows = _rows(maps, loans)
    _give_back(maps.reshape(rows.shape) if not np.may_share_memory(rows, maps) else rows, rows)
    return rows


def _give_back(target: Array, out: Array) -> None:
    """Copies what was written to borrowed memory to its place."""
    if not np.may_share_memory(target, out):
        np.copyto(out, target.reshape(out.shape))
