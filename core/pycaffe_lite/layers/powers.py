"""The layers that raise to a power: Power, Exp and Log."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.elementwise import scratch_like
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.neuron_base import Neuron


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


def affine(x: Array, scale: float, shift: float, y: Array) -> None:
    """y = shift + scale * x; y may be x."""
    if scale == 1 and shift:
        np.add(x, shift, out=y)
        return
    np.multiply(x, scale, out=y)
    if shift:
        np.add(y, shift, out=y)


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
            slope = scratch_like("neuron", x, x.dtype)
            affine(x, self.scale, self.shift, slope)
            raise_to(slope, self.power - 1, slope)
            np.multiply(slope, self.slope, out=slope)
            np.multiply(dy, slope, out=dx)


@register_layer("Exp")
class Exp(Neuron):
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
        log_base = logarithm_of_base(self, param.base)
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


@register_layer("Log")
class Log(Neuron):
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
        log_base = logarithm_of_base(self, param.base)
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
        inner = scratch_like("neuron", x, x.dtype)
        affine(x, self.scale, self.shift, inner)
        np.divide(dy, inner, out=dx)
        np.multiply(dx, self.scale * self.outer_scale, out=dx)


def logarithm_of_base(layer: Neuron, base: float) -> float:
    """ln(base), 1 for the base -1, which stands for e; a CaffeError for what is no base."""
    if base == -1:
        return 1.0
    if not 0 < base < np.inf:
        raise layer.error(f"expected a base above 0, or -1 for e, got {base:g}.")
    return float(np.log(base))
