"""ReLU6: the rectified linear unit that ends at 6."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.neuron_base import Neuron
from pycaffe_lite.memory import BOOL, borrow_like


@register_layer("ReLU6")
class ReLU6(Neuron):
    """Keeps what lies between 0 and 6.

        y = min(max(0, x) + negative_slope min(0, x), 6)

    Bottoms: x, any shape.
    Tops: y, like x; may be x itself (in place).
    Parameters: relu6_param { negative_slope: 0 }; `engine` makes no difference.

    The derivative is 1 inside, negative_slope for x <= 0, and 0 from 6 on. In place it is read off y, whose sign is
    that of x unless the slope is negative. With a negative slope a very negative x reaches 6 too, which the
    derivative does not notice, as in the fork.

    Source: Howard et al., "MobileNets", 2017, after eric612's port to Caffe.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.slope = self.dtype.type(self.layer_param.relu6_param.negative_slope)

    def function(self, x: Array, y: Array) -> None:
        if not self.slope:
            np.clip(x, 0, 6, out=y)
            return
        with borrow_like(x) as negative:
            np.minimum(x, 0, out=negative)
            np.multiply(negative, self.slope, out=negative)
            np.maximum(x, 0, out=y)
            np.add(y, negative, out=y)
        np.minimum(y, 6, out=y)

    def derivative(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        with borrow_like(x) as factor, borrow_like(x, BOOL) as below:
            np.less_equal(x, 0, out=below)
            np.less(x, 6, out=factor)
            np.copyto(factor, self.slope, where=below)
            np.multiply(dy, factor, out=dx)
