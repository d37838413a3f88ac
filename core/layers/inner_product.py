"""InnerProduct: the fully connected layer."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.base import Layer, register_layer
from pycaffe_lite.parallel import parallel_for, scratch, slices

PIECE_PRODUCTS = 6_000_000
"""Multiplications worth a thread's while: below, handing the piece over costs more than it saves."""


@register_layer("InnerProduct")
class InnerProduct(Layer):
    """Multiplies each row with a matrix and adds a bias.

        top = x Wᵀ + b        x: the bottom as M x K, the axes from `axis` on flattened in logical order
        dW  = dyᵀ x,  db = sum over rows of dy,  dx = dy W

    bottom: … x K, M rows in all.
    top: the axes before `axis`, then num_output.
    blobs: weight, num_output x K (K x num_output with `transpose`); bias, num_output.

    Parameters (inner_product_param): num_output; bias_term (true); axis (1); transpose (false); weight_filler,
        bias_filler.

    Errors: a bottom whose K differs from the one the layer was made for.

    Source: Caffe's InnerProductLayer.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.inner_product_param
        self.outputs = param.num_output
        if self.outputs < 1:
            raise self.error("expected num_output of 1 or more, got 0; set inner_product_param { num_output: … }.")
        self.axis = self.canonical_axis(param.axis, bottom[0])
        self.inputs = prod(bottom[0].shape[self.axis :])
        self.transposed = param.transpose
        shape = (self.inputs, self.outputs) if self.transposed else (self.outputs, self.inputs)
        self.add_param(shape, param.weight_filler)
        if param.bias_term:
            self.add_param((self.outputs,), param.bias_filler)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = bottom[0].shape
        if prod(shape[self.axis :]) != self.inputs:
            raise self.error(
                f"expected {self.inputs} values from axis {self.axis} on, as when it was made, got shape {list(shape)}."
            )
        top[0].reshape(*shape[: self.axis], self.outputs)
        self.rows = prod(shape[: self.axis])
        pieces = self.rows * self.inputs * self.outputs // PIECE_PRODUCTS
        self.output_cuts = slices(self.outputs, min(pieces, 64))
        self.input_cuts = slices(self.inputs, min(pieces, 64))

    def _weight(self, array: np.ndarray) -> np.ndarray:
        """The weight, or its diff, as outputs x inputs."""
        return array.T if self.transposed else array

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x = bottom[0].data.reshape(self.rows, self.inputs)
        y = top[0].data.reshape(self.rows, self.outputs)
        weight = self._weight(self.blobs[0].data)
        bias = self.blobs[1].data if len(self.blobs) > 1 else None

        def piece(i: int) -> None:
            cut = self.output_cuts[i]
            np.matmul(x, weight[cut].T, out=y[:, cut])
            if bias is not None:
                np.add(y[:, cut], bias[cut], out=y[:, cut])

        parallel_for(len(self.output_cuts), piece)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        dy = top[0].diff.reshape(self.rows, self.outputs)
        if self.param_propagate_down[0]:
            self._backward_weight(bottom[0].data.reshape(self.rows, self.inputs), dy)
        if len(self.blobs) > 1 and self.param_propagate_down[1]:
            self.blobs[1].diff[...] += np.ones(self.rows, dy.dtype) @ dy
        if propagate_down[0]:
            self._backward_bottom(dy, bottom[0].diff)

    def _backward_weight(self, x: np.ndarray, dy: np.ndarray) -> None:
        diff = self._weight(self.blobs[0].diff)

        def piece(i: int) -> None:
            cut = self.output_cuts[i]
            place = diff[cut]
            gradient = scratch("product", place.shape, place.dtype)
            np.matmul(dy[:, cut].T, x, out=gradient)
            np.add(place, gradient, out=place)

        parallel_for(len(self.output_cuts), piece)

    def _backward_bottom(self, dy: np.ndarray, diff: np.ndarray) -> None:
        weight = self._weight(self.blobs[0].data)
        dense = diff.flags.c_contiguous
        dx = diff.reshape(self.rows, self.inputs) if dense else scratch("rows", (self.rows, self.inputs), dy.dtype)
        parallel_for(
            len(self.input_cuts),
            lambda i: np.matmul(dy, weight[:, self.input_cuts[i]], out=dx[:, self.input_cuts[i]]),
        )
        if not dense:
            diff[...] = dx.reshape(diff.shape)
