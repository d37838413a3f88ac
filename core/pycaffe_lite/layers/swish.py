"""Swish: a ramp that dips below 0 before it rises."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.elementwise import elementwise, sigmoid
from pycaffe_lite.layers.contract import Layer, register_layer
from pycaffe_lite.memory import borrow_like


@register_layer("Swish")
class Swish(Layer):
    """A ramp that dips below 0 before it rises.

        y = x s,  s = 1 / (1 + exp(-beta x))        dx = dy (s + beta y (1 - s))

    Bottoms: x, any shape.
    Tops: y, like x; may be x itself (in place).
    Parameters: swish_param { beta: 1 }.

    Source: Ramachandran, Zoph and Le, "Searching for Activation Functions", 2017; Caffe's SwishLayer.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.beta = self.dtype.type(self.layer_param.swish_param.beta)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].reshape_like(bottom[0])
        self.step = Blob(bottom[0].shape, bottom[0].order, bottom[0].dtype)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        elementwise(self._swish, bottom[0].data, self.step.data, top[0].data)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            elementwise(self._derive, self.step.data, top[0].data, top[0].diff, bottom[0].diff)

    def _swish(self, x: Array, step: Array, y: Array) -> None:
        np.multiply(x, self.beta, out=step)
        sigmoid(step, step)
        np.multiply(x, step, out=y)

    def _derive(self, step: Array, y: Array, dy: Array, dx: Array) -> None:
        with borrow_like(y) as slope:
            np.subtract(1, step, out=slope)
            np.multiply(slope, y, out=slope)
            np.multiply(slope, self.beta, out=slope)
            np.add(slope, step, out=slope)
            np.multiply(dy, slope, out=dx)
