"""EuclideanLoss: half the mean squared distance."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.kernels.elementwise import elementwise
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.loss_base import LossLayer


@register_layer("EuclideanLoss")
class EuclideanLoss(LossLayer):
    """Half the sum of squared differences, over the batch size: least squares.

        E = sum (a - b)² / (2 N)        da = (a - b) * loss_weight / N        db = -da

    Bottoms: a and b, N x … of any range, with as many values for each of the N items; both get a derivative.
    Tops: E, a scalar, 0 or more.

    Errors: other numbers of items, or of values for each.
    """

    may_propagate = (True, True)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        shapes = [blob.shape for blob in bottom]
        if len({prod(shape[1:]) for shape in shapes}) > 1:
            raise self.error(
                f"expected two bottoms with as many values for each item, "
                f"got shapes {list(shapes[0])} and {list(shapes[1])}."
            )
        self.batch = max(1, shapes[0][0])
        self.difference = np.empty(shapes[0], bottom[0].dtype)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        a, b = bottom[0].data, bottom[1].data
        elementwise(lambda d, a, b: np.subtract(a, b, out=d), self.difference, a, b.reshape(a.shape))
        flat = self.difference.reshape(-1)
        top[0].data[...] = np.vdot(flat, flat) / (2 * self.batch)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        scale = float(top[0].diff) / self.batch
        for blob, wanted, factor in zip(bottom, propagate_down, (scale, -scale), strict=True):
            if wanted:
                np.multiply(self.difference.reshape(blob.shape), factor, out=blob.diff)
