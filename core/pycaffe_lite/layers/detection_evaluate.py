"""DetectionEvaluate: which of the boxes that were found are there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pycaffe_lite import log
from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.errors import FileError
from pycaffe_lite.kernels.boxes import overlaps
from pycaffe_lite.layers.contract import Layer, register_layer
from pycaffe_lite.layers.name_sizes import read_name_sizes
from pycaffe_lite.paths import find_file


@register_layer("DetectionEvaluate")
class DetectionEvaluate(Layer):
    """Says of each detection whether it is right; a test makes of that the mean average precision.

    A detection belongs to the object of its image and class that it overlaps most (intersection over union), if that is
    overlap_threshold at least. The first one of an object, by falling score, is right; the others of that object, and
    those that belong to none, are wrong.

    Bottoms: detections, 1 x 1 x n x 7, as DetectionOutput gives them; objects, … x 8: image, class, instance, xmin,
        ymin, xmax, ymax, difficult. Rows of an image below 0 are skipped.
    Top: 1 x 1 x (classes + n) x 5. First for each class but the background: -1, class, how many objects, -1, -1. Then
        for each detection, by image, class and falling score: image, class, score, 1 if it is right, 1 if it is wrong;
        rows that were skipped leave zeros at the end. There is no derivative.
    Parameters: detection_evaluate_param { num_classes; background_label_id: 0; overlap_threshold: 0.5;
        evaluate_difficult_gt: true, or false, with which difficult objects are not counted, and what belongs to one is
        neither right nor wrong; name_size_file, lines of a name, a height and a width, one for each image that has
        detections, in their order and round again: boxes are compared in pixels, of which those at both ends count }.
        `resize_param` makes no difference, as in SSD.

    Where the name_size_file is missing a warning says so, and shares of the sides are compared: published nets have the
    paths of those who trained them.

    Errors: no num_classes; a threshold of 0 or less; an object or a detection of the class background, or of one
        out of range; a file of sizes that is none.

    Source: SSD's DetectionEvaluate.
    """

    num_bottoms = (2, 2)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.param = param = self.layer_param.detection_evaluate_param
        if param.num_classes < 1:
            raise self.error("expected detection_evaluate_param { num_classes: … } of 1 or more, got none.")
        if not param.overlap_threshold > 0:
            raise self.error(f"expected an overlap_threshold above 0, got {param.overlap_threshold:g}.")
        self.labels = [label for label in range(param.num_classes) if label != param.background_label_id]
        self.sizes = self._read_sizes() if param.name_size_file else []
        self.images = 0

    def _read_sizes(self) -> list[tuple[int, int]]:
        try:
            path = find_file(self.param.name_size_file, self.folder, "list of sizes")
        except FileError as problem:
            log.warning(f'layer "{self.name}" (DetectionEvaluate): shares of the sides are compared. {problem}')
            return []
        return [(height, width) for _, height, width in read_name_sizes(self, path)]

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        widths = [blob.shape[-1:] for blob in bottom]
        if widths != [(7,), (8,)]:
            shapes = " and ".join(str(list(blob.shape)) for blob in bottom)
            raise self.error(f"expected detections 1 x 1 x n x 7 and objects 1 x 1 x n x 8, got shapes {shapes}.")
        top[0].reshape(1, 1, len(self.labels) + bottom[0].count // 7, 5)

    def state(self) -> dict[str, int]:
        """How many images have been compared in pixels."""
        return {"images": self.images}

    def restore(self, state: dict[str, int]) -> None:
        """Goes on with the size that was next."""
        self.images = int(state["images"]) % max(1, len(self.sizes))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        detections, objects = (_whole(blob.data.reshape(-1, width)) for blob, width in zip(bottom, (7, 8), strict=True))
        # DetectionOutput says of an image in which nothing was found that the class is -1.
        self._check(detections[detections[:, 1] != -1], "detections")
        self._check(objects, "objects")
        counted = objects if self.param.evaluate_difficult_gt else objects[objects[:, 7] == 0]
        counts = [[-1, label, np.count_nonzero(counted[:, 1] == label), -1, -1] for label in self.labels]
        rows = np.concatenate([np.array(counts, float).reshape(-1, 5), *self._judged(detections, objects)])
        top[0].data[...] = 0
        top[0].data[0, 0, : len(rows)] = rows

    def _check(self, rows: Array, what: str) -> None:
        wrong = rows[~((rows[:, 0] >= 0) & np.isin(rows[:, 1], self.labels))]
        if len(wrong):
            raise self.error(
                f"expected {what} of images from 0 on and of classes from 0 to {self.param.num_classes - 1} other than "
                f"the background {self.param.background_label_id}, got image {wrong[0, 0]:g} and class "
                f"{wrong[0, 1]:g}."
            )

    def _judged(self, detections: Array, objects: Array) -> Iterator[Array]:
        """The rows of the detections of each image and class."""
        detections = detections[np.lexsort((-detections[:, 2], detections[:, 1], detections[:, 0]))]
        for image in np.unique(detections[:, 0]):
            found, there = (rows[rows[:, 0] == image] for rows in (detections, objects))
            for label in np.unique(found[:, 1]):
                yield self._judge(found[found[:, 1] == label], there[there[:, 1] == label])
            if self.sizes:
                self.images = (self.images + 1) % len(self.sizes)

    def _judge(self, found: Array, there: Array) -> Array:
        """The rows of the detections of one image and class, beside the objects of that."""
        rows = np.zeros((len(found), 5), found.dtype)
        rows[:, :3], rows[:, 4] = found[:, :3], 1
        if not len(there):
            return rows
        table, seen = self._overlaps(found[:, 3:7], there[:, 3:7]), set()
        best = table.argmax(axis=1).tolist()
        for i in np.flatnonzero(table.max(axis=1) >= np.float32(self.param.overlap_threshold)):
            if there[best[i], 7] and not self.param.evaluate_difficult_gt:
                rows[i, 4] = 0
            elif best[i] not in seen:
                rows[i, 3:] = 1, 0
                seen.add(best[i])
        return rows

    def _overlaps(self, some: Array, others: Array) -> Array:
        if not self.sizes:
            return overlaps(some, others)
        height, width = self.sizes[self.images]
        scale = np.array([width, height] * 2, some.dtype)
        return overlaps(some * scale, others * scale, ends=1)


def _whole(rows: Array) -> Array:
    """The rows of images from 0 on, with whole numbers of image and class."""
    rows = rows[~(rows[:, 0] <= -1)].copy()
    rows[:, :2] = np.trunc(rows[:, :2])
    return rows
