"""SegAccuracy: how right a segmentation is, in three measures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.contract import Layer, register_layer


@register_layer("SegAccuracy")
class SegAccuracy(Layer):
    """Counts labels and predictions of pixels; there is no derivative.

    Bottoms: scores, N x C x H x W of any range; labels, N x 1 x H x W or N x H x W, whole numbers below C.
    Top: 1 x 1 x 1 x 3: the share of pixels that are right; the mean share for each class that the labels have; the
        mean over all classes of intersection over union, which is 1 for a class in neither labels nor predictions.
    Parameters: seg_accuracy_param { ignore_label: labels that count for nothing, reset: true }. Without reset the
        counts of all forwards add up. `metric` makes no difference.

    Of classes with equal scores the highest counts as predicted, as in the fork.

    Errors: labels that are not one for each pixel, or out of range.

    Source: DeepLab's SegAccuracy.
    """

    num_bottoms = (2, 2)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.param = self.layer_param.seg_accuracy_param
        self.confusion = np.zeros((0, 0), np.int64)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        scores, labels = (blob.shape for blob in bottom)
        one_each = len(scores) == 4 and labels in ((scores[0], 1, *scores[2:]), (scores[0], *scores[2:]))
        if not one_each or not scores[1]:
            raise self.error(
                f"expected scores N x C x H x W and one label for each pixel, N x 1 x H x W, got shapes {list(scores)} "
                f"and {list(labels)}."
            )
        if len(self.confusion) != scores[1]:
            self.confusion = np.zeros((scores[1], scores[1]), np.int64)
        top[0].reshape(1, 1, 1, 3)

    def state(self) -> dict[str, np.ndarray]:
        """What has been counted: labels x predictions."""
        return {"confusion": self.confusion.copy()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Counts on from what `state` gave."""
        self.confusion = np.array(state["confusion"], np.int64)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self.param.reset:
            self.confusion[...] = 0
        scores, given = bottom[0].data, bottom[1].data.reshape(-1)
        classes = len(self.confusion)
        counted = ~np.isin(np.trunc(given), list(self.param.ignore_label))
        labels = given[counted]
        if labels.size and not (labels.min() > -1 and labels.max() < classes):
            wrong = labels[~((labels > -1) & (labels < classes))][0]
            raise self.error(
                f"expected labels from 0 to {classes - 1}, got {wrong:g}; name it as ignore_label or mend the data."
            )
        predicted = (classes - 1 - np.argmax(scores[:, ::-1], axis=1)).reshape(-1)[counted]
        pairs = np.bincount(labels.astype(np.intp) * classes + predicted, minlength=classes * classes)
        self.confusion += pairs.reshape(classes, classes)
        top[0].data[0, 0, 0] = self._measures()

    def _measures(self) -> tuple[float, float, float]:
        right, of_labels, of_predictions = (
            np.diagonal(self.confusion),
            self.confusion.sum(axis=1),
            self.confusion.sum(axis=0),
        )
        union = of_labels + of_predictions - right
        recall = right[of_labels > 0] / of_labels[of_labels > 0]
        overlap = np.where(union > 0, right / np.maximum(union, 1), 1.0)
        return right.sum() / max(1, of_labels.sum()), recall.mean() if recall.size else 0.0, overlap.mean()
