"""The smooth steps and ramps: Sigmoid, TanH, Swish and BNLL."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.elementwise import elementwise, scratch_like
from pycaffe_lite.kernels.zeros import zeros_like
from pycaffe_lite.layers.contract import Layer, register_layer
from pycaffe_lite.layers.neuron_base import Neuron


def sigmoid(x: Array, y: Array) -> None:
    """y = 1 / (1 + exp(-x)), which never overflows in this form; y may be x."""
    np.multiply(x, 0.5, out=y)
    np.tanh(y, out=y)
    np.multiply(y, 0.5, out=y)
    np.add(y, 0.5, out=y)


@register_layer("Sigmoid")
class Sigmoid(Neuron):
    """Squeezes the numbers between 0 and 1.

        y = 1 / (1 + exp(-x)) = (tanh(x / 2) + 1) / 2        dx = dy y (1 - y)

    Bottoms: x, any shape.
    Tops: y, like x, in [0, 1]; may be x itself (in place).
    Parameters: none; `engine` of sigmoid_param makes no difference.

    Source: Caffe's SigmoidLayer.
    """

    def function(self, x: Array, y: Array) -> None:
        sigmoid(x, y)

    def derivative(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        slope = scratch_like("neuron", y, y.dtype)
        np.subtract(1, y, out=slope)
        np.multiply(slope, y, out=slope)
        np.multiply(dy, slope, out=dx)


@register_layer("TanH")
class TanH(Neuron):
    """Squeezes the numbers between -1 and 1.

        y = tanh(x)        dx = dy (1 - y²)

    Bottoms: x, any shape.
    Tops: y, like x, in [-1, 1]; may be x itself (in place).
    Parameters: none; `engine` of tanh_param makes no difference.

    Source: Caffe's TanHLayer.
    """

    def function(self, x: Array, y: Array) -> None:
        np.tanh(x, out=y)

    def derivative(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        slope = scratch_like("neuron", y, y.dtype)
        np.square(y, out=slope)
        np.subtract(1, slope, out=slope)
        np.multiply(dy, slope, out=dx)


@register_layer("BNLL")
class BNLL(Neuron):
    """A smooth ramp, the binomial normal log likelihood.

        y = log(1 + exp(x)) = max(0, x) + log(1 + exp(-|x|))        dx = dy / (1 + exp(-x))

    Bottoms: x, any shape.
    Tops: y, like x, above 0; may be x itself (in place).

    In place x is kept for the derivative, which Caffe would take at y.

    Source: Caffe's BNLLLayer.
    """

    keeps_input = True

    def function(self, x: Array, y: Array) -> None:
        rest = scratch_like("neuron", x, x.dtype)
        np.abs(x, out=rest)
        np.negative(rest, out=rest)
        np.exp(rest, out=rest)
        np.log1p(rest, out=rest)
        np.maximum(x, zeros_like(x), out=y)
        np.add(y, rest, out=y)

    def derivative(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        divisor = scratch_like("neuron", x, x.dtype)
        np.negative(x, out=divisor)
        np.exp(divisor, out=divisor)  # infinity where the derivative is 0
        np.add(divisor, 1, out=divisor)
        np.divide(dy, divisor, out=dx)


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
        slope = scratch_like("neuron", y, y.dtype)
        np.subtract(1, step, out=slope)
        np.multiply(slope, y, out=slope)
        np.multiply(slope, self.beta, out=slope)
        np.add(slope, step, out=slope)
        np.multiply(dy, slope, out=dx)
