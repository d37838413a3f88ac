"""BNLL: a smooth ramp."""

from __future__ import annotations

import numpy as np

from pycaffe_lite.blob import Array
from pycaffe_lite.kernels.elementwise import zeros_like
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.neuron_base import Neuron
from pycaffe_lite.memory import borrow_like


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
        with borrow_like(x) as rest:
            np.abs(x, out=rest)
            np.negative(rest, out=rest)
            np.exp(rest, out=rest)
            np.log1p(rest, out=rest)
            np.maximum(x, zeros_like(x), out=y)
            np.add(y, rest, out=y)

    def derivative(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        with borrow_like(x) as divisor:
            np.negative(x, out=divisor)
            np.exp(divisor, out=divisor)  # infinity where the derivative is 0
            np.add(divisor, 1, out=divisor)
            np.divide(dy, divisor, out=dx)
