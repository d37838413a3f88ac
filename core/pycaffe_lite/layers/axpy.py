"""Axpy: a scaled blob plus another one, with a scale for each image and channel."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.elementwise import elementwise
from pycaffe_lite.layers.contract import Layer, register_layer


@register_layer("Axpy")
class Axpy(Layer):
    """Scales a blob, channel by channel, and adds another one.

        y = a x + b        da = sum of dy x over the places,  dx = a dy,  db = dy

    Bottoms: a, N x C, which may have further axes of length 1; x, N x C x …; b, like x.
    Top: y, like x.

    Errors: an a of another number of images or channels; x and b of different shapes.

    Source: Hu, Shen and Sun, "Squeeze-and-Excitation Networks", 2017, and their Caffe layer.
    """

    num_bottoms = (3, 3)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        scale, x, other = (blob.shape for blob in bottom)
        if len(x) < 2 or scale[:2] != x[:2] or prod(scale[2:]) != 1:
            raise self.error(
                f"expected as bottom 0 one number for each image and channel of bottom 1 of shape {list(x)}, got shape "
                f"{list(scale)}."
            )
        if other != x:
            raise self.error(f"expected bottoms 1 and 2 of one shape, got {list(x)} and {list(other)}.")
        if any(top[0] is blob for blob in bottom):
            raise self.error("cannot work in place; give its top a name of its own.")
        top[0].reshape_like(bottom[1])

    def _spread(self, scale: Blob, shape: tuple[int, ...]) -> Array:
        """The scales at every place, without a copy."""
        return np.broadcast_to(scale.data.reshape(*shape[:2], *[1] * (len(shape) - 2)), shape)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        scale, x, other = bottom
        elementwise(_add_scaled, top[0].data, x.data, other.data, self._spread(scale, x.shape))

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        scale, x, other = bottom
        dy = top[0].diff
        if propagate_down[0]:
            product = dy * x.data
            scale.diff[...] = product.sum(axis=tuple(range(2, product.ndim))).reshape(scale.shape)
        if propagate_down[1]:
            elementwise(_multiply, x.diff, dy, self._spread(scale, x.shape))
        if propagate_down[2]:
            elementwise(np.copyto, other.diff, dy)


def _add_scaled(y: Array, x: Array, other: Array, scale: Array) -> None:
    np.multiply(x, scale, out=y)
    np.add(y, other, out=y)


def _multiply(dx: Array, dy: Array, scale: Array) -> None:
    np.multiply(dy, scale, out=dx)
