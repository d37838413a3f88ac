"""ContrastiveLoss: pairs that are alike come near, others keep a distance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.loss_base import LossLayer, sum_in_order

LEAST_DISTANCE = 1e-4
"""Caffe adds this to the distance that it divides by: two equal vectors push each other nowhere."""


@register_layer("ContrastiveLoss")
class ContrastiveLoss(LossLayer):
    """Draws pairs that are alike together, and pushes the others at least `margin` apart.

        d_n = |a_n - b_n|
        E = sum_n (y_n d_n² + (1 - y_n) max(margin - d_n, 0)²) / (2 N)
        legacy_version:  max(margin - d_n², 0) in the place of max(margin - d_n, 0)²

    Bottoms: a and b, N x C (or N x C x 1 x 1), of any range; y, N: 0 for a pair that is not alike, else alike.
        A fraction of y is cut off.
    Tops: E, a scalar, 0 or more.
    Parameters: contrastive_loss_param { margin: 1  legacy_version: false }.

    The derivative of (margin - d)² divides by d + 1e-4, as in Caffe.

    Errors: shapes that do not fit; a diff wanted for y.

    Source: Hadsell, Chopra and LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", 2006.
    """

    num_bottoms = (3, 3)
    may_propagate = (True, True, False)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.contrastive_loss_param
        self.margin, self.legacy = float(param.margin), bool(param.legacy_version)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        shapes = [blob.shape for blob in bottom]
        for shape in shapes[:2]:
            if len(shape) > 4 or any(length != 1 for length in shape[2:]):
                raise self.error(f"expected vectors, shape N x C or N x C x 1 x 1, got shape {list(shape)}.")
        vectors = (*shapes[0], 1)[:2]
        if (*shapes[1], 1)[:2] != vectors:
            raise self.error(
                f"expected two bottoms of as many channels, got shapes {list(shapes[0])} and {list(shapes[1])}."
            )
        if bottom[2].count != vectors[0]:
            raise self.error(f"expected one number for each of the {vectors[0]} pairs, got shape {list(shapes[2])}.")
        self.batch = max(1, vectors[0])
        self.difference, self.delta = (np.empty(vectors, bottom[0].dtype) for _ in range(2))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        a, b = (blob.data.reshape(self.difference.shape) for blob in bottom[:2])
        np.subtract(a, b, out=self.difference)
        np.multiply(self.difference, self.difference, out=self.delta)
        self.squared = np.add.reduce(self.delta, axis=1)
        self.alike = np.trunc(bottom[2].data.reshape(-1)) != 0
        costs = np.where(self.alike, self.squared, self._cost_apart())
        top[0].data[...] = sum_in_order(costs) / (2 * self.batch)

    def _cost_apart(self) -> Array:
        """What each pair costs if it is not alike."""
        if self.legacy:
            return np.maximum(self.margin - self.squared, 0)
        return np.square(np.maximum(self.margin - np.sqrt(self.squared), 0))

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        self.cannot_propagate(propagate_down, 2, "y")
        scale = float(top[0].diff) / self.batch
        factors = np.where(self.alike, 1, self._slope_apart()).astype(self.delta.dtype) * scale
        np.multiply(self.difference, factors[:, None], out=self.delta)
        for blob, wanted, sign in zip(bottom, propagate_down, (1, -1), strict=False):
            if wanted:
                np.multiply(self.delta.reshape(blob.shape), sign, out=blob.diff)

    def _slope_apart(self) -> Array:
        """The derivative of `_cost_apart` / 2 by a, as a multiple of a - b."""
        if self.legacy:
            return np.where(self.margin - self.squared > 0, -1.0, 0.0)
        distance = np.sqrt(self.squared)
        return -np.maximum(self.margin - distance, 0) / (distance + LEAST_DISTANCE)
