"""TanH: squeezes numbers between -1 and 1."""

from __future__ import annotations

import numpy as np

from pycaffe_lite.blob import Array
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.neuron_base import Neuron
from pycaffe_lite.memory import borrow_like


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
        with borrow_like(y) as slope:
            np.square(y, out=slope)
            np.subtract(1, slope, out=slope)
            np.multiply(dy, slope, out=dx)
