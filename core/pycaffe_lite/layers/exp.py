"""Exp: a base raised to a linear function."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.elementwise import affine
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.neuron_base import ExponentialNeuron


@register_layer("Exp")
class Exp(ExponentialNeuron):
    """Raises a base to a linear function of the numbers.

        y = base ^ (shift + scale x)        dx = dy y ln(base) scale

    Bottoms: x, any shape.
    Tops: y, like x, above 0; may be x itself (in place).
    Parameters: exp_param { base: -1, scale: 1, shift: 0 }; base -1 stands for e.

    Errors: any other base that is not a positive number.

    Source: Caffe's ExpLayer.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.exp_param
        log_base = self.logarithm_of_base(param.base)
        self.inner_scale = self.dtype.type(log_base * param.scale)
        with np.errstate(over="ignore"):
            self.outer_scale = self.dtype.type(np.exp(np.float64(log_base * param.shift)))

    def function(self, x: Array, y: Array) -> None:
        affine(x, self.inner_scale, 0, y)
        np.exp(y, out=y)
        if self.outer_scale != 1:
            np.multiply(y, self.outer_scale, out=y)

    def derivative(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        np.multiply(dy, y, out=dx)
        if self.inner_scale != 1:
            np.multiply(dx, self.inner_scale, out=dx)
