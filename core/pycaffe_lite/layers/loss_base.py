"""What the losses have in common: one scalar top, the normalization, and labels that are class numbers."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.errors import ShapeError
from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.proto import caffe_pb2

FULL, VALID, BATCH_SIZE, NONE = (
    caffe_pb2.LossParameter.NormalizationMode.Value(mode) for mode in ("FULL", "VALID", "BATCH_SIZE", "NONE")
)


LEAST_LOGARITHM = 1e-20
"""A probability below it counts as this one where Caffe takes a logarithm of it, but for SoftmaxWithLoss."""


class LossLayer(Layer):
    """A layer whose first top is one number to be made small.

    Bottoms: predictions; targets with the same first axis, into which nothing is propagated.
    Tops: the loss, a scalar (shape ()); the net makes it up if the text names none, and its loss_weight is 1
        unless the text says otherwise.
    """

    num_bottoms = (2, 2)
    auto_tops = True
    loss_weight = 1.0
    may_propagate: tuple[bool, ...] = (True, False)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shapes = [blob.shape for blob in bottom[:2]]
        if len({shape[:1] for shape in shapes}) > 1 or () in shapes:
            texts = " and ".join(str(list(shape)) for shape in shapes)
            raise self.error(f"expected predictions and targets with the same first axis, got shapes {texts}.")
        top[0].reshape()


def sum_in_order(terms: Array) -> float:
    """The sum of the terms of a loss, one added after the other in their own precision, as Caffe's loops do.

    Over many float32 terms it differs from an exact sum in the fourth digit or so: it is the loss that Caffe prints.

    Args:
        terms: any shape, dense; added in logical order.
    """
    return float(np.add.accumulate(terms.reshape(-1))[-1]) if terms.size else 0.0


def read_normalization(loss_param: caffe_pb2.LossParameter, default: int = VALID) -> int:
    """What a loss is divided by: `normalization`, else the older `normalize`, else the loss's default."""
    if loss_param.HasField("normalization"):
        return int(loss_param.normalization)
    if loss_param.HasField("normalize"):
        return VALID if loss_param.normalize else BATCH_SIZE
    return default


def normalizer(mode: int, outer: int, inner: int, valid: int) -> float:
    """The number a loss is divided by, never below 1, so that a batch without a valid label gives 0.

    Args:
        mode: FULL all labels, VALID those that are not ignored, BATCH_SIZE the axes before the class axis,
            NONE 1.
        outer, inner: the number of positions before and behind the class axis.
        valid: the number of labels that are not ignored.
    """
    return float(max(1, {FULL: outer * inner, VALID: valid, BATCH_SIZE: outer, NONE: 1}[mode]))


def read_ignore_label(param: caffe_pb2.LossParameter | caffe_pb2.AccuracyParameter) -> int | None:
    """The `ignore_label` of a loss_param or accuracy_param, None if there is none."""
    return int(param.ignore_label) if param.HasField("ignore_label") else None


class Labels:
    """Labels read from a blob: whole numbers in [0, classes), one for each position around the class axis.

    Attributes:
        values: the labels, int, flat, in logical order; 0 where ignored.
        index: where each label's own score stands in the flat (outer, classes, inner) scores.
        ignored: a mask over `values`, or None if no label is ignored.
        valid: how many are not ignored.
    """

    def __init__(self, layer: Layer, ignore_label: int | None = None) -> None:
        self.layer = layer
        self.ignore_label = ignore_label
        self.values = np.zeros(0, np.intp)
        self.index = np.zeros(0, np.intp)
        self.ignored: np.ndarray | None = None
        self.valid = 0

    def reshape(self, scores: Blob, axis: int, labels: Blob) -> None:
        """Takes the shapes: scores with the classes along `axis`, and one label for each of the other
        positions.

        Raises:
            CaffeError: if the counts do not fit together, or there are no classes.
        """
        outer, self.classes, self.inner = split_at(scores.shape, axis)
        if self.classes == 0:
            raise self.layer.error(f"expected scores of one class or more, got shape {list(scores.shape)}.")
        if labels.count != outer * self.inner:
            raise self.layer.error(
                f"expected one label for each prediction, {outer * self.inner} for scores of shape "
                f"{list(scores.shape)} with the classes along axis {axis}, got {labels.count} of shape "
                f"{list(labels.shape)}."
            )
        if self.values.size != labels.count:
            self.values, self.index = (np.zeros(labels.count, np.intp) for _ in range(2))
        self.start = (np.arange(outer)[:, None] * (self.classes * self.inner) + np.arange(self.inner)[None, :]).reshape(
            -1
        )

    def read(self, blob: Blob) -> None:
        """Reads the labels; a fraction is cut off, as in Caffe.

        Raises:
            CaffeError: for a label outside [0, classes) that is not ignored; names it, its position and the
                range.
        """
        given = blob.data.reshape(-1)
        if self.ignore_label is not None:
            self.ignored = np.trunc(given) == self.ignore_label
            given = np.where(self.ignored, 0, given)
        if given.size and not (given.min() > -1 and given.max() < self.classes):
            raise self._out_of_range(given, blob.shape)
        np.copyto(self.values, given, casting="unsafe")
        np.multiply(self.values, self.inner, out=self.index)
        np.add(self.index, self.start, out=self.index)
        self.valid = given.size - (0 if self.ignored is None else int(np.count_nonzero(self.ignored)))

    def _out_of_range(self, given: Array, shape: tuple[int, ...]) -> Exception:
        first = int(np.argmin((given > -1) & (given < self.classes)))
        position = [int(i) for i in np.unravel_index(first, shape)]
        return self.layer.error(
            f"expected labels from 0 to {self.classes - 1}, got {given[first]:g} at position {position} of "
            f"the labels; mend the data, let the scores have more classes, or name it as ignore_label."
        )


def rows_of(scores: Blob) -> Blob:
    """The shape N x K of scores N x …, of which all axes behind the first are classes.

    Raises:
        ShapeError: there is not even N.
    """
    if not scores.shape:
        raise ShapeError("expected scores of one axis or more, got a single number.")
    return Blob((scores.shape[0], prod(scores.shape[1:])))


def split_at(shape: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    """The number of elements before an axis, along it, and behind it."""
    outer = inner = 1
    for length in shape[:axis]:
        outer *= length
    for length in shape[axis + 1 :]:
        inner *= length
    return outer, shape[axis], inner
