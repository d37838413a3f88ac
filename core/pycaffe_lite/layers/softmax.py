"""Softmax: scores to probabilities."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite.blob import Blob
from pycaffe_lite.kernels.softmax import softmax, softmax_backward
from pycaffe_lite.layers.contract import Layer, register_layer


@register_layer("Softmax")
class Softmax(Layer):
    """Makes scores into probabilities along one axis.

        y_k = exp(x_k - max x) / sum_j exp(x_j - max x)

    Bottoms: x, any shape with one axis or more.
    Tops: y, like x, in [0, 1], sums of 1 along the axis; may be x itself (in place).
    Parameters: softmax_param { axis: 1 }, a negative one counts from the end; `engine` makes no difference.

    Errors: an axis that x does not have, or of length 0.
    """

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.axis = softmax_axis(self, bottom[0])
        top[0].reshape_like(bottom[0])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        softmax(bottom[0].data, self.axis, top[0].data)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            softmax_backward(top[0].data, self.axis, top[0].diff, bottom[0].diff)


def softmax_axis(layer: Layer, scores: Blob) -> int:
    """The axis that softmax_param names, counted from 0; a CaffeError if it is missing or empty."""
    axis = layer.canonical_axis(layer.layer_param.softmax_param.axis, scores)
    if scores.shape[axis] == 0:
        raise layer.error(f"expected one class or more along axis {axis}, got shape {list(scores.shape)}.")
    return axis
