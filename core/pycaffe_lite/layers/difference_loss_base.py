"""What losses of the difference of two blobs of one shape have in common."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.layers.loss_base import LossLayer


class DifferenceLoss(LossLayer):
    """A loss with a derivative for its prediction, and the opposite one for its target.

    Bottoms: prediction and target, N x …, of one shape; both get a derivative.
    Tops: the loss, a scalar.

    Attributes:
        batch: N, 1 or more.
        gradient: of the loss for the prediction, set by `forward`.
    """

    may_propagate: tuple[bool, ...] = (True, True)
    gradient: Array

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shapes = [blob.shape for blob in bottom]
        if len(set(shapes)) > 1 or not shapes[0]:
            texts = " and ".join(str(list(shape)) for shape in shapes)
            raise self.error(f"expected bottoms of one shape with an axis or more, got {texts}.")
        self.batch = max(1, shapes[0][0])
        top[0].reshape()

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        weight = self.dtype.type(top[0].diff)
        for blob, wanted, sign in zip(bottom, propagate_down, (1, -1), strict=False):
            if wanted:
                np.multiply(self.gradient, sign * weight, out=blob.diff)


def smooth_l1(difference: Array, square: float = 1.0) -> tuple[Array, Array]:
    """Half the square of small differences, the distance less a constant of others; and the derivative.

    Args:
        difference: any shape.
        square: differences below 1 / square are small.
    """
    distance = np.abs(difference)
    small = distance < 1 / square
    value = np.where(small, 0.5 * square * difference * difference, distance - 0.5 / square)
    return value, np.where(small, square * difference, np.sign(difference))
