"""Sigmoid: squeezes numbers between 0 and 1."""

from __future__ import annotations

import numpy as np

from pycaffe_lite.blob import Array
from pycaffe_lite.kernels.elementwise import sigmoid
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.neuron_base import Neuron
from pycaffe_lite.memory import borrow_like


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
        with borrow_like(y) as slope:
            np.subtract(1, y, out=slope)
            np.multiply(slope, y, out=slope)
            np.multiply(dy, slope, out=dx)
