"""RNN: the plain recurrent network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels import products
from pycaffe_lite.kernels.elementwise import elementwise
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.recurrent_base import Param, Recurrent, matrix
from pycaffe_lite.memory import borrow


@register_layer("RNN")
class RNN(Recurrent):
    """Takes streams through time steps with one layer of hidden units that see themselves a step before.

        h_t = tanh(W_x x_t + b + W_static x_static + W_h (cont_t h_{t-1}))
        y_t = tanh(W_o h_t + b_o)

    Bottoms, tops, parameters, errors: see `Recurrent`. The only state is h.
    blobs: W_x, D x inputs; b, D; W_static, D x static inputs, if there is a static input; W_h, D x D; W_o, D x D;
        b_o, D.

    Source: Elman, "Finding Structure in Time", 1990; Caffe's RNNLayer.
    """

    num_bottoms = (2, 4)
    num_tops = (1, 2)

    def step_params(self) -> list[Param]:
        param = self.layer_param.recurrent_param
        output = ((self.units, self.units), param.weight_filler), ((self.units,), param.bias_filler)
        return [*super().step_params(), *output]

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        self.output, self.hidden_diff = np.empty_like(self.conted), np.empty_like(self.conted)

    def step_forward(self, t: int, units: slice, z: Array) -> None:
        np.tanh(z[0], out=self.hidden[t + 1, :, units])

    def end(self, top: Blob) -> list[Array]:
        weight, bias = (blob.data for blob in self.blobs[-2:])
        products.multiply(matrix(self.hidden[1:], 2), weight, matrix(self.output, 2), bias)
        elementwise(lambda y: np.tanh(y, out=y), self.output)
        # A copy, because a layer in place behind this one would write over what backward needs.
        np.copyto(top.data, self.output)
        return [self.hidden[-1]]

    def begin_backward(self, top: Blob) -> Array:
        with borrow(self.output.shape, self.output.dtype) as dz:
            elementwise(_tanh_backward, self.output, top.diff, dz)
            rows = matrix(dz, 2)
            if self.param_propagate_down[-2]:
                products.add_weight_gradient(rows, matrix(self.hidden[1:], 2), self.blobs[-2].diff)
            if self.param_propagate_down[-1]:
                products.add_bias_gradient(rows, self.blobs[-1].diff)
            products.multiply_back(rows, self.blobs[-2].data, matrix(self.hidden_diff, 2))
        return self.hidden_diff

    def step_backward(self, t: int, units: slice, hidden_diff: Array) -> None:
        _tanh_backward(self.hidden[t + 1, :, units], hidden_diff, self.z_diff[t, :, 0, units])


def _tanh_backward(y: Array, dy: Array, dx: Array) -> None:
    """dx = (1 - y²) dy"""
    np.multiply(y, y, out=dx)
    np.subtract(1, dx, out=dx)
    np.multiply(dx, dy, out=dx)
