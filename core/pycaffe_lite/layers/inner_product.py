"""InnerProduct: the fully connected layer."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.kernels.copying import dense_to_write
from pycaffe_lite.kernels.products import add_bias_gradient, add_weight_gradient, multiply, multiply_back
from pycaffe_lite.layers.contract import Layer, register_layer


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

    def _weight(self, array: np.ndarray) -> np.ndarray:
        """The weight, or its diff, as outputs x inputs."""
        return array.T if self.transposed else array

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x = bottom[0].data.reshape(self.rows, self.inputs)
        y = top[0].data.reshape(self.rows, self.outputs)
        multiply(x, self._weight(self.blobs[0].data), y, self.blobs[1].data if len(self.blobs) > 1 else None)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        dy = top[0].diff.reshape(self.rows, self.outputs)
        if self.param_propagate_down[0]:
            x = bottom[0].data.reshape(self.rows, self.inputs)
            add_weight_gradient(dy, x, self._weight(self.blobs[0].diff))
        if len(self.blobs) > 1 and self.param_propagate_down[1]:
            add_bias_gradient(dy, self.blobs[1].diff)
        if propagate_down[0]:
            with dense_to_write(bottom[0].diff) as dx:
                multiply_back(dy, self._weight(self.blobs[0].data), dx.reshape(self.rows, self.inputs))
