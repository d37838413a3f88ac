"""HingeLoss: the margin loss of a support vector machine, one against all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.loss_base import Labels, LossLayer, rows_of


@register_layer("HingeLoss")
class HingeLoss(LossLayer):
    """Costs every score that is not on its side of 0 by a margin of 1.

        m_nk = max(0, 1 - t_nk x_nk)        t_nk = 1 if k is the label of n, else -1
        L1: E = sum m / N        L2: E = sum m² / N

    Bottoms: x, N x K scores (N x … counts as such), of any range; labels, N, whole numbers in [0, K).
    Tops: E, a scalar, 0 or more.
    Parameters: hinge_loss_param { norm: L1 }, L1 or L2.

    Where the margin is met exactly the derivative is 0.

    Errors: shapes that do not fit; a label out of range; a diff wanted for the labels.

    Source: Caffe's HingeLossLayer.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.hinge_loss_param
        self.squared = param.norm == param.L2
        self.labels = Labels(self)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        rows = rows_of(bottom[0])
        self.labels.reshape(rows, 1, bottom[1])
        self.batch = max(1, rows.shape[0])
        self.margin, self.delta = (np.empty(bottom[0].shape, bottom[0].dtype) for _ in range(2))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.labels.read(bottom[1])
        np.copyto(self.margin, bottom[0].data)
        flat = self.margin.reshape(-1)
        flat[self.labels.index] *= -1
        np.add(flat, 1, out=flat)
        np.maximum(flat, 0, out=flat)
        total = np.vdot(flat, flat) if self.squared else np.add.reduce(flat)
        top[0].data[...] = total / self.batch

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        self.cannot_propagate(propagate_down, 1, "its targets")
        if not propagate_down[0]:
            return
        if self.squared:
            np.multiply(self.margin, 2, out=self.delta)
        else:
            np.sign(self.margin, out=self.delta)
        self.delta.reshape(-1)[self.labels.index] *= -1
        np.multiply(self.delta, float(top[0].diff) / self.batch, out=bottom[0].diff)
