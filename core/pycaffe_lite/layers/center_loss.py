"""CenterLoss: how far features lie from the centre of their class."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.loss_base import LossLayer


@register_layer("CenterLoss")
class CenterLoss(LossLayer):
    """Pulls the features of a class together, towards a centre that follows them.

        E = sum of |x - c|² / (2 N), c the centre of the label        dx = (x - c) loss_weight / N
        dc = sum of (c - x) over the class's members / (1 + their number)

    Bottoms: x, N x …; labels, N whole numbers below num_output.
    Tops: E, a scalar. Without a loss_weight in the text it is no loss, its weight is 0, as in the fork, and yet the
        centres move.
    Blob: the centres, num_output x K, K the features of an item.
    Parameters: center_loss_param { num_output, center_filler: constant 0, axis: 1, the first axis of the features }.

    dc is not the derivative: it depends neither on the loss weight nor on N, as in the paper and the fork.

    Errors: no num_output; another number of features than the layer was made for; a label out of range.

    Source: Wen, Zhang, Li and Qiao, "A Discriminative Feature Learning Approach for Deep Face Recognition", 2016.
    """

    loss_weight = 0.0

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.center_loss_param
        self.classes = param.num_output
        if self.classes < 1:
            raise self.error("expected num_output of 1 or more, got 0; set center_loss_param { num_output: … }.")
        self.axis = self.canonical_axis(param.axis, bottom[0])
        self.add_param((self.classes, prod(bottom[0].shape[self.axis :])), param.center_filler)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape, features = bottom[0].shape, self.blobs[0].shape[1]
        if len(shape) < self.axis or prod(shape[self.axis :]) != features:
            raise self.error(
                f"expected {features} features for each item, as when it was made, got shape {list(shape)}."
            )
        self.batch = prod(shape[: self.axis])
        if bottom[1].count != self.batch:
            raise self.error(
                f"expected one label for each of {self.batch} items, got {bottom[1].count} of shape "
                f"{list(bottom[1].shape)}."
            )
        top[0].reshape()

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.labels = self._read_labels(bottom[1].data.reshape(-1))
        self.distance = bottom[0].data.reshape(self.batch, self.blobs[0].shape[1]) - self.blobs[0].data[self.labels]
        flat = self.distance.reshape(-1)
        top[0].data[...] = np.vdot(flat, flat) / (2 * max(1, self.batch))

    def _read_labels(self, given: Array) -> np.ndarray:
        if given.size and not (given.min() > -1 and given.max() < self.classes):
            wrong = given[~((given > -1) & (given < self.classes))][0]
            raise self.error(f"expected labels from 0 to {self.classes - 1}, got {wrong:g}.")
        return given.astype(np.intp)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        self.cannot_propagate(propagate_down, 1, "its labels")
        if self.param_propagate_down[0]:
            sums = np.zeros_like(self.blobs[0].data)
            np.subtract.at(sums, self.labels, self.distance)
            members = np.bincount(self.labels, minlength=self.classes)
            self.blobs[0].diff[...] += sums / (1 + members[:, None]).astype(sums.dtype)
        if propagate_down[0]:
            scale = float(top[0].diff) / max(1, self.batch)
            np.multiply(self.distance.reshape(bottom[0].shape), scale, out=bottom[0].diff)
