"""ReLU: the rectified linear unit, plain or leaky."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.choice import compiled
from pycaffe_lite.kernels.elementwise import flat
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.neuron_base import Neuron
from pycaffe_lite.memory import BOOL, borrow_like


@register_layer("ReLU")
class ReLU(Neuron):
    """Keeps what is positive and multiplies the rest by the negative slope.

        y = max(0, x) + negative_slope * min(0, x)

    Bottoms: x, any shape.
    Tops: y, like x; may be x itself (in place).
    Parameters: relu_param { negative_slope: 0 }; `engine` makes no difference.

    At exactly 0 the derivative is the negative slope. In place the derivative is read off y, whose sign is
    that of x unless the slope is negative, as in Caffe.

    Source: Nair and Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", 2010; the leaky
    form: Maas, Hannun and Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models", 2013.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.slope = self.dtype.type(self.layer_param.relu_param.negative_slope)

    def function(self, x: Array, y: Array) -> None:
        if not self.slope:
            np.maximum(x, 0, out=y)
            return
        with borrow_like(x) as negative:
            np.minimum(x, 0, out=negative)
            np.multiply(negative, self.slope, out=negative)
            np.maximum(x, 0, out=y)
            np.add(y, negative, out=y)

    def derivative(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        if not self.slope:
            loops = compiled(x.dtype)
            if loops and (vectors := flat(x, dy, dx)):
                loops.relu_backward(*vectors)
                return
            with borrow_like(x, BOOL) as positive:
                np.greater(x, 0, out=positive)
                np.multiply(dy, positive, out=dx)
            return
        with borrow_like(x) as factor, borrow_like(x) as rest:
            np.greater(x, 0, out=factor)
            np.less_equal(x, 0, out=rest)
            np.multiply(rest, self.slope, out=rest)
            np.add(factor, rest, out=factor)
            np.multiply(dy, factor, out=dx)
