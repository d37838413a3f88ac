"""Convolutions of nets that only run forward, with what follows them done while a block's results are in the cache.

    maps = windows of images @ W + bias, + another map of that shape, negative values set to 0

The last two where they are wanted. Cuts are made for batches of one image: where there are few pixels, as in the last
layers of a net, the threads share the columns of the product, so that each reads a part of the weights alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from pycaffe_lite.blob import Array
from pycaffe_lite.kernels.choice import compiled
from pycaffe_lite.kernels.convolution import Block
from pycaffe_lite.kernels.copying import view_as
from pycaffe_lite.kernels.depthwise import DepthwiseProduct
from pycaffe_lite.kernels.windows import Im2col, Window
from pycaffe_lite.memory import Loans
from pycaffe_lite.parallel import parallel_for, slices

WORTH_SHARING, PIECE_PRODUCTS, MOST_PIECES = 5_000_000, 25_000_000, 16
"""Multiplications that make two pieces of a product, and of each piece where there are more.

Handing a piece over takes a tenth of a millisecond: on two cores 196 x 512 x 512 takes 0.98 ms in two pieces, 1.31 in
four, 1.41 in one. SqueezeNet 1.1 takes 14 to 16 ms with this bound on sharing, 18 to 22 with 2 million.
"""

BLOCK_BYTES = 1 << 20
"""The window matrix of one block, and its results."""

FEW_PIXELS = 100
"""With fewer pixels the columns of a product are cut, not its rows."""

LONG_ROW = 2048

COLUMNS = 32
"""Columns of a cut are a multiple of this, but for the last ones."""


class FusedConvolution:
    """A convolution over two spatial axes, channels-last.

    Args:
        window: the geometry.
        images, maps: the shapes of both sides, N x H x W x channels.
        dtype: of the values.
        group: into how many parts the channels of both sides are cut.
    """

    def __init__(
        self, window: Window, images: Sequence[int], maps: Sequence[int], dtype: np.dtype, group: int = 1
    ) -> None:
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
        self.blocks = _cut_rows(batch, rows, blocks)
        self.im2col = [
            Im2col(window, (block.images.stop - block.images.start, *images[1:-1], channels), block.rows)
            for block in self.blocks
        ]

    def run(
        self, images: Array, weight: Array, maps: Array, bias: Array, other: Array | None = None, rectify: bool = False
    ) -> None:
        """Sets the maps.

        Args:
            images, maps, other: N x H x W x channels, in any memory.
            weight: KH * KW * C/group x map channels.
            bias: one for each map channel.
            other: a map to add.
            rectify: whether negative values are set to 0.
        """
        if self.cuts:
            self._run_by_columns(images, weight, maps, bias, other, rectify)
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

    def _run_by_columns(
        self, images: Array, weight: Array, maps: Array, bias: Array, other: Array | None, rectify: bool
    ) -> None:
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


class FusedDepthwise:
    """A depthwise convolution; `run` is that of FusedConvolution, with the weights as DepthwiseProduct takes them."""

    def __init__(self, product: DepthwiseProduct) -> None:
        self.product = product

    def run(
        self, images: Array, weight: Array, maps: Array, bias: Array, other: Array | None = None, rectify: bool = False
    ) -> None:
        def piece(i: int) -> None:
            block = self.product.blocks[i]
            out = maps[block.place]
            with Loans() as loans:
                target = _rows(out, loans)
                self.product.gather_block(images[block.images], weight, target.reshape(out.shape), block.rows)
                finish(target, bias, None if other is None else _rows_of(other[block.place], loans), rectify)
                _give_back(target, out)

        parallel_for(len(self.product.blocks), piece)


def finish(rows: Array, bias: Array, other: Array | None, rectify: bool) -> None:
    """rows = rows + bias + other, and 0 for negative values if `rectify` says so.

    Args:
        rows, other: pixels x channels, each pixel's channels side by side.
    """
    if (loops := compiled(rows.dtype)) and rows.size:
        added = rows if other is None else other
        flat = [as_strided(array, (_length(array),), (array.itemsize,)) for array in (rows, added)]
        steps = [array.strides[0] // array.itemsize for array in (rows, added)]
        loops.finish(*flat, bias, len(rows), *steps, other is not None, 0 if rectify else -np.inf)
        return
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


def _length(rows: Array) -> int:
    """Elements from the first to behind the last one of rows that lie apart."""
    return (len(rows) - 1) * (rows.strides[0] // rows.itemsize) + rows.shape[1]


def _cut_columns(outputs: int, pieces: int) -> list[slice]:
    """The columns of a product in pieces; nothing if there would be one alone."""
    pieces = min(pieces, outputs // COLUMNS)
    if pieces < 2:
        return []
    bounds = [-(-outputs * i // (pieces * COLUMNS)) * COLUMNS for i in range(pieces)]
    return [slice(a, b) for a, b in pairwise([*bounds, outputs])]


def _cut_rows(batch: int, rows: int, pieces: int) -> list[Block]:
    """About so many blocks of whole images, or of rows of one image."""
    bands = -(-pieces // max(1, batch))
    groups = slices(batch, batch if bands > 1 else max(1, pieces)) if batch else []
    return [Block(images, (band.start, band.stop), (images, band)) for images in groups for band in slices(rows, bands)]


def _rows(out: Array, loans: Loans) -> Array:
    """Maps as pixels x channels to write: a view where there is one that BLAS can write to, else borrowed memory."""
    shape = (prod(out.shape[:-1]), out.shape[-1])
    if out.strides[-1] == out.itemsize:
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
