"""MultiBoxLoss: SSD's loss of boxes and classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.box_matching import UNMATCHED, match
from pycaffe_lite.kernels.boxes import CENTER_SIZE, CORNER, areas, best_first, decode, encode, sizes, suppress
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.difference_loss_base import smooth_l1
from pycaffe_lite.layers.loss_base import BATCH_SIZE, FULL, LossLayer, read_normalization
from pycaffe_lite.layers.loss_base import NONE as NO_NORMALIZATION
from pycaffe_lite.layers.prior_bottom import check_priors, read_priors
from pycaffe_lite.proto import caffe_pb2

PARAM = caffe_pb2.MultiBoxLossParameter
SMOOTH_L1, LOGISTIC = PARAM.LocLossType.Value("SMOOTH_L1"), PARAM.ConfLossType.Value("LOGISTIC")
PER_PREDICTION = PARAM.MatchType.Value("PER_PREDICTION")
NONE, MAX_NEGATIVE, HARD_EXAMPLE = (PARAM.MiningType.Value(name) for name in ("NONE", "MAX_NEGATIVE", "HARD_EXAMPLE"))
SMALLEST = 1e-5
"""Boxes with a smaller area are dropped where a suppression comes before the mining."""


class Objects(NamedTuple):
    """The objects of one image: classes, and boxes n x 4."""

    labels: np.ndarray
    boxes: Array


@register_layer("MultiBoxLoss")
class MultiBoxLoss(LossLayer):
    """Matches priors with objects, and sums a loss of their boxes and one of their classes.

        E = (loc_weight sum over positives of L(code predicted - code of the object)
             + sum over positives and negatives of -log p(class)) / normalizer

    Positives are the priors that are matched with an object: those that overlap it most, and with PER_PREDICTION all
    that overlap theirs by overlap_threshold at least. Negatives are of the class background: with MAX_NEGATIVE those of
    the unmatched that overlap all objects less than neg_overlap and whose loss is highest, neg_pos_ratio for each
    positive of their image; with HARD_EXAMPLE the sample_size boxes of an image whose losses of both kinds together are
    highest, positives and negatives alike, and other positives drop out; with NONE all that are unmatched. With an
    nms_param those are chosen among the boxes that a suppression by loss leaves; without its top_k that is none.

    Bottoms: locations, N x (priors 4), or N x (priors classes 4) without share_location; scores before softmax, N x
        (priors classes); priors as PriorBox makes them; objects, 1 x 1 x n x 8 or n x 8: image, class, instance,
        xmin, ymin, xmax, ymax, difficult; rows with an image below 0 are skipped. Nothing is propagated to the last
        two.
    Tops: E, a scalar.
    Parameters: multibox_loss_param, see caffe.proto for all fields and defaults; loss_param { normalization: VALID }:
        VALID the positives, FULL all priors of all images, BATCH_SIZE the images, NONE 1; never below 1.

    With encode_variance_in_target the diff of the locations lacks the division by the variance, as in the fork: this is
    not the derivative. With LOGISTIC each class has a sigmoid cross-entropy; with NONE an unmatched prior then has no
    target at all, with mining the background.

    Errors: no num_classes; blobs that do not fit the priors; mining without share_location; objects of the class
        background, of a class out of range, of an image that is not there, or without a width or height.

    Source: Liu et al., "SSD: Single Shot MultiBox Detector", 2016.
    """

    num_bottoms = (4, 4)
    may_propagate = (True, True, False, False)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.param = param = self.layer_param.multibox_loss_param
        self.classes, self.background, self.mining = param.num_classes, param.background_label_id, param.mining_type
        if self.classes < 1:
            raise self.error("expected multibox_loss_param { num_classes: … } of 1 or more, got none.")
        if self.background >= self.classes:
            raise self.error(f"expected a background_label_id below num_classes {self.classes}, got {self.background}.")
        if param.HasField("do_neg_mining") and param.do_neg_mining != (self.mining != NONE):
            name = PARAM.MiningType.Name(self.mining)
            raise self.error(f"expected do_neg_mining to agree with mining_type {name}; leave the older one out.")
        if self.mining != NONE and not param.share_location:
            raise self.error("expected share_location: true with mining, got false; write mining_type: NONE.")
        if param.map_object_to_agnostic and (self.classes != 2 or self.background != 0):
            raise self.error(
                "expected num_classes: 2 and background_label_id: 0 with map_object_to_agnostic, got "
                f"{self.classes} and {self.background}."
            )
        if not 0 <= param.neg_pos_ratio < np.inf:
            raise self.error(f"expected a neg_pos_ratio of 0 or more, got {param.neg_pos_ratio:g}.")
        self.normalization = read_normalization(self.layer_param.loss_param)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        check_priors(self, bottom, self.classes, self.param.share_location)
        shape = bottom[3].shape
        if len(shape) < 2 or shape[-1] != 8:
            raise self.error(f"expected objects 1 x 1 x n x 8, or n x 8, as bottom 3, got shape {list(shape)}.")
        self.batch, self.count = bottom[0].shape[0], bottom[2].shape[2] // 4
        top[0].reshape()

    # -- forward ---------------------------------------------------------------------------------------------

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.priors, variances = read_priors(self, bottom[2], CORNER)
        assert variances is not None
        self.variances = variances
        places = 1 if self.param.share_location else self.classes
        locations = bottom[0].data.reshape(self.batch, self.count, places, 4)
        scores = bottom[1].data.reshape(self.batch, self.count, self.classes)
        objects = self._read_objects(bottom[3].data.reshape(-1, 8))
        if any(len(each.labels) for each in objects):
            read_priors(self, bottom[2], self.param.code_type)
        self.location_diff, self.score_diff = np.zeros_like(locations), np.zeros_like(scores)
        self.matches, total = 0, 0.0
        for image in range(self.batch):
            total += self._image_loss(image, locations[image], scores[image], objects[image])
        top[0].data[...] = total / self._normalizer()

    def _read_objects(self, rows: Array) -> list[Objects]:
        """The objects of each image that count, checked."""
        rows = rows[~(rows[:, 0] <= -1)]
        for row in rows:
            if not (row[0] > -1 and row[0] < self.batch):
                raise self.error(f"expected objects of images from 0 to {self.batch - 1}, got image {row[0]:g}.")
            if not (row[1] > -1 and row[1] < self.classes) or int(row[1]) == self.background:
                raise self.error(
                    f"expected objects of classes from 0 to {self.classes - 1} other than the background "
                    f"{self.background}, got class {row[1]:g}."
                )
        if not self.param.use_difficult_gt:
            rows = rows[rows[:, 7] == 0]
        images = np.trunc(rows[:, 0])
        parts = (rows[images == image] for image in range(self.batch))
        return [Objects(np.trunc(part[:, 1]).astype(np.intp), part[:, 3:7]) for part in parts]

    def _image_loss(self, image: int, locations: Array, scores: Array, objects: Objects) -> float:
        """The losses of one image, not normalized; sets its part of the diffs."""
        targets = np.full(self.count, self.background, np.intp)
        if self.mining != NONE and not len(objects.labels):
            return 0.0
        if self.mining == NONE:
            total, unmatched = 0.0, np.ones(self.count, bool)
            for place, label in self._location_classes():
                boxes = self._matched_boxes(locations[:, place])
                found, _ = self._match(boxes, objects, label)
                total += self._take_locations(image, place, locations[:, place], found, objects, boxes)
                positive = found >= 0
                targets[positive] = self._labels(objects)[found[positive]]
                unmatched &= ~positive
            chosen = np.arange(self.count)
        else:
            boxes = self._matched_boxes(locations[:, 0])
            found, overlap = self._match(boxes, objects, None)
            positive = found >= 0
            targets[positive] = self._labels(objects)[found[positive]]
            found, negatives = self._mine(locations[:, 0], scores, targets, found, overlap, objects, boxes)
            total = self._take_locations(image, 0, locations[:, 0], found, objects, boxes)
            chosen = np.concatenate([np.flatnonzero(found >= 0), negatives])
            unmatched = np.zeros(self.count, bool)
        loss, diff = self._confidence(scores[chosen], targets[chosen], unmatched[chosen])
        self.score_diff[image, chosen] = diff
        return self.param.loc_weight * total + float(loss.sum())

    def _location_classes(self) -> list[tuple[int, int | None]]:
        """Where each class has its locations, and which objects are theirs; None for all."""
        if self.param.share_location:
            return [(0, None)]
        return [(label, label) for label in range(self.classes) if label != self.background]

    def _labels(self, objects: Objects) -> np.ndarray:
        agnostic = self.param.map_object_to_agnostic
        return np.full_like(objects.labels, self.background + 1) if agnostic else objects.labels

    def _decoded(self, codes: Array) -> Array:
        variances = None if self.param.encode_variance_in_target else self.variances
        return decode(codes, self.priors, variances, self.param.code_type)

    def _matched_boxes(self, codes: Array) -> Array:
        """What objects are matched with: the priors, or the boxes that are predicted."""
        return self.priors if self.param.use_prior_for_matching else self._decoded(codes)

    def _match(self, boxes: Array, objects: Objects, label: int | None) -> tuple[np.ndarray, Array]:
        param = self.param
        return match(
            boxes,
            objects.boxes,
            None if label is None else objects.labels == label,
            threshold=param.overlap_threshold if param.match_type == PER_PREDICTION else None,
            inside_only=param.ignore_cross_boundary_bbox,
        )

    # -- the two losses --------------------------------------------------------------------------------------

    def _location_losses(
        self, codes: Array, found: np.ndarray, objects: Objects, boxes: Array
    ) -> tuple[np.ndarray, Array, Array]:
        """The positives, their losses by coordinate, and the derivatives of those."""
        positive = np.flatnonzero(found >= 0)
        targets, variances = objects.boxes[found[positive]], self.variances[positive]
        self._check_sizes(targets)
        in_target = self.param.encode_variance_in_target
        truth = encode(targets, self.priors[positive], None if in_target else variances, self.param.code_type)
        difference = codes[positive] - truth
        if self.param.bp_inside:
            difference[(boxes[positive] < 0) | (boxes[positive] > 1)] = 0
        if in_target:
            difference /= variances
        if self.param.loc_loss_type == SMOOTH_L1:
            return positive, *smooth_l1(difference)
        return positive, 0.5 * difference * difference, difference

    def _check_sizes(self, boxes: Array) -> None:
        if self.param.code_type != CENTER_SIZE:
            return
        width, height = sizes(boxes)
        if not ((width > 0) & (height > 0)).all():
            box = boxes[np.flatnonzero(~((width > 0) & (height > 0)))[0]]
            text = ", ".join(f"{value:g}" for value in box)
            raise self.error(f"expected objects with a width and height, got the box {text}.")

    def _take_locations(
        self, image: int, place: int, codes: Array, found: np.ndarray, objects: Objects, boxes: Array
    ) -> float:
        positive, loss, diff = self._location_losses(codes, found, objects, boxes)
        self.matches += len(positive)
        self.location_diff[image, positive, place] = diff
        return float(loss.sum())

    def _confidence(self, scores: Array, targets: np.ndarray, unmatched: np.ndarray) -> tuple[Array, Array]:
        """The loss of each row of scores, and its derivative.

        Args:
            unmatched: the rows that have no target at all where each class stands by itself.
        """
        truth = np.zeros_like(scores)
        truth[np.arange(len(targets)), targets] = 1
        if self.param.conf_loss_type == LOGISTIC:
            truth[unmatched] = 0
            loss = np.maximum(scores, 0) - scores * truth + np.log1p(np.exp(-np.abs(scores)))
            return loss.sum(axis=1), 0.5 * np.tanh(0.5 * scores) + 0.5 - truth
        shifted = scores - scores.max(axis=1, keepdims=True, initial=-np.inf)
        exponents = np.exp(shifted)
        total = exponents.sum(axis=1, keepdims=True)
        loss = np.log(total)[:, 0] - shifted[np.arange(len(targets)), targets]
        return np.minimum(loss, -np.log(np.finfo(np.float32).tiny)), exponents / total - truth

    # -- mining ----------------------------------------------------------------------------------------------

    def _mine(
        self,
        codes: Array,
        scores: Array,
        targets: np.ndarray,
        found: np.ndarray,
        overlap: Array,
        objects: Objects,
        boxes: Array,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The matches that stay, and the negatives."""
        loss, _ = self._confidence(scores, targets, np.zeros(self.count, bool))
        positives = int(np.count_nonzero(found >= 0))
        if self.mining == MAX_NEGATIVE:
            candidates = np.flatnonzero((found == UNMATCHED) & (overlap < self.param.neg_overlap))
            most = int(min(np.float32(positives) * np.float32(self.param.neg_pos_ratio), self.count))
        else:
            positive, location, _ = self._location_losses(codes, found, objects, boxes)
            loss[positive] += location.sum(axis=1)
            candidates, most = np.arange(self.count), max(0, self.param.sample_size)
        chosen = self._hardest(candidates, loss, codes, max(0, most))
        if self.mining == HARD_EXAMPLE:
            found = np.where((found < 0) | chosen, found, UNMATCHED)
            return found, np.flatnonzero((found == UNMATCHED) & chosen)
        return found, np.flatnonzero(chosen)

    def _hardest(self, candidates: np.ndarray, loss: Array, codes: Array, most: int) -> np.ndarray:
        """A mask of the candidates with the highest losses, after a suppression if the text asks for one."""
        nms = self.param.nms_param
        if self.param.HasField("nms_param") and nms.nms_threshold > 0:
            order = candidates[best_first(loss[candidates], nms.top_k)]
            boxes = self.priors if self.param.use_prior_for_nms else self._decoded(codes)
            order = order[areas(boxes[order]) >= SMALLEST]
            hardest = order[suppress(boxes[order], nms.nms_threshold)][:most]
        else:
            hardest = candidates[best_first(loss[candidates], most)]
        mask = np.zeros(self.count, bool)
        mask[hardest] = True
        return mask

    # -- backward --------------------------------------------------------------------------------------------

    def _normalizer(self) -> float:
        number = {FULL: self.batch * self.count, BATCH_SIZE: self.batch, NO_NORMALIZATION: 1}
        return float(max(1, number.get(self.normalization, self.matches)))

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if any(propagate_down[2:]):
            raise self.error(
                "cannot propagate to its priors and objects (bottoms 2 and 3); write propagate_down: true true false "
                "false, one after the other."
            )
        scale = float(top[0].diff) / self._normalizer()
        if propagate_down[0]:
            diff = self.location_diff.reshape(bottom[0].shape)
            np.multiply(diff, scale * self.param.loc_weight, out=bottom[0].diff)
        if propagate_down[1]:
            np.multiply(self.score_diff.reshape(bottom[1].shape), scale, out=bottom[1].diff)
