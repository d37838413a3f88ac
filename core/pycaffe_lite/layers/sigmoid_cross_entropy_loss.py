"""SigmoidCrossEntropyLoss: the logistic loss of scores against probabilities, each by itself."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.elementwise import elementwise
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.loss_base import (
    BATCH_SIZE,
    LossLayer,
    normalizer,
    read_ignore_label,
    read_normalization,
    sum_in_order,
)
from pycaffe_lite.memory import borrow_like


@register_layer("SigmoidCrossEntropyLoss")
class SigmoidCrossEntropyLoss(LossLayer):
    """The cross entropy of sigmoid(x) and the targets: each score answers a yes-or-no question of its own.

        E = -sum_i (t_i log s(x_i) + (1 - t_i) log(1 - s(x_i))) / Z        s(x) = 1 / (1 + exp(-x))
        dx_i = (s(x_i) - t_i) * loss_weight / Z, and 0 where the target is ignored

    Bottoms: x, N x …, of any range; t, as many values with the same N, in [0, 1].
    Tops: E, a scalar.
    Parameters: loss_param { ignore_label: none  normalization: BATCH_SIZE }, where Z is the number of scores
        (FULL), of scores whose target is not ignored (VALID), N (BATCH_SIZE), or 1 (NONE), and never below 1.
        The older `normalize: true` means VALID. A target is ignored if it is ignore_label once its fraction
        is cut off, as in Caffe: with ignore_label: 0 every target below 1 is.

    Computed as log(1 + exp(-|x|)) - x (t - 1), or with t in the place of t - 1 for x < 0, which no x overflows.

    Errors: shapes that do not fit; a diff wanted for the targets.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.normalization = read_normalization(self.layer_param.loss_param, BATCH_SIZE)
        self.ignore_label = read_ignore_label(self.layer_param.loss_param)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        scores, targets = bottom[0], bottom[1]
        if scores.count != targets.count:
            raise self.error(
                f"expected one target for each of the {scores.count} scores of shape {list(scores.shape)}, "
                f"got shape {list(targets.shape)}."
            )
        self.outer, self.inner = scores.shape[0], prod(scores.shape[1:])
        self.costs = np.empty(scores.shape, scores.dtype)
        self.ignored = None if self.ignore_label is None else np.empty(scores.shape, np.bool_)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x = bottom[0].data
        t = bottom[1].data.reshape(x.shape)
        elementwise(_costs, self.costs, x, t)
        valid = x.size
        if self.ignored is not None and self.ignore_label is not None:
            with borrow_like(t) as whole:
                np.equal(np.trunc(t, out=whole), self.ignore_label, out=self.ignored)
            np.copyto(self.costs, 0, where=self.ignored)
            valid -= int(np.count_nonzero(self.ignored))
        self.divisor = normalizer(self.normalization, self.outer, self.inner, valid)
        top[0].data[...] = sum_in_order(self.costs) / self.divisor

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        self.cannot_propagate(propagate_down, 1, "its targets")
        if not propagate_down[0]:
            return
        x, dx = bottom[0].data, bottom[0].diff
        scale = float(top[0].diff) / self.divisor
        elementwise(lambda dx, x, t: _derive(dx, x, t, scale), dx, x, bottom[1].data.reshape(x.shape))
        if self.ignored is not None:
            np.copyto(dx, 0, where=self.ignored)


def _costs(costs: Array, x: Array, t: Array) -> None:
    """log(1 + exp(-|x|)) - x (t - (x >= 0)), with the roundings that Caffe's loop has"""
    with borrow_like(costs) as part:
        np.abs(x, out=costs)
        np.negative(costs, out=costs)
        np.exp(costs, out=costs)
        np.add(costs, 1, out=costs)
        np.log(costs, out=costs)
        np.greater_equal(x, 0, out=part)
        np.subtract(t, part, out=part)
        np.multiply(x, part, out=part)
        np.subtract(costs, part, out=costs)


def _derive(dx: Array, x: Array, t: Array, scale: float) -> None:
    """(s(x) - t) * scale, with s(x) = (1 + tanh(x / 2)) / 2"""
    np.multiply(x, 0.5, out=dx)
    np.tanh(dx, out=dx)
    np.multiply(dx, 0.5, out=dx)
    np.add(dx, 0.5, out=dx)
    np.subtract(dx, t, out=dx)
    np.multiply(dx, scale, out=dx)
