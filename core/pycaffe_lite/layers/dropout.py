"""Dropout: leaves out a random part of the values while training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite import rng
from pycaffe_lite.blob import Blob
from pycaffe_lite.kernels.elementwise import elementwise
from pycaffe_lite.layers.contract import Layer, register_layer
from pycaffe_lite.phase import TRAIN


@register_layer("Dropout")
class Dropout(Layer):
    """Sets each value to 0 with a given probability and scales the rest up, so that the mean stays what it
    was.

        TRAIN: y = x * mask / (1 - dropout_ratio), mask 1 with probability 1 - dropout_ratio, else 0
        TEST:  y = x

    Bottoms: x, any shape.
    Tops: y, like x; may be x itself (in place).
    Parameters: dropout_param { dropout_ratio: 0.5 }, in [0, 1]. With 1 nothing is left and y is 0.

    The mask is drawn anew in each forward, one 32-bit word of Caffe's generator for each value in logical (N,
    C, H, W) order, so the same seed gives Caffe's own mask.

    Errors: a ratio outside [0, 1].

    Source: Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", 2014.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        ratio = self.layer_param.dropout_param.dropout_ratio
        if not 0 <= ratio <= 1:
            raise self.error(f"expected a dropout_ratio from 0 to 1, got {ratio:g}.")
        self.keep = 1 - ratio
        self.scale = self.dtype.type(1 / self.keep if self.keep else 0)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].reshape_like(bottom[0])
        self.kept = np.empty(bottom[0].shape, np.bool_)
        self.mask = Blob(bottom[0].shape, bottom[0].order, bottom[0].dtype)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self.phase == TRAIN:
            rng.bernoulli(self.kept.size, self.keep, out=self.kept)
            # The dtype, because older NumPy multiplies booleans and a scalar in half precision.
            np.multiply(self.kept, self.scale, out=self.mask.data, dtype=self.mask.dtype)
            elementwise(_multiply, bottom[0].data, self.mask.data, top[0].data)
        elif top[0] is not bottom[0]:
            np.copyto(top[0].data, bottom[0].data)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if not propagate_down[0]:
            return
        if self.phase == TRAIN:
            elementwise(_multiply, top[0].diff, self.mask.data, bottom[0].diff)
        elif top[0] is not bottom[0]:
            np.copyto(bottom[0].diff, top[0].diff)


def _multiply(x: np.ndarray, mask: np.ndarray, y: np.ndarray) -> None:
    np.multiply(x, mask, out=y)
