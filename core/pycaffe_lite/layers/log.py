"""Log: the logarithm of a linear function."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.elementwise import affine
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.neuron_base import ExponentialNeuron
from pycaffe_lite.memory import borrow_like


@register_layer("Log")
class Log(ExponentialNeuron):
    """Takes the logarithm of a linear function of the numbers.

        y = log_base(shift + scale x)        dx = dy scale / ((shift + scale x) ln(base))

    Bottoms: x, any shape.
    Tops: y, like x; may be x itself (in place). nan where shift + scale x is negative, -inf where it is 0.
    Parameters: log_param { base: -1, scale: 1, shift: 0 }; base -1 stands for e.

    In place x is kept for the derivative, which Caffe would take at y.

    Errors: any other base that is not a positive number, and base 1.

    Source: Caffe's LogLayer.
    """

    keeps_input = True

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.log_param
        log_base = self.logarithm_of_base(param.base)
        if log_base == 0:
            raise self.error("expected a base other than 1, to which there is no logarithm.")
        self.scale, self.shift = float(param.scale), float(param.shift)
        self.outer_scale = 1 / log_base

    def function(self, x: Array, y: Array) -> None:
        affine(x, self.scale, self.shift, y)
        np.log(y, out=y)
        if self.outer_scale != 1:
            np.multiply(y, self.outer_scale, out=y)

    def derivative(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        with borrow_like(x) as inner:
            affine(x, self.scale, self.shift, inner)
            np.divide(dy, inner, out=dx)
            np.multiply(dx, self.scale * self.outer_scale, out=dx)
