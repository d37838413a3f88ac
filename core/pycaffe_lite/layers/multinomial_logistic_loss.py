"""MultinomialLogisticLoss: minus the logarithm of the true class's probability."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.loss_base import LEAST_LOGARITHM, Labels, LossLayer, rows_of, sum_in_order


@register_layer("MultinomialLogisticLoss")
class MultinomialLogisticLoss(LossLayer):
    """Minus the mean logarithm of the probability that is given to the true class.

        E = -sum_n log(max(p_n[label_n], 1e-20)) / N
        dp_n[label_n] = -loss_weight / (N max(p_n[label_n], 1e-20)), and 0 elsewhere

    After a Softmax, SoftmaxWithLoss does the same with better numbers.

    Bottoms: p, N x K probabilities (N x … counts as such), in [0, 1]; labels, N, whole numbers in [0, K).
    Tops: E, a scalar.

    Errors: shapes that do not fit; a label out of range; a diff wanted for the labels.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.labels = Labels(self)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        rows = rows_of(bottom[0])
        self.labels.reshape(rows, 1, bottom[1])
        self.batch = max(1, rows.shape[0])
        self.delta = np.empty(bottom[0].shape, bottom[0].dtype)
        self.picked, self.logarithm = (np.empty(rows.shape[0], bottom[0].dtype) for _ in range(2))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.labels.read(bottom[1])
        np.take(bottom[0].data.reshape(-1), self.labels.index, out=self.picked, mode="clip")
        np.maximum(self.picked, LEAST_LOGARITHM, out=self.picked)
        np.log(self.picked, out=self.logarithm)
        top[0].data[...] = (0.0 - sum_in_order(self.logarithm)) / self.batch

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        self.cannot_propagate(propagate_down, 1, "its targets")
        if not propagate_down[0]:
            return
        self.delta.fill(0)
        self.delta.reshape(-1)[self.labels.index] = -(float(top[0].diff) / self.batch) / self.picked
        np.copyto(bottom[0].diff, self.delta)
