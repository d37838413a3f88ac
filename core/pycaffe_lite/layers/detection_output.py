"""DetectionOutput: from SSD's predictions to the boxes that it has found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.boxes import BLOCK, Suppression, best_first, decode
from pycaffe_lite.layers.contract import Layer, register_layer
from pycaffe_lite.layers.detection_files import DetectionFiles
from pycaffe_lite.layers.prior_bottom import check_priors, read_priors

TOGETHER = 24
"""How many candidates of a class are looked at before it is seen whether the next ones can matter."""


class Candidates(NamedTuple):
    """The boxes of one class of one image, the best first.

    Attributes:
        label: the class.
        scores: falling.
        suppression: which of them stay.
    """

    label: int
    scores: Array
    suppression: Suppression

    def kept_scores(self) -> Array:
        """The scores of those that stay."""
        return self.scores[self.suppression.kept]

    def next_score(self) -> float:
        """The score of the first that has not been looked at; not a number if all have."""
        seen = self.suppression.seen
        return float(self.scores[seen]) if seen < len(self.scores) else np.nan

    def rows(self, image: int) -> Array:
        """What the layer's top says of those that stay."""
        kept = self.suppression.kept
        rows = np.empty((len(kept), 7), self.scores.dtype)
        rows[:, 0], rows[:, 1], rows[:, 2] = image, self.label, self.scores[kept]
        rows[:, 3:] = self.suppression.boxes[kept]
        return rows


@register_layer("DetectionOutput")
class DetectionOutput(Layer):
    """Decodes boxes, and keeps for each class the best of those that overlap.

    For each class but the background: of the scores above confidence_threshold the top_k highest, the highest first;
    a box stays if it overlaps no box that stays more than nms_threshold (intersection over union). Of an image's boxes
    the keep_top_k with the highest scores stay.

    Bottoms: locations, N x (priors 4), or N x (priors classes 4) without share_location; scores, N x (priors classes),
        of any range; priors as PriorBox makes them, 1 x 2 x (priors 4). A fourth, the image, does not count.
    Top: 1 x 1 x found x 7: image, class, score, xmin, ymin, xmax, ymax, as shares of the image's sides; by image, then
        class, then falling score. If nothing is found in all images, a row for each: its number, then -1.
        Its shape is known after forward. There is no derivative.
    Parameters: detection_output_param { num_classes; share_location: true; background_label_id: 0, or -1 for none,
        which needs share_location: false; nms_param { nms_threshold: 0.3, top_k: all, eta: 1 }; code_type: CORNER;
        variance_encoded_in_target: false; keep_top_k: -1, all; confidence_threshold: none; clip: false, OpenCV's field,
        which cuts boxes to the image before they are compared; save_output_param, see `DetectionFiles` }.

    Errors: no num_classes; blobs that do not fit the priors; priors without a width or height where the code needs it.

    Source: Liu et al., "SSD: Single Shot MultiBox Detector", 2016.
    """

    num_bottoms = (3, 4)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.param = param = self.layer_param.detection_output_param
        self.classes, nms = param.num_classes, param.nms_param
        if self.classes < 1:
            raise self.error("expected detection_output_param { num_classes: … } of 1 or more, got none.")
        if param.share_location and param.background_label_id < 0:
            raise self.error("expected share_location: false with background_label_id: -1, got shared locations.")
        if not nms.nms_threshold >= 0 or not 0 < nms.eta <= 1:
            raise self.error(
                f"expected an nms_threshold of 0 or more and an eta above 0, up to 1, got {nms.nms_threshold:g} and "
                f"{nms.eta:g}."
            )
        self.top_k = nms.top_k if nms.HasField("top_k") else -1
        self.threshold = param.confidence_threshold if param.HasField("confidence_threshold") else -np.inf
        self.files = DetectionFiles(self, param.save_output_param) if param.HasField("save_output_param") else None

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        check_priors(self, bottom, self.classes, self.param.share_location)
        top[0].reshape(1, 1, 1, 7)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        location, score, prior = bottom[:3]
        priors, variances = read_priors(self, prior, self.param.code_type)
        if self.param.variance_encoded_in_target:
            variances = None
        batch, count = location.shape[0], len(priors)
        places = 1 if self.param.share_location else self.classes
        codes = location.data.reshape(batch, count, places, 4).transpose(0, 2, 1, 3)
        scores = np.ascontiguousarray(score.data.reshape(batch, count, self.classes).transpose(0, 2, 1))
        rows = [self._detect(i, self._boxes(codes[i], priors, variances), scores[i]) for i in range(batch)]
        found = np.concatenate(rows) if rows else np.zeros((0, 7))
        if not len(found):
            found = np.full((batch, 7), -1.0)
            found[:, 0] = np.arange(batch)
        top[0].reshape(1, 1, len(found), 7)
        top[0].data[0, 0] = found
        if self.files is not None:
            self.files.add(rows)

    def _boxes(self, codes: Array, priors: Array, variances: Array | None) -> Array:
        boxes = decode(codes, priors, variances, self.param.code_type)
        return np.clip(boxes, 0, 1, out=boxes) if self.param.clip else boxes

    def _detect(self, image: int, boxes: Array, scores: Array) -> Array:
        """The rows of one image.

        Args:
            boxes: 1 or classes x priors x 4.
            scores: classes x priors.
        """
        classes = []
        for label, score in enumerate(scores):
            if label == self.param.background_label_id:
                continue
            candidates = np.flatnonzero(score > self.threshold)
            if len(candidates):
                order = candidates[best_first(score[candidates], self.top_k)]
                classes.append(self._candidates(label, score[order], boxes[label if len(boxes) > 1 else 0][order]))
        self._suppress(classes)
        rows = np.concatenate([found.rows(image) for found in classes] or [np.zeros((0, 7), scores.dtype)])
        most = self.param.keep_top_k
        return rows[np.sort(best_first(rows[:, 2], most))] if 0 <= most < len(rows) else rows

    def _candidates(self, label: int, scores: Array, boxes: Array) -> Candidates:
        nms = self.param.nms_param
        return Candidates(label, scores, Suppression(boxes, nms.nms_threshold, nms.eta))

    def _suppress(self, classes: Sequence[Candidates]) -> None:
        """Looks at the candidates of all classes, some at a time, but for those that keep_top_k cannot leave."""
        most, least = self.param.keep_top_k, -np.inf
        waiting = list(classes) if most else []
        count = TOGETHER if most > 0 else BLOCK
        while waiting:
            for each in waiting:
                each.suppression.go_on(count)
            if most > 0:
                kept = np.concatenate([each.kept_scores() for each in classes])
                if len(kept) >= most:
                    least = np.partition(kept, len(kept) - most)[len(kept) - most]
            waiting = [each for each in waiting if each.next_score() >= least]
