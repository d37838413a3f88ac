"""Power: a linear function raised to a power."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.elementwise import affine
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.neuron_base import Neuron
from pycaffe_lite.memory import borrow_like


@register_layer("Power")
class Power(Neuron):
    """Raises a linear function of the numbers to a power.

        y = (shift + scale x) ^ power        dx = dy power scale (shift + scale x) ^ (power - 1)

    Bottoms: x, any shape.
    Tops: y, like x; may be x itself (in place).
    Parameters: power_param { power: 1, scale: 1, shift: 0 }.

    With power or scale 0, y is 1 or shift ^ power everywhere, and dx is 0. A negative number to a fractional
    power is nan. In place x is kept for the derivative, which Caffe would take at y; and where x is 0 the
    derivative is that of the formula, where Caffe's, y / x, is nan.

    Source: Caffe's PowerLayer.
    """

    keeps_input = True

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.power_param
        self.power, self.scale, self.shift = (float(v) for v in (param.power, param.scale, param.shift))
        self.slope = self.power * self.scale

    def function(self, x: Array, y: Array) -> None:
        if self.slope == 0:
            y[...] = 1 if self.power == 0 else np.power(self.dtype.type(self.shift), self.power)
        elif self.power == 1:
            affine(x, self.scale, self.shift, y)
        else:
            affine(x, self.scale, self.shift, y)
            raise_to(y, self.power, y)

    def derivative(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        if self.slope == 0:
            dx[...] = 0
        elif self.power == 1:
            np.multiply(dy, self.slope, out=dx)
        else:
            with borrow_like(x) as slope:
                affine(x, self.scale, self.shift, slope)
                raise_to(slope, self.power - 1, slope)
                np.multiply(slope, self.slope, out=slope)
                np.multiply(dy, slope, out=dx)


def raise_to(x: Array, power: float, y: Array) -> None:
    """y = x ** power, y may be x; the usual powers without a logarithm."""
    if power == 1:
        np.copyto(y, x)
    elif power == 2:
        np.square(x, out=y)
    elif power == 0.5:
        np.sqrt(x, out=y)
    elif power == -0.5:
        np.sqrt(x, out=y)
        np.reciprocal(y, out=y)
    elif power == -1:
        np.reciprocal(x, out=y)
    else:
        np.power(x, power, out=y)
