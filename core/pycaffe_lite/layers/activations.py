"""The element-wise layers with a corner: AbsVal, Clip, ELU and Threshold. ReLU and PReLU have their own modules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.elementwise import scratch_like
from pycaffe_lite.kernels.zeros import zeros_like
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.neuron_base import Neuron


@register_layer("AbsVal")
class AbsVal(Neuron):
    """Takes the absolute value.

        y = |x|        dx = dy sign(x), 0 where x is 0

    Bottoms: x, any shape.
    Tops: y, like x, 0 or more; not x itself.

    Errors: in place, because the sign would be lost.

    Source: Caffe's AbsValLayer.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if top[0] is bottom[0]:
            raise self.error("cannot work in place, the signs would be lost; give its top a name of its own.")

    def function(self, x: Array, y: Array) -> None:
        np.abs(x, out=y)

    def derivative(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        sign = scratch_like("neuron", x, x.dtype)
        np.sign(x, out=sign)
        np.multiply(dy, sign, out=dx)


@register_layer("Clip")
class Clip(Neuron):
    """Keeps the numbers between two bounds.

        y = max(min, min(x, max))        dx = dy where min <= x <= max, else 0

    Bottoms: x, any shape.
    Tops: y, like x, in [min, max]; may be x itself (in place).
    Parameters: clip_param { min max }, both needed.

    In place the derivative sees y, which always lies between the bounds, so every gradient passes, as in Caffe.

    Errors: no clip_param.

    Source: Caffe's ClipLayer.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if not self.layer_param.HasField("clip_param"):
            raise self.error("expected clip_param { min: … max: … }, got none.")
        param = self.layer_param.clip_param
        self.least, self.most = self.dtype.type(param.min), self.dtype.type(param.max)

    def function(self, x: Array, y: Array) -> None:
        # A lower bound above the upper one wins, as in Caffe.
        np.clip(x, self.least, max(self.least, self.most), out=y)

    def derivative(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        inside, below = (scratch_like(name, x, np.dtype(np.bool_)) for name in ("neuron", "neuron below"))
        np.greater_equal(x, self.least, out=inside)
        np.less_equal(x, self.most, out=below)
        np.logical_and(inside, below, out=inside)
        np.multiply(dy, inside, out=dx)


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
        bent = scratch_like("neuron", x, x.dtype)
        np.minimum(x, zeros_like(x), out=bent)
        np.expm1(bent, out=bent)
        np.multiply(bent, self.alpha, out=bent)
        np.maximum(x, zeros_like(x), out=y)
        np.add(y, bent, out=y)

    def derivative(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        positive = scratch_like("neuron positive", x, np.dtype(np.bool_))
        passed, rest, slope = (scratch_like(name, x, x.dtype) for name in ("neuron", "neuron rest", "neuron slope"))
        np.greater(x, 0, out=positive)
        np.multiply(dy, positive, out=passed)
        np.subtract(dy, passed, out=rest)
        np.add(y, self.alpha, out=slope)
        np.multiply(rest, slope, out=rest)
        np.add(passed, rest, out=dx)


@register_layer("Threshold")
class Threshold(Neuron):
    """Tells what is above a threshold.

        y = 1 where x > threshold, else 0

    Bottoms: x, any shape.
    Tops: y, like x, 0 or 1; may be x itself (in place).
    Parameters: threshold_param { threshold: 0 }.

    There is no derivative: asking for one is an error.

    Source: Caffe's ThresholdLayer.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.threshold = self.dtype.type(self.layer_param.threshold_param.threshold)

    def function(self, x: Array, y: Array) -> None:
        np.greater(x, self.threshold, out=y)
