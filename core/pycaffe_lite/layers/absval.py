"""AbsVal: the absolute value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.neuron_base import Neuron
from pycaffe_lite.memory import borrow_like


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
        with borrow_like(x) as sign:
            np.sign(x, out=sign)
            np.multiply(dy, sign, out=dx)
