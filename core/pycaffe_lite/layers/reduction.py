"""Reduction: the trailing axes into one number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.channels import Add, Channels
from pycaffe_lite.layers.contract import Layer, register_layer
from pycaffe_lite.memory import borrow
from pycaffe_lite.proto import caffe_pb2

SUM, ASUM, SUMSQ, MEAN = (
    caffe_pb2.ReductionParameter.ReductionOp.Value(name) for name in ("SUM", "ASUM", "SUMSQ", "MEAN")
)


@register_layer("Reduction")
class Reduction(Layer):
    """Sums up everything from one axis on.

        SUM:    y = coeff sum of x          dx = coeff dy
        ASUM:   y = coeff sum of |x|        dx = coeff dy sign(x)
        SUMSQ:  y = coeff sum of x²         dx = 2 coeff dy x
        MEAN:   y = coeff mean of x         dx = coeff dy / count

    Bottoms: x, any shape with one axis or more.
    Tops: y, of the axes before `axis`; a scalar (shape ()) for axis 0.
    Parameters: reduction_param { operation: SUM, axis: 0, coeff: 1 }; a negative axis counts from the end.

    Errors: an axis that x does not have; the mean of nothing.

    Source: Caffe's ReductionLayer.
    """

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param, x = self.layer_param.reduction_param, bottom[0]
        axis = self.canonical_axis(param.axis, x)
        self.operation = param.operation
        self.channels = Channels(x, 0, axis)
        self.coeff = param.coeff
        if self.operation == MEAN:
            if self.channels.size == 0:
                raise self.error(f"expected one value or more from axis {axis} on, got shape {list(x.shape)}.")
            self.coeff /= self.channels.size
        top[0].reshape(*x.shape[:axis])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        bodies = {ASUM: _add_absolute_values, SUMSQ: _add_squares}
        (sums,) = self.channels.sums(1, bodies.get(self.operation, _add_values), bottom[0].data)
        top[0].data[...] = (self.coeff * sums).reshape(top[0].shape)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if not propagate_down[0]:
            return
        factor = self.coeff * top[0].diff.reshape(-1)
        if self.operation == ASUM:
            self.channels.map(_derive_absolute_values, bottom[0].data, bottom[0].diff, vectors=[factor])
        elif self.operation == SUMSQ:
            self.channels.map(_derive_squares, bottom[0].data, bottom[0].diff, vectors=[2 * factor])
        else:
            self.channels.map(np.copyto, bottom[0].diff, vectors=[factor])


def _add_values(add: Add, x: Array) -> None:
    add(0, x)


def _add_absolute_values(add: Add, x: Array) -> None:
    with borrow(x.shape, x.dtype) as values:
        add(0, np.abs(x, out=values))


def _add_squares(add: Add, x: Array) -> None:
    with borrow(x.shape, x.dtype) as squares:
        add(0, np.square(x, out=squares))


def _derive_absolute_values(x: Array, dx: Array, factor: Array) -> None:
    np.sign(x, out=dx)
    np.multiply(dx, factor, out=dx)


def _derive_squares(x: Array, dx: Array, factor: Array) -> None:
    np.multiply(x, factor, out=dx)
