"""Threshold: tells what is above a threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.neuron_base import Neuron


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
