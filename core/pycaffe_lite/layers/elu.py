"""ELU: the exponential linear unit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.elementwise import zeros_like
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.neuron_base import Neuron
from pycaffe_lite.memory import BOOL, borrow_like


@register_layer("ELU")
class ELU(Neuron):
    """The exponential linear unit: keeps what is positive and bends the rest towards -alpha.

        y = x where x > 0, alpha (exp(x) - 1) elsewhere        dx = dy where x > 0, dy (alpha + y) elsewhere

    Bottoms: x, any shape.
    Tops: y, like x, above -alpha; may be x itself (in place).
    Parameters: elu_param { alpha: 1 }.

    In place the derivative goes by the sign of y, which is that of x unless alpha is negative, as in Caffe.

    Source: Clevert, Unterthiner and Hochreiter, "Fast and Accurate Deep Network Learning by Exponential Linear
    Units", 2015; Caffe's ELULayer.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.alpha = self.dtype.type(self.layer_param.elu_param.alpha)

    def function(self, x: Array, y: Array) -> None:
        with borrow_like(x) as bent:
            np.minimum(x, zeros_like(x), out=bent)
            np.expm1(bent, out=bent)
            np.multiply(bent, self.alpha, out=bent)
            np.maximum(x, zeros_like(x), out=y)
            np.add(y, bent, out=y)

    def derivative(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        with (
            borrow_like(x, BOOL) as positive,
            borrow_like(x) as passed,
            borrow_like(x) as rest,
            borrow_like(x) as slope,
        ):
            np.greater(x, 0, out=positive)
            np.multiply(dy, positive, out=passed)
            np.subtract(dy, passed, out=rest)
            np.add(y, self.alpha, out=slope)
            np.multiply(rest, slope, out=rest)
            np.add(passed, rest, out=dx)
