"""Accuracy: how many predictions are right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.contract import Layer, register_layer
from pycaffe_lite.layers.loss_base import Labels, read_ignore_label


@register_layer("Accuracy")
class Accuracy(Layer):
    """The share of labels whose score is among the top_k largest; there is no derivative.

    Bottoms: x, scores of any range, N x C for example or N x C x H x W; labels, one for each position around
        the class axis, whole numbers in [0, C).
    Tops: the share, a scalar in [0, 1], 0 if all labels are ignored; optionally the share for each class,
        shape (C), 0 for a class without labels.
    Parameters: accuracy_param { top_k: 1  axis: 1  ignore_label: none }.

    A class with the same score as the true one counts as better, and so does every score that is not a
    number: a net that has diverged is never right.

    Errors: shapes that do not fit; fewer classes than top_k; a label out of range.
    """

    num_bottoms = (2, 2)
    num_tops = (1, 2)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.param = self.layer_param.accuracy_param
        self.labels = Labels(self, read_ignore_label(self.param))

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        scores = bottom[0]
        self.axis = self.canonical_axis(self.param.axis, scores)
        self.labels.reshape(scores, self.axis, bottom[1])
        classes = scores.shape[self.axis]
        if self.param.top_k > classes:
            raise self.error(f"expected top_k of at most {classes}, the number of classes, got {self.param.top_k}.")
        self.needed = classes - self.param.top_k
        positions = (*scores.shape[: self.axis], 1, *scores.shape[self.axis + 1 :])
        self.at_label = np.empty(positions, np.intp)
        self.below = np.empty(scores.shape, np.bool_)
        top[0].reshape()
        if len(top) > 1:
            top[1].reshape(classes)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.labels.read(bottom[1])
        right = self._right(bottom[0])
        if self.labels.ignored is not None:
            right &= ~self.labels.ignored
        top[0].data[...] = np.count_nonzero(right) / max(1, self.labels.valid)
        if len(top) > 1:
            top[1].data[...] = self._by_class(right)

    def _right(self, scores: Blob) -> np.ndarray:
        """For each label whether its score is among the top_k: whether enough scores lie below it."""
        x = scores.data
        own = x.reshape(-1)[self.labels.index].reshape(self.at_label.shape)
        np.less(x, own, out=self.below)
        return np.asarray(np.add.reduce(self.below, axis=self.axis, dtype=np.intp).reshape(-1) >= self.needed)

    def _by_class(self, right: np.ndarray) -> np.ndarray:
        """The share of right labels for each class."""
        labels, ignored = self.labels, self.labels.ignored
        values = labels.values if ignored is None else labels.values[~ignored]
        counts = np.bincount(values, minlength=labels.classes)
        hits = np.bincount(labels.values[right], minlength=labels.classes)
        return hits / np.maximum(counts, 1)
