"""SoftmaxWithLoss: the multinomial logistic loss of the softmax of scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite import log
from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.softmax import softmax
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.loss_base import (
    Labels,
    LossLayer,
    normalizer,
    read_ignore_label,
    read_normalization,
    sum_in_order,
)
from pycaffe_lite.layers.softmax import softmax_axis

LEAST_PROBABILITY = float(np.finfo(np.float32).tiny)
"""FLT_MIN, the lowest normal float32: a probability below it counts as this one."""


@register_layer("SoftmaxWithLoss")
class SoftmaxWithLoss(LossLayer):
    """Minus the mean logarithm of the probability that the softmax gives to the true class.

        p = softmax(x)        E = -sum_i log(max(p_i[label_i], FLT_MIN)) / Z
        dx = (p - onehot(label)) * loss_weight / Z, and 0 where the label is ignored

    Bottoms: x, scores of any range, N x C for example or N x C x H x W; labels, one for each position around
        the class axis, N or N x 1 x 1 x 1 or N x H x W, whole numbers in [0, C).
    Tops: E, a scalar; optionally p, like x, through which nothing is propagated back.
    Parameters: softmax_param { axis: 1 }; loss_param { ignore_label: none  normalization: VALID }, where Z is
        the number of labels (FULL), of labels that are not ignored (VALID), of the axes before the class axis
        (BATCH_SIZE), or 1 (NONE), and never below 1. The older `normalize: false` means BATCH_SIZE.

    Errors: shapes that do not fit; a label out of range; a diff wanted for the labels.
    """

    num_tops = (1, 2)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        log.info(
            f"Creating layer {self.name}", "layer_factory.hpp:77"
        )  # Caffe makes a Softmax within this layer, by the layer's own name.
        self.normalization = read_normalization(self.layer_param.loss_param)
        self.labels = Labels(self, read_ignore_label(self.layer_param.loss_param))

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        scores = bottom[0]
        self.axis = softmax_axis(self, scores)
        self.labels.reshape(scores, self.axis, bottom[1])
        self.probability, self.delta = (np.empty(scores.shape, scores.dtype) for _ in range(2))
        self.picked = np.empty(bottom[1].count, scores.dtype)
        if len(top) > 1:
            top[1].reshape(*scores.shape)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.labels.read(bottom[1])
        softmax(bottom[0].data, self.axis, self.probability)
        # 0 minus the sum, and not its negative: a loss of zero is 0, never -0.
        top[0].data[...] = (0.0 - self._sum_of_logarithms()) / self._normalizer()
        if len(top) > 1:
            top[1].data = self.probability

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        self.cannot_propagate(propagate_down, 1, "its targets")
        if not propagate_down[0]:
            return
        np.copyto(self.delta, self.probability)
        self.delta.reshape(-1)[self.labels.index] -= 1
        if self.labels.ignored is not None:
            self._clear_ignored(self.delta)
        np.multiply(self.delta, top[0].diff / self._normalizer(), out=bottom[0].diff)

    def _sum_of_logarithms(self) -> float:
        """The sum of log(max(p, FLT_MIN)) over the labels that are not ignored."""
        # The indices are known to be in range; mode "clip" spares NumPy from checking them again.
        np.take(self.probability.reshape(-1), self.labels.index, out=self.picked, mode="clip")
        if self.labels.ignored is not None:
            np.copyto(self.picked, 1, where=self.labels.ignored)
        np.maximum(self.picked, LEAST_PROBABILITY, out=self.picked)
        np.log(self.picked, out=self.picked)
        return sum_in_order(self.picked)

    def _normalizer(self) -> float:
        labels = self.labels
        outer = labels.values.size // max(1, labels.inner)
        return normalizer(self.normalization, outer, labels.inner, labels.valid)

    def _clear_ignored(self, delta: Array) -> None:
        """Zeros for all classes of the positions whose label is ignored."""
        assert self.labels.ignored is not None
        by_position = np.moveaxis(delta, self.axis, -1)
        by_position[self.labels.ignored.reshape(by_position.shape[:-1])] = 0
