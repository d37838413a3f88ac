"""L1Loss: the distance, or for each place the length, of a difference."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.loss_base import LossLayer


@register_layer("L1Loss")
class L1Loss(LossLayer):
    """The sum of distances, with numbers that are missing left out.

        E = sum of |d| / N,  d = prediction - target
        E = sum over places of sqrt(sum of d² over the channels + epsilon) / N        with l2_per_location

    An entry that is not a number counts as 0 and gets no derivative.

    Bottoms: prediction, N x C x …, or with l2_per_location any places behind the channels; target, of the same shape
        (optional: without it d is the prediction). Both get a derivative.
    Tops: E, a scalar.
    Parameters: l1_loss_param {
        l2_per_location: false;
        l2_prescale_by_channels: false, the mean over the channels in the place of the sum;
        normalize_by_num_entries: false, N is the number of entries that are numbers, over the channels;
        epsilon: 0.01;
        plateau: 0: |d|, or the length, below it counts 0 without a derivative }.

    At d = 0 exactly the derivative of |d| is -1, as in the fork.

    Errors: bottoms of different shapes; fewer than two axes.

    Source: Ilg et al., "FlowNet 2.0", 2016, and their Caffe layer.
    """

    num_bottoms = (1, 2)
    may_propagate = (True, True)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.param = self.layer_param.l1_loss_param

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shapes = [blob.shape for blob in bottom]
        if len(set(shapes)) > 1 or len(shapes[0]) < 2:
            texts = " and ".join(str(list(shape)) for shape in shapes)
            raise self.error(f"expected bottoms of one shape with two axes or more, got {texts}.")
        top[0].reshape()

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        difference = bottom[0].data - bottom[1].data if len(bottom) > 1 else bottom[0].data.copy()
        missing = np.isnan(difference)
        difference[missing] = 0
        count = max(1, difference.shape[0])
        if self.param.normalize_by_num_entries:
            entries = prod(difference.shape) - int(np.count_nonzero(missing))
            count = entries / max(1, difference.shape[1]) or 1
        measure = self._lengths if self.param.l2_per_location else self._distances
        total, slope = measure(difference)
        slope[missing] = 0
        slope /= count
        top[0].data[...] = total / count
        self.gradient = slope

    def _distances(self, difference: np.ndarray) -> tuple[float, np.ndarray]:
        distance = np.abs(difference)
        slope = np.where(difference > 0, 1, -1).astype(difference.dtype)
        if self.param.plateau:
            flat = distance < self.param.plateau
            distance[flat] = slope[flat] = 0
        return distance.sum(), slope

    def _lengths(self, difference: np.ndarray) -> tuple[float, np.ndarray]:
        scale = 1 / max(1, difference.shape[1]) if self.param.l2_prescale_by_channels else 1
        squares = np.add.reduce(difference * difference, axis=1, keepdims=True) * scale
        slope = difference * scale
        if self.param.plateau:
            flat = squares < self.param.plateau**2
            squares[flat] = 0
            slope *= ~flat
        root = np.sqrt(squares + self.param.epsilon)
        slope /= root
        return root.sum(), slope

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        weight = self.dtype.type(top[0].diff)
        for blob, wanted, sign in zip(bottom, propagate_down, (1, -1), strict=False):
            if wanted:
                np.multiply(self.gradient, sign * weight, out=blob.diff)
