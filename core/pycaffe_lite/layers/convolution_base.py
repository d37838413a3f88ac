"""What Convolution and Deconvolution share: parameters, shapes, and how the work is cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import ClassVar, NamedTuple

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.copying import view_as
from pycaffe_lite.kernels.depthwise import DepthwiseProduct, is_depthwise
from pycaffe_lite.kernels.window_product import GRADIENT_WINDOWS, PART_PRODUCTS, WindowProduct, sum_product
from pycaffe_lite.kernels.windows import Span, dense
from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.layers.window_param import read_window
from pycaffe_lite.memory import scratch
from pycaffe_lite.parallel import parallel_for, slices

PARTIAL_BYTES = 16 << 20
"""About what the partial weight gradients of a layer may take."""

FEW_IMAGES = 4
LEAST_ROWS = 8


class Block(NamedTuple):
    """Some rows of some images: of their windows where a map is computed, of their pixels where an image is."""

    images: slice
    rows: slice

    def of(self, array: Array) -> Array:
        """These rows of an array N x spatial x C."""
        return array[self.images, self.rows] if array.ndim > 2 else array[self.images]

    def share_of(self, array: Array, rows: int) -> Array:
        """The same share of an array with more or fewer rows than the `rows` that the blocks cut."""
        if array.ndim <= 2:
            return array[self.images]
        begin, end = (array.shape[1] * bound // rows for bound in self.span)
        return array[self.images, begin:end]

    @property
    def span(self) -> Span:
        return self.rows.start, self.rows.stop


class ConvolutionBase(Layer):
    """Base of Convolution and Deconvolution.

    Both relate an image, over which a window slides, to a map with one pixel for each window, see `window_product`.
    A Convolution makes the map of the image, a Deconvolution the image of the map.

    Attributes:
        transposed: whether the bottom is the map.
    """

    num_bottoms = (1, None)
    num_tops = (1, None)
    equal_counts = True
    transposed: ClassVar[bool] = False

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.convolution_param
        self.axis = self.canonical_axis(param.axis, bottom[0])
        self.window = read_window(self, param, bottom[0].num_axes - self.axis - 1)
        self.channels, self.outputs, group = bottom[0].shape[self.axis], param.num_output, param.group
        if self.outputs < 1:
            raise self.error("expected num_output of 1 or more, got 0; set convolution_param { num_output: … }.")
        if group < 1 or self.channels % group or self.outputs % group:
            raise self.error(
                f"expected a group that divides its {self.channels} channels and {self.outputs} outputs, got {group}."
            )
        self._top_sizes(bottom[0].shape)
        sides = (self.channels, self.outputs)
        image_channels, map_channels = sides[::-1] if self.transposed else sides
        self._make_params(image_channels // group, map_channels)
        self.product: WindowProduct | DepthwiseProduct
        if is_depthwise(self.window, image_channels, map_channels, group):
            self.product = DepthwiseProduct(self.window, image_channels, map_channels, self.dtype)
        else:
            self.product = WindowProduct(self.window, image_channels, map_channels, group, self.dtype)

    def _make_params(self, channels: int, map_channels: int) -> None:
        """The weights lie in memory as taps x map channels, the matrix that the windows are multiplied with."""
        param, axes = self.layer_param.convolution_param, len(self.window.kernel)
        order = (*range(2, axes + 2), 1, 0)
        self.add_param((map_channels, channels, *self.window.kernel), param.weight_filler, order)
        if param.bias_term:
            self.add_param((self.outputs,), param.bias_filler)

    # -- shapes ----------------------------------------------------------------------------------------------

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = bottom[0].shape
        if any(blob.shape != shape for blob in bottom):
            shapes = ", ".join(str(list(blob.shape)) for blob in bottom)
            raise self.error(f"expected bottoms of one shape, got {shapes}.")
        if len(shape) != self.axis + 1 + len(self.window.kernel) or shape[self.axis] != self.channels:
            raise self.error(
                f"expected {self.channels} channels on axis {self.axis} and {len(self.window.kernel)} axes behind it, "
                f"as when it was made, got shape {list(shape)}."
            )
        sizes, result = shape[self.axis + 1 :], self._top_sizes(shape)
        order = (*range(self.axis), *range(self.axis + 1, len(shape)), self.axis)
        for blob in top:
            blob.reshape(*shape[: self.axis], self.outputs, *result, order=order)
        image, count = (result, sizes) if self.transposed else (sizes, result)
        self._cut(prod(shape[: self.axis]), image, count)

    def _top_sizes(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The lengths of the top's spatial axes."""
        sizes = shape[self.axis + 1 :]
        result = self.window.input(sizes) if self.transposed else self.window.output(sizes)
        if any(length < 1 for length in (*sizes, *result)):
            raise self.error(self._no_output(shape))
        return result

    def _no_output(self, shape: Sequence[int]) -> str:
        """What is wrong with a bottom shape that leaves nothing to compute."""
        raise NotImplementedError

    def _cut(self, batch: int, image: Sequence[int], count: Sequence[int]) -> None:
        """Cuts the work, by shapes alone.

        blocks: rows of windows; each is one step of a product.
        chunks: image rows that are set on their own: whole images, parts of them where there are only a few.
        pieces: lists of blocks that each sum a gradient of their own.
        """
        windows, height = count[0] if count else 1, image[0] if image else 1
        size, product = windows * self.product.row_bytes(count), self.product
        least = batch * prod(count) * prod(product.weight_shape) // PART_PRODUCTS
        self.blocks = _blocks(batch, windows, size, product.block_bytes, least)
        self.chunks = _blocks(batch, height, size, product.block_bytes, least, cut_large=False)
        least = min(least, batch * prod(count) // GRADIENT_WINDOWS)
        gradient = _blocks(batch, windows, size, product.gradient_bytes, least)
        partial = prod(product.weight_shape) * self.dtype.itemsize
        pieces = slices(len(gradient), min(16, max(4, PARTIAL_BYTES // partial)))
        self.pieces = [gradient[piece] for piece in pieces] if gradient else []

    # -- views -----------------------------------------------------------------------------------------------

    def _images(self, array: Array) -> Array:
        """An array with this layer's axes as N x spatial x C, for reading."""
        return _channels_last(array if self.axis == 1 else array.reshape(-1, *array.shape[self.axis :]))

    @contextmanager
    def _images_to_write(self, array: Array) -> Iterator[Array]:
        """An array with this layer's axes as N x spatial x C, for writing."""
        shape = (prod(array.shape[: self.axis]), *array.shape[self.axis :])
        merged = view_as(array, shape) if self.axis != 1 else array
        if merged is not None:
            yield _channels_last(merged)
            return
        copy = np.empty(shape, array.dtype)
        yield _channels_last(copy)
        np.copyto(array, copy.reshape(array.shape))

    def _filters(self, array: Array) -> Array:
        """The weights, or their diff, as KH x KW x C/group x map channels."""
        return array.transpose(*range(2, array.ndim), 1, 0)

    def _weight(self) -> Array:
        return self._filters(self.blobs[0].data).reshape(self.product.weight_shape)

    # -- the passes ------------------------------------------------------------------------------------------

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        run = self._scatter if self.transposed else self._gather
        for below, above in zip(bottom, top, strict=True):
            run(self._images(below.data), self._images(above.data), self._bias_row(above))

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        run = self._gather if self.transposed else self._scatter
        for above, down, below in zip(top, propagate_down, bottom, strict=True):
            x, dy = self._images(below.data), self._images(above.diff)
            self._add_gradients(*((dy, x) if self.transposed else (x, dy)), dy)
            if down:
                with self._images_to_write(below.diff) as dx:
                    run(dy, dx)

    def _gather(self, images: Array, maps: Array, bias: Array | None = None) -> None:
        """maps = windows of images @ W + bias"""
        weight = self._weight()

        def step(i: int) -> None:
            block = self.blocks[i]
            out = block.of(maps)
            self.product.gather(images[block.images], weight, out, block.span)
            _add_bias(out, bias)

        parallel_for(len(self.blocks), step)

    def _scatter(self, maps: Array, images: Array, bias: Array | None = None) -> None:
        """images = what the windows give to each pixel + bias"""
        weight = self._weight()

        def step(i: int) -> None:
            chunk = self.chunks[i]
            out = chunk.of(images)
            self.product.scatter(maps[chunk.images], weight, out, chunk.span)
            _add_bias(out, bias)

        parallel_for(len(self.chunks), step)

    def _bias_row(self, top: Blob) -> Array | None:
        """The bias once for each pixel along the last axis: adding long rows is several times faster."""
        if len(self.blobs) < 2:
            return None
        return np.tile(self.blobs[1].data, top.shape[-1] if self.window.kernel else 1)

    def _add_gradients(self, images: Array, maps: Array, diff: Array) -> None:
        """Adds the gradients of weight and bias; `diff` is the top's, on whichever side that is."""
        want_weight = self.param_propagate_down[0]
        want_bias = len(self.blobs) > 1 and self.param_propagate_down[1]
        weight_sums = scratch("partial_weights", (len(self.pieces), *self.product.weight_shape), self.dtype)
        bias_sums = scratch("partial_bias", (len(self.pieces), self.outputs), self.dtype)
        alone = len(self.pieces) == 1

        def piece(p: int) -> None:
            for i, block in enumerate(self.pieces[p]):
                share = block.of(maps)
                if want_bias:
                    dy = dense(block.share_of(diff, maps.shape[1]), "map").reshape(-1, self.outputs)
                    sum_product(np.ones(len(dy), dy.dtype), dy, bias_sums[p], i == 0)
                if want_weight:
                    target = weight_sums[p]
                    self.product.weight_gradient(images[block.images], share, block.span, target, i == 0, alone)

        parallel_for(len(self.pieces), piece)
        if want_weight:
            self._add_weight_gradient(weight_sums)
        if want_bias:
            for part in bias_sums:
                self.blobs[1].diff[...] += part

    def _add_weight_gradient(self, sums: Array) -> None:
        """Adds the pieces' gradients, in order, to that of the weights."""
        target = self._filters(self.blobs[0].diff)
        parts = sums.reshape(len(sums), *target.shape)
        cuts = slices(target.shape[-1], sums.nbytes // (1 << 20))

        def add(i: int) -> None:
            place = target[..., cuts[i]]
            for part in parts:
                np.add(place, part[..., cuts[i]], out=place)

        parallel_for(len(cuts), add)


def _blocks(
    batch: int, rows: int, image_bytes: int, block_bytes: int, least: int, cut_large: bool = True
) -> list[Block]:
    """Cuts a batch of images of so many rows.

    Several images make a block where they are small, parts of one where it is large (if `cut_large`), or where there
    are so few that threads would be idle. There are FEW_IMAGES blocks if there are `least` blocks' worth of work.
    """
    parts = FEW_IMAGES // max(1, batch)
    bands = min(parts, rows // LEAST_ROWS)
    if cut_large:
        bands = max(bands, -(-image_bytes // block_bytes))
    together = 1 if bands > 1 else max(1, block_bytes // max(1, image_bytes))
    together = min(together, max(1, batch // max(1, min(least, FEW_IMAGES))))
    groups = slices(batch, -(-batch // together)) if batch else []
    return [Block(images, band) for images in groups for band in slices(rows, bands)]


def _channels_last(array: Array) -> Array:
    return array.transpose(0, *range(2, array.ndim), 1)


def _add_bias(out: Array, bias: Array | None) -> None:
    """Adds a row of biases to each row of pixels of `out`, which is a part of one where there is one axis alone."""
    if bias is not None:
        length = prod(out.shape[-2:]) if out.ndim > 2 else bias.size
        rows = view_as(out, (len(out), -1, length))
        if rows is None:  # a pinned top lies in C order
            rows, length = out, out.shape[-1]
        np.add(rows, bias[:length], out=rows)
