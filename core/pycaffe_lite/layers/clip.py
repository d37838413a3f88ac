"""Clip: keeps numbers between two bounds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.neuron_base import Neuron
from pycaffe_lite.memory import BOOL, borrow_like


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
        with borrow_like(x, BOOL) as inside, borrow_like(x, BOOL) as below:
            np.greater_equal(x, self.least, out=inside)
            np.less_equal(x, self.most, out=below)
            np.logical_and(inside, below, out=inside)
            np.multiply(dy, inside, out=dx)
