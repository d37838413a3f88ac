"""Bias: adds a vector along some axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.elementwise import elementwise
from pycaffe_lite.layers.broadcast_base import Broadcast
from pycaffe_lite.layers.contract import register_layer


@register_layer("Bias")
class Bias(Broadcast):
    """Adds a vector, repeated over the axes that it does not have.

        y[n, c, h, w] = x[n, c, h, w] + b[c]        dx = dy,  db[c] = sum of dy over n, h, w

    Bottoms: x, any shape; b, where it is not learned, like x from `axis` on, over as many axes as it has.
    Tops: y, like x; may be x itself (in place).
    Blobs: with one bottom: b, of the bottom's shape from `axis` on over `num_axes` axes.
    Parameters: bias_param { axis: 1, num_axes: 1, filler: constant 0 }. num_axes -1 means all axes from `axis`
        on, 0 one number for all.

    Errors: axes that x does not have; a b that does not fit.

    Source: Caffe's BiasLayer.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.param = self.layer_param.bias_param
        if len(bottom) == 1:
            self.add_param(self.operand_shape(bottom[0]), self.param.filler)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        bias = self.operand(bottom).data.reshape(-1)
        self.channels.map(_add, bottom[0].data, top[0].data, vectors=[bias])

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        dy, operand = top[0].diff, self.operand(bottom)
        if len(bottom) > 1 and propagate_down[1]:
            operand.diff[...] = self._sum(dy, operand)
        elif len(bottom) == 1 and self.param_propagate_down[0]:
            operand.diff[...] += self._sum(dy, operand)
        if propagate_down[0] and bottom[0] is not top[0]:
            elementwise(_copy, dy, bottom[0].diff)

    def _sum(self, dy: Array, operand: Blob) -> np.ndarray:
        (sums,) = self.channels.sums(1, lambda add, piece: add(0, piece), dy)
        return sums.reshape(operand.shape)


def _add(x: Array, y: Array, bias: Array) -> None:
    np.add(x, bias, out=y)


def _copy(dy: Array, dx: Array) -> None:
    np.copyto(dx, dy)
