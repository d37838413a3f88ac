"""Softmax: scores to probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.elementwise import elementwise, scratch_like
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
        self.total = softmax_scratch(bottom[0], self.axis)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        softmax(bottom[0].data, self.axis, top[0].data, self.total)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            elementwise(self._derive, bottom[0].diff, top[0].diff, top[0].data, self.total, whole=self.axis)

    def _derive(self, dx: Array, dy: Array, y: Array, total: Array) -> None:
        """dx = (dy - sum_j dy_j y_j) y"""
        product = scratch_like("softmax", dy, dy.dtype)
        np.multiply(dy, y, out=product)
        np.add.reduce(product, axis=self.axis, keepdims=True, out=total)
        np.subtract(dy, total, out=dx)
        np.multiply(dx, y, out=dx)


def softmax_axis(layer: Layer, scores: Blob) -> int:
    """The axis that softmax_param names, counted from 0; a CaffeError if it is missing or empty."""
    axis = layer.canonical_axis(layer.layer_param.softmax_param.axis, scores)
    if scores.shape[axis] == 0:
        raise layer.error(f"expected one class or more along axis {axis}, got shape {list(scores.shape)}.")
    return axis


def softmax_scratch(scores: Blob, axis: int) -> Array:
    """What `softmax` keeps its sums in: an array like the scores, of length 1 along the axis."""
    return np.empty((*scores.shape[:axis], 1, *scores.shape[axis + 1 :]), scores.dtype)


def softmax(x: Array, axis: int, y: Array, total: Array) -> None:
    """y = softmax of x along an axis; y may be x.

    Args:
        total: the array that `softmax_scratch` made.
    """

    def body(x: Array, y: Array, total: Array) -> None:
        np.maximum.reduce(x, axis=axis, keepdims=True, out=total)
        np.subtract(x, total, out=y)
        np.exp(y, out=y)
        np.add.reduce(y, axis=axis, keepdims=True, out=total)
        np.divide(y, total, out=y)

    elementwise(body, x, y, total, whole=axis)
