"""Convolution: a filter slid over the image, as one matrix product for each block of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.base import Layer, register_layer
from pycaffe_lite.layers.window import Window
from pycaffe_lite.parallel import parallel_for, scratch, slices

BLOCK_BYTES = 2 << 20
"""The window matrix of one block: large enough for a good product, small enough for a cache to hold."""

PARTIAL_BYTES = 32 << 20
"""About what the partial weight gradients of a layer may take."""


def read_window(layer: Layer, param: Any, axes: int) -> Window:
    """The window of a ConvolutionParameter: each length given once, or once an axis, or as _h and _w."""
    return Window(
        kernel=_lengths(layer, param, "kernel_size", "kernel", axes, None),
        stride=_lengths(layer, param, "stride", "stride", axes, 1),
        pad=_lengths(layer, param, "pad", "pad", axes, 0),
        dilation=_lengths(layer, param, "dilation", "dilation", axes, 1),
    )


def _lengths(layer: Layer, param: Any, field: str, prefix: str, axes: int, default: int | None) -> tuple[int, ...]:
    listed = list(getattr(param, field))
    sides = [f"{prefix}_h", f"{prefix}_w"]
    if field != "dilation" and any(param.HasField(side) for side in sides):
        if listed:
            raise layer.error(f"expected {field} or {sides[0]} and {sides[1]}, got both.")
        if axes != 2:
            raise layer.error(f"{sides[0]} and {sides[1]} need 2 spatial axes, its bottom has {axes}; use {field}.")
        listed = [getattr(param, side) for side in sides]
    if not listed and default is not None:
        listed = [default]
    if len(listed) not in (1, axes) and axes:
        raise layer.error(f"expected {field} once, or once for each of its {axes} spatial axes, got {len(listed)} values.")
    lengths = tuple(listed * axes if len(listed) == 1 else listed)[:axes]
    if field != "pad" and any(length < 1 for length in lengths):
        raise layer.error(f"expected {field} of 1 or more, got {list(lengths)}.")
    return lengths


@register_layer("Convolution")
class Convolution(Layer):
    """Slides `num_output` filters over the image.

        top[n, o, y, x] = bias[o] + sum over c, i, j of
            weight[o, c, i, j] * bottom[n, c, y * stride + i * dilation - pad, x * stride + j * dilation - pad]

    It is a correlation, as everywhere in deep learning: the filter is not mirrored. Pixels outside count as 0.

    bottom: one or more of the same shape N x C x H x W; any number of spatial axes, 0 included, may follow the
        channel axis, and any number of batch axes may come before it (`axis`).
    top: for each bottom, N x num_output x OH x OW, with OH = (H + 2 pad - (dilation (kernel - 1) + 1)) / stride + 1,
        rounded down. Channels are last in memory.
    blobs: weight, num_output x C/group x KH x KW; bias, num_output.

    Parameters (convolution_param): num_output; kernel_size, stride (1), pad (0), dilation (1), each once or once an
        axis, or _h and _w; group (1): channels and outputs are cut into that many parts and the i-th outputs see the
        i-th channels alone; bias_term (true); weight_filler, bias_filler; axis (1), the channel axis. `engine` and
        `force_nd_im2col` choose among Caffe's implementations and change nothing here.

    Errors: a kernel larger than the padded image; channels or outputs that `group` does not divide.

    Source: Caffe's ConvolutionLayer; im2col after Chellapilla, Puri and Simard, High Performance Convolutional
        Neural Networks for Document Processing (2006).
    """

    num_bottoms = (1, None)
    num_tops = (1, None)
    equal_counts = True

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.convolution_param
        self.axis = self.canonical_axis(param.axis, bottom[0])
        self.spatial_axes = bottom[0].num_axes - self.axis - 1
        self.window = read_window(self, param, self.spatial_axes)
        self.group = param.group
        self.outputs = param.num_output
        channels = bottom[0].shape[self.axis]
        if self.outputs < 1:
            raise self.error("expected num_output of 1 or more, got 0; set convolution_param { num_output: … }.")
        if self.group < 1 or channels % self.group or self.outputs % self.group:
            raise self.error(f"expected a group that divides its {channels} channels and {self.outputs} outputs, got {self.group}.")
        # Memory: taps x outputs, the matrix that the windows are multiplied with.
        order = (*range(2, self.spatial_axes + 2), 1, 0)
        self.add_param((self.outputs, channels // self.group, *self.window.kernel), param.weight_filler, order)
        self.taps = channels // self.group * prod(self.window.kernel)
        if param.bias_term:
            self.add_param((self.outputs,), param.bias_filler)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = bottom[0].shape
        if any(blob.shape != shape for blob in bottom):
            raise self.error(f"expected bottoms of one shape, got {', '.join(str(list(blob.shape)) for blob in bottom)}.")
        channels = self.blobs[0].shape[1] * self.group
        if shape[self.axis] != channels:
            raise self.error(f"expected {channels} channels, as when it was made, got shape {list(shape)}.")
        count = self.window.output(shape[self.axis + 1 :])
        if any(length < 1 for length in count):
            raise self.error(f"its kernel {list(self.window.kernel)} is larger than the padded image of shape {list(shape)}.")
        axes = len(shape)
        order = (*range(self.axis), *range(self.axis + 1, axes), self.axis)
        for blob in top:
            blob.reshape(*shape[: self.axis], self.outputs, *count, order=order)
        self._cut(prod(shape[: self.axis]), prod(count))

    def _cut(self, batch: int, windows: int) -> None:
        """Cuts the batch into blocks, and the blocks into pieces that each sum a gradient of their own."""
        matrix = windows * self.taps * self.dtype.itemsize
        block = max(1, BLOCK_BYTES // max(1, matrix))
        self.blocks = slices(batch, -(-batch // block)) if batch else []
        partial = self.taps * self.outputs * self.dtype.itemsize
        pieces = min(16, max(4, PARTIAL_BYTES // partial))
        self.pieces = [self.blocks[piece] for piece in slices(len(self.blocks), pieces)]

    def _images(self, array: np.ndarray) -> np.ndarray:
        """A view N x spatial x C of an array with this layer's axes."""
        if self.axis != 1:
            array = array.reshape(-1, *array.shape[self.axis :])
        return array.transpose(0, *range(2, array.ndim), 1)

    def _filters(self, array: np.ndarray) -> np.ndarray:
        """A view KH x KW x C/group x outputs of the weights or their diff."""
        return array.transpose(*range(2, array.ndim), 1, 0)

    def _groups(self) -> list[tuple[slice, slice]]:
        """For each group its channels and its outputs."""
        channels, outputs = self.blobs[0].shape[1], self.outputs // self.group
        return [
            (slice(g * channels, (g + 1) * channels), slice(g * outputs, (g + 1) * outputs))
            for g in range(self.group)
        ]

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        weight = self._filters(self.blobs[0].data).reshape(self.taps, self.outputs)
        groups = self._groups()
        for below, above in zip(bottom, top, strict=True):
            images, out = self._images(below.data), self._images(above.data)
            bias = self._bias_row(out)

            def block(i: int, images: np.ndarray = images, out: np.ndarray = out, bias: Any = bias) -> None:
                x, y = images[self.blocks[i]], out[self.blocks[i]]
                y2 = y.reshape(-1, self.outputs)
                for channels, outputs in groups:
                    np.matmul(self.window.columns(x[..., channels]), weight[:, outputs], out=y2[:, outputs])
                if bias is not None:
                    rows = y.reshape(-1, bias.size)
                    np.add(rows, bias, out=rows)

            parallel_for(len(self.blocks), block)

    def _bias_row(self, out: np.ndarray) -> np.ndarray | None:
        """The bias once for each pixel of an image row: adding long rows is several times faster."""
        if len(self.blobs) < 2:
            return None
        return np.tile(self.blobs[1].data, out.shape[-2] if out.ndim > 2 else 1)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        weight = self._filters(self.blobs[0].data).reshape(self.taps, self.outputs)
        for above, down, below in zip(top, propagate_down, bottom, strict=True):
            if not self.blocks:
                continue
            images, diff = self._images(below.data), self._images(above.diff)
            images_diff = self._images(below.diff) if down else None
            sums = scratch("partial_weights", (len(self.pieces), self.taps, self.outputs), self.dtype)
            bias_sums = scratch("partial_bias", (len(self.pieces), self.outputs), self.dtype)
            parallel_for(
                len(self.pieces),
                lambda p, x=images, dy=diff, dx=images_diff, dw=sums, db=bias_sums: self._backward_piece(
                    self.pieces[p], weight, x, dy, dx, dw[p], db[p]
                ),
            )
            self._add_gradients(sums, bias_sums)

    def _backward_piece(
        self,
        blocks: list[slice],
        weight: np.ndarray,
        images: np.ndarray,
        diff: np.ndarray,
        images_diff: np.ndarray | None,
        weight_sum: np.ndarray,
        bias_sum: np.ndarray,
    ) -> None:
        """The gradients of some blocks: those of weight and bias summed, those of the images in place."""
        want_weight, want_bias = self.param_propagate_down[0], len(self.blobs) > 1 and self.param_propagate_down[1]
        for i, block in enumerate(blocks):
            x, dy = images[block], diff[block].reshape(-1, self.outputs)
            if want_bias:
                _sum_into(bias_sum, i, np.ones(len(dy), dy.dtype), dy)
            for channels, outputs in self._groups():
                if want_weight:
                    columns = self.window.columns(x[..., channels])
                    _sum_into(weight_sum[:, outputs], i, columns.T, dy[:, outputs])
                if images_diff is not None:
                    self._backward_images(dy[:, outputs], weight[:, outputs], images_diff[block][..., channels])

    def _backward_images(self, dy: np.ndarray, weight: np.ndarray, dx: np.ndarray) -> None:
        if self.window.pointwise and dx.flags.c_contiguous:
            np.matmul(dy, weight.T, out=dx.reshape(len(dy), -1))
            return
        columns = self.window.empty_columns(dx)
        np.matmul(dy, weight.T, out=columns)
        if self.window.pointwise:
            dx[...] = columns.reshape(dx.shape)
        else:
            self.window.sum_columns(columns, dx)

    def _add_gradients(self, sums: np.ndarray, bias_sums: np.ndarray) -> None:
        """Adds the pieces' gradients, in order, to those of the parameters."""
        if self.param_propagate_down[0]:
            target = self._filters(self.blobs[0].diff)
            parts = sums.reshape(len(sums), *target.shape)
            cuts = slices(self.outputs, sums.nbytes // (1 << 20))

            def add(i: int) -> None:
                place = target[..., cuts[i]]
                for part in parts:
                    np.add(place, part[..., cuts[i]], out=place)

            parallel_for(len(cuts), add)
        if len(self.blobs) > 1 and self.param_propagate_down[1]:
            for part in bias_sums:
                self.blobs[1].diff[...] += part


def _sum_into(total: np.ndarray, index: int, a: np.ndarray, b: np.ndarray) -> None:
    """total = a @ b for the first index, total += a @ b for the later ones."""
    if index == 0:
        np.matmul(a, b, out=total)
        return
    product = scratch("product", total.shape, total.dtype)
    np.matmul(a, b, out=product)
    np.add(total, product, out=total)
