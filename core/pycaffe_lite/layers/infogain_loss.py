"""InfogainLoss: SoftmaxWithLoss with a price for each confusion of one class with another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite import log
from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.errors import FileError
from pycaffe_lite.formats.blobproto import read_blob
from pycaffe_lite.kernels.softmax import softmax
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.loss_base import (
    LEAST_LOGARITHM,
    Labels,
    LossLayer,
    normalizer,
    read_ignore_label,
    read_normalization,
    sum_in_order,
)
from pycaffe_lite.paths import find_file


@register_layer("InfogainLoss")
class InfogainLoss(LossLayer):
    """The logarithms of all classes' probabilities, weighed by the row of a matrix H that the label chooses.

        p = softmax(x)        E = -sum_i sum_k H[label_i, k] log(max(p_ik, 1e-20)) / Z
        dx_ik = (p_ik sum_j H[label_i, j] - H[label_i, k]) * loss_weight / Z, and 0 where the label is ignored

    With the identity matrix it is SoftmaxWithLoss.

    Bottoms: x, scores of any range, N x C for example or N x C x H x W; labels, one for each position around
        the class axis, whole numbers in [0, C); optionally H, C x C, any shape of C² values.
    Tops: E, a scalar; optionally p, like x, through which nothing is propagated back.
    Parameters: infogain_loss_param { axis: 1  source: none }, the class axis, and without a third bottom the
        file of H, a .binaryproto of a BlobProto; loss_param { ignore_label: none  normalization: VALID }, see
        SoftmaxWithLoss.

    Errors: shapes that do not fit; a label out of range; a file that is no matrix; a diff wanted for the
        labels or for H.
    """

    num_bottoms = (2, 3)
    num_tops = (1, 2)
    may_propagate = (True, False, False)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        log.info(
            f"Creating layer {self.name}", "layer_factory.hpp:77"
        )  # Caffe makes a Softmax within this layer, by the layer's own name.
        self.param = self.layer_param.infogain_loss_param
        self.normalization = read_normalization(self.layer_param.loss_param)
        self.labels = Labels(self, read_ignore_label(self.layer_param.loss_param))
        self.matrix = self._read_matrix() if len(bottom) < 3 else np.zeros(0, self.dtype)

    def _read_matrix(self) -> Array:
        """H from its file, flat."""
        if not self.param.source:
            raise self.error(
                "expected infogain_loss_param { source: … }, the file of its matrix, or the matrix as a third bottom, "
                "got neither."
            )
        try:
            matrix = read_blob(find_file(self.param.source, self.folder, "infogain matrix"), "an infogain matrix")
        except FileError as problem:
            raise self.error(str(problem)) from None
        return np.array(matrix, self.dtype).reshape(-1)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        scores = bottom[0]
        self.axis = self.canonical_axis(self.param.axis, scores)
        self.labels.reshape(scores, self.axis, bottom[1])
        self.classes, self.inner = self.labels.classes, self.labels.inner
        count = bottom[2].count if len(bottom) > 2 else self.matrix.size
        if count != self.classes**2:
            raise self.error(
                f"expected a matrix of {self.classes} x {self.classes} values, one row and one column for each class "
                f"of scores of shape {list(scores.shape)}, got {count} value(s)."
            )
        positions = bottom[1].count
        self.outer = positions // max(1, self.inner)
        self.probability, self.delta = (np.empty(scores.shape, scores.dtype) for _ in range(2))
        self.rows, self.by_class = (np.empty((positions, self.classes), scores.dtype) for _ in range(2))
        if len(top) > 1:
            top[1].reshape(*scores.shape)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.labels.read(bottom[1])
        if len(bottom) > 2:
            self.matrix = bottom[2].data.reshape(-1)
        softmax(bottom[0].data, self.axis, self.probability)
        self._choose_rows()
        np.maximum(self._by_position(self.probability), LEAST_LOGARITHM, out=self._view())
        np.log(self.by_class, out=self.by_class)
        np.multiply(self.rows, self.by_class, out=self.by_class)
        top[0].data[...] = (0.0 - sum_in_order(self.by_class)) / self._normalizer()
        if len(top) > 1:
            top[1].data = self.probability

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        self.cannot_propagate(propagate_down, 1, "its targets")
        self.cannot_propagate(propagate_down, 2, "its matrix")
        if not propagate_down[0]:
            return
        np.copyto(self._view(), self._by_position(self.probability))
        # The rows of ignored labels are 0, and so are their sums.
        np.multiply(self.by_class, np.add.reduce(self.rows, axis=1, keepdims=True), out=self.by_class)
        np.subtract(self.by_class, self.rows, out=self.by_class)
        np.copyto(self._by_position(self.delta), self._view())
        np.multiply(self.delta, float(top[0].diff) / self._normalizer(), out=bottom[0].diff)

    def _choose_rows(self) -> None:
        """For each label its row of H, 0 where the label is ignored."""
        matrix = self.matrix.reshape(self.classes, self.classes)
        np.take(matrix, self.labels.values, axis=0, out=self.rows, mode="clip")
        if self.labels.ignored is not None:
            self.rows[self.labels.ignored] = 0

    def _by_position(self, array: Array) -> Array:
        """A view outer x inner x classes of an array like the scores."""
        return array.reshape(self.outer, self.classes, self.inner).transpose(0, 2, 1)

    def _view(self) -> Array:
        """`by_class` as outer x inner x classes."""
        return self.by_class.reshape(self.outer, self.inner, self.classes)

    def _normalizer(self) -> float:
        return normalizer(self.normalization, self.outer, self.inner, self.labels.valid)
