"""The three products of a convolution, over a whole batch, cut for the threads.

`images` is the side that the window slides over (a Convolution's bottom, a Deconvolution's top), `maps` the side
with one pixel for each window (a Convolution's top, a Deconvolution's bottom). Both are channels-last,
N x spatial x channels.

    gather            maps = windows of images @ W
    scatter           images = sum of (maps @ Wᵀ) over the windows, each where it lies
    weight_gradient   dW = (windows of images)ᵀ @ maps

The cuts follow from the shapes alone, and what the geometry of a cut is (which tap lies on which pixel, what is border)
is worked out when it is first needed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from math import prod
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np

from pycaffe_lite.blob import Array
from pycaffe_lite.kernels.copying import dense, dense_to_write, view_as
from pycaffe_lite.kernels.windows import Col2im, Im2col, Span, Window
from pycaffe_lite.memory import Loans, borrow
from pycaffe_lite.parallel import one_by_one, parallel_for, slices

BLOCK_BYTES = 2 << 20
"""The window matrix of one block: large enough for a good product, small enough for a cache to hold."""

GRADIENT_WINDOWS = 512
"""A product that gives a part of the weights' gradient takes at least so many windows, or adding it would count."""

PARTIAL_BYTES = 16 << 20
"""About what the partial weight gradients of a layer may take."""

PART_PRODUCTS = 12_000_000
"""Multiplications that make a part of a product worth a thread's while."""

WORTH_SHARING = 2_000_000
"""With fewer multiplications waking a thread costs more than it saves: the same pieces, one after the other."""

LEAST_PART, MOST_PARTS = 64, 16
"""Rows of a part, and how many parts there are."""

FEW_IMAGES = 4
LEAST_ROWS = 8

Plan = TypeVar("Plan")


class Block(NamedTuple):
    """Some rows of some images: of their windows where a map is computed, of their pixels where an image is.

    Attributes:
        images: which images.
        rows: which rows, from the first to behind the last.
        place: both, as an index.
    """

    images: slice
    rows: Span
    place: tuple[slice, ...]


def cut_rows(batch: int, rows: int, pieces: int) -> list[Block]:
    """About so many blocks of whole images, or of rows of one image, over two axes."""
    bands = -(-pieces // max(1, batch))
    groups = slices(batch, batch if bands > 1 else max(1, pieces)) if batch else []
    return [Block(images, (band.start, band.stop), (images, band)) for images in groups for band in slices(rows, bands)]


class ConvolutionProduct(ABC):
    """What a Convolution and a Deconvolution compute; the subclasses compute it of one block.

    Args:
        window: the geometry.
        images, maps: the shapes of both sides, N x spatial x channels.
        dtype: of the values.

    Attributes:
        products: multiplications of one of the three products.
        weight_shape: how the weights are to be handed in; their memory is KH x KW x C/group x map channels.
        blocks: rows of windows; each is one step of a product.
        chunks: image rows that are set on their own: whole images, parts of them where there are only a few.
        pieces: lists of blocks that each sum a gradient of their own.
    """

    block_bytes: ClassVar[int] = BLOCK_BYTES
    gradient_bytes: int
    weight_shape: tuple[int, ...]

    def __init__(self, window: Window, images: Sequence[int], maps: Sequence[int], dtype: np.dtype) -> None:
        self.window, self.dtype = window, dtype
        self.map_channels = maps[-1]
        self.heights = images[1] if window.kernel else 1, maps[1] if window.kernel else 1
        self._plans: dict[Hashable, Any] = {}
        batch, (height, rows) = images[0], self.heights
        size = rows * self.row_bytes(maps[1:-1])
        self.products = prod(maps[:-1]) * prod(self.weight_shape)
        least = self.products // PART_PRODUCTS
        self.each = parallel_for if self.products >= WORTH_SHARING else one_by_one
        self.blocks = self._cut(batch, rows, size, self.block_bytes, least)
        self.chunks = self._cut(batch, height, size, self.block_bytes, least, cut_large=False)
        gradient = self._cut(batch, rows, size, self.gradient_bytes, min(least, prod(maps[:-1]) // GRADIENT_WINDOWS))
        partial = prod(self.weight_shape) * dtype.itemsize
        pieces = slices(len(gradient), min(16, max(4, PARTIAL_BYTES // partial)))
        self.pieces = [gradient[piece] for piece in pieces] if gradient else []

    def _cut(
        self, batch: int, rows: int, image_bytes: int, block_bytes: int, least: int, cut_large: bool = True
    ) -> list[Block]:
        """Cuts a batch of images of so many rows.

        Several images make a block where they are small, parts of one where it is large (if `cut_large`), or where
        there are so few that threads would be idle. There are FEW_IMAGES blocks if there are `least` blocks' worth of
        work.
        """
        bands = min(FEW_IMAGES // max(1, batch), rows // LEAST_ROWS)
        if cut_large:
            bands = max(bands, -(-image_bytes // block_bytes))
        together = 1 if bands > 1 else max(1, block_bytes // max(1, image_bytes))
        together = min(together, max(1, batch // max(1, min(least, FEW_IMAGES))))
        groups = slices(batch, -(-batch // together)) if batch else []
        return [
            Block(images, (band.start, band.stop), (images, band) if self.window.kernel else (images,))
            for images in groups
            for band in slices(rows, bands)
        ]

    def plan(self, key: Hashable, make: Callable[[], Plan]) -> Plan:
        """What `make` makes, once for each key."""
        if key not in self._plans:
            self._plans[key] = make()
        return self._plans[key]

    # -- the whole batch -------------------------------------------------------------------------------------

    def gather(self, images: Array, weight: Array, maps: Array, bias: Array | None = None) -> None:
        """maps = windows of images @ W + bias

        Args:
            bias: one for each map channel, or more, repeated from pixel to pixel: as long as a row of the last axis.
        """

        def step(i: int) -> None:
            block = self.blocks[i]
            out = maps[block.place]
            self.gather_block(images[block.images], weight, out, block.rows)
            _add_bias(out, bias)

        self.each(len(self.blocks), step)

    def scatter(self, maps: Array, weight: Array, images: Array, bias: Array | None = None) -> None:
        """images = what the windows give to each pixel + bias; `bias` is as for `gather`."""

        def step(i: int) -> None:
            chunk = self.chunks[i]
            out = images[chunk.place]
            self.scatter_block(maps[chunk.images], weight, out, chunk.rows)
            _add_bias(out, bias)

        self.each(len(self.chunks), step)

    def add_gradients(
        self, images: Array, maps: Array, bias_side: Array, weight_diff: Array | None, bias_diff: Array | None
    ) -> None:
        """weight_diff += (windows of images)ᵀ @ maps, and bias_diff += the sum of a side's pixels.

        Args:
            bias_side: images or maps, the one that the bias was added to.
            weight_diff: in any shape that ends with the map channels; None if it is not wanted.
            bias_diff: None if it is not wanted.
        """
        pieces, outputs = self.gradient_pieces(maps), bias_side.shape[-1]
        alone = len(pieces) == 1

        def piece(p: int) -> None:
            for i, block in enumerate(pieces[p]):
                if bias_diff is not None:
                    part = bias_side[block.place if bias_side is maps else self._pixels_of(block)]
                    _sum_rows(part, bias_sums[p], i == 0)
                if weight_diff is not None:
                    x, dy = images[block.images], maps[block.place]
                    self.add_weight_gradient(x, dy, block.rows, weight_sums[p], i == 0, alone)

        with (
            borrow((len(pieces), *self.weight_shape), self.dtype) as weight_sums,
            borrow((len(pieces), outputs), self.dtype) as bias_sums,
        ):
            self.each(len(pieces), piece)
            if weight_diff is not None:
                _add_parts(weight_sums.reshape(len(pieces), *weight_diff.shape), weight_diff)
            if bias_diff is not None:
                for part in bias_sums:
                    bias_diff += part

    def gradient_pieces(self, maps: Array) -> list[list[Block]]:
        """Lists of blocks that each sum a gradient of their own."""
        return self.pieces

    def _pixels_of(self, block: Block) -> tuple[slice, ...]:
        """The same share of the image rows as a block has of the windows' rows."""
        height, rows = self.heights
        return (block.images, *(slice(*(height * bound // rows for bound in block.rows)) for _ in block.place[1:]))

    # -- one block -------------------------------------------------------------------------------------------

    @abstractmethod
    def row_bytes(self, count: Sequence[int]) -> int:
        """What is worked on for one row of windows, of `count` along each axis, of one image."""

    @abstractmethod
    def gather_block(self, images: Array, weight: Array, out: Array, rows: Span) -> None:
        """Sets `out`, the rows of the maps that `rows` names."""

    @abstractmethod
    def scatter_block(self, maps: Array, weight: Array, images: Array, pixels: Span) -> None:
        """Sets the rows `pixels` of the images, which is what `images` holds, from all windows that reach them."""

    @abstractmethod
    def add_weight_gradient(
        self, images: Array, maps: Array, rows: Span, total: Array, first: bool, alone: bool
    ) -> None:
        """Sets `total`, or unless `first` adds to it, the gradient from those `rows` of the maps.

        Args:
            images: whole images.
            maps: the rows `rows` of the maps.
            alone: whether no other such call runs, so that the threads may share this one.
        """


def _add_bias(out: Array, bias: Array | None) -> None:
    """Adds a row of biases to each row of pixels of `out`, which is a part of one where there is one axis alone."""
    if bias is not None:
        length = out.shape[-2] * out.shape[-1] if out.ndim > 2 else bias.size
        rows = view_as(out, (len(out), -1, length))
        if rows is None:  # of a pinned blob, which lies in C order
            rows, length = out, out.shape[-1]
        np.add(rows, bias[:length], out=rows)


def _sum_rows(pixels: Array, total: Array, first: bool) -> None:
    """Sets `total`, or unless `first` adds to it, the sum over all pixels."""
    with Loans() as loans:
        rows = dense(pixels, loans).reshape(-1, pixels.shape[-1])
        sum_product(np.ones(len(rows), rows.dtype), rows, total, first)


def _add_parts(parts: Array, target: Array) -> None:
    """Adds the parts to the target, in order."""
    cuts = slices(target.shape[-1], parts.nbytes // (1 << 20))

    def add(i: int) -> None:
        place = target[..., cuts[i]]
        for part in parts:
            np.add(place, part[..., cuts[i]], out=place)

    parallel_for(len(cuts), add)


class WindowProduct(ConvolutionProduct):
    """Matrix products over the matrix of the windows, one for each group.

    Args:
        group: into how many parts both sides are cut; the i-th part of one side sees the i-th part of the other.
    """

    def __init__(
        self, window: Window, images: Sequence[int], maps: Sequence[int], dtype: np.dtype, group: int = 1
    ) -> None:
        self.group_channels = images[-1] // group
        outputs = maps[-1] // group
        self.groups = [(_part(g, self.group_channels), _part(g, outputs)) for g in range(group)]
        self.taps = self.group_channels * prod(window.kernel)
        self.weight_shape = (self.taps, maps[-1])
        self.gradient_bytes = max(self.block_bytes, GRADIENT_WINDOWS * self.taps * dtype.itemsize)
        self.itemsize = dtype.itemsize
        super().__init__(window, images, maps, dtype)

    def row_bytes(self, count: Sequence[int]) -> int:
        return prod(count[1:]) * self.taps * self.itemsize

    def _im2col(self, shape: tuple[int, ...], rows: Span) -> Im2col:
        return self.plan((shape, rows), lambda: Im2col(self.window, (*shape[:-1], self.group_channels), rows))

    def gather_block(self, images: Array, weight: Array, out: Array, rows: Span) -> None:
        im2col = self._im2col(images.shape, rows)
        with dense_to_write(out) as flat:
            target = flat.reshape(-1, self.map_channels)
            for channels, outputs in self.groups:
                with Loans() as loans:
                    matrix = im2col.matrix(images[..., channels], loans)
                    np.matmul(matrix, weight[:, outputs], out=target[:, outputs])

    def add_weight_gradient(
        self, images: Array, maps: Array, rows: Span, total: Array, first: bool, alone: bool
    ) -> None:
        im2col = self._im2col(images.shape, rows)
        with Loans() as loans:
            diff = dense(maps, loans).reshape(-1, self.map_channels)
            for channels, outputs in self.groups:
                with Loans() as inner:
                    matrix = im2col.matrix(images[..., channels], inner)
                    _sum_shared(matrix.T, diff[:, outputs], total[:, outputs], first, alone)

    # -- scatter ---------------------------------------------------------------------------------------------

    def scatter_block(self, maps: Array, weight: Array, images: Array, pixels: Span) -> None:
        if self.window.pointwise:
            self._scatter_pixels(maps[:, slice(*pixels)] if self.window.kernel else maps, weight, images)
            return
        images.fill(0)
        key = images.shape, maps.shape, pixels
        for rows, reached, col2im in self.plan(key, lambda: self._bands(*key)):
            with Loans() as loans:
                source = dense(maps[:, rows], loans).reshape(-1, self.map_channels)
                place = images[:, reached]
                for channels, outputs in self.groups:
                    with col2im.empty(self.dtype) as matrix:
                        np.matmul(source[:, outputs], weight[:, outputs].T, out=matrix)
                        col2im.add(matrix, place[..., channels])

    def _bands(self, images: tuple[int, ...], maps: tuple[int, ...], pixels: Span) -> list[tuple[slice, slice, Col2im]]:
        """Cuts the rows of windows that reach `pixels` so that the matrix of a band is no larger than a block.

        Returns:
            for each band its rows of windows, the image rows, counted from the first of `pixels`, that they lie on, and
            how its matrix is added to them.
        """
        window = self.window
        start, stop = window.windows_on(pixels, maps[1])
        size = maps[0] * self.row_bytes(maps[1:-1]) * (stop - start)
        bands = []
        for band in slices(stop - start, -(-size // self.block_bytes)):
            rows = start + band.start, start + band.stop
            if rows[0] == rows[1]:
                continue
            begin = max(pixels[0], rows[0] * window.stride[0] - window.pad[0])
            last = (rows[1] - 1) * window.stride[0] - window.pad[0] + window.extent[0]
            reached = begin, max(begin, min(pixels[1], last))
            shape = (images[0], reached[1] - reached[0], *images[2:-1], self.group_channels)
            place = slice(reached[0] - pixels[0], reached[1] - pixels[0])
            bands.append((slice(*rows), place, Col2im(window, shape, rows, reached)))
        return bands

    def _scatter_pixels(self, maps: Array, weight: Array, images: Array) -> None:
        with Loans() as loans, dense_to_write(images) as flat:
            source = dense(maps, loans).reshape(-1, self.map_channels)
            target = flat.reshape(len(source), -1)
            for channels, outputs in self.groups:
                np.matmul(source[:, outputs], weight[:, outputs].T, out=target[:, channels])


def _part(index: int, length: int) -> slice:
    return slice(index * length, (index + 1) * length)


def _sum_shared(a: Array, b: Array, total: Array, first: bool, alone: bool) -> None:
    """As sum_product; with `alone` the threads share the rows of the result."""
    if not alone:
        sum_product(a, b, total, first)
        return
    parts = slices(len(a), min(MOST_PARTS, len(a) // LEAST_PART, len(a) * b.size // PART_PRODUCTS))
    parallel_for(len(parts), lambda i: sum_product(a[parts[i]], b, total[parts[i]], first))


def sum_product(a: Array, b: Array, total: Array, first: bool) -> None:
    """total = a @ b if it is the first, else total += a @ b."""
    if first and total.flags.c_contiguous:
        np.dot(a, b, out=total)  # np.matmul keeps the interpreter's lock while it makes 500 elements or fewer
        return
    with borrow(total.shape, total.dtype) as product:
        np.dot(a, b, out=product)
        if first:
            np.copyto(total, product)
        else:
            np.add(total, product, out=total)
