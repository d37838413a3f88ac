"""SmoothL1Loss as Faster R-CNN has it: with weights, and a place where the square ends."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.difference_loss_base import DifferenceLoss, smooth_l1


class FasterRCNNSmoothL1Loss(DifferenceLoss):
    """A square for small differences and a distance for large ones, each difference with two weights.

        E = sum of outside e / N,  e = s² d² / 2 where |d| < 1 / s², else |d| - 1 / (2 s²),  d = inside (p - t)

    Bottoms: prediction p and target t, N x …, which both get a derivative; inside and outside, both or neither.
    Tops: E, a scalar. Without a loss_weight in the text it is no loss, its weight is 0, as in the fork.
    Parameters: smooth_l1_loss_param { sigma: 1 }, s above.

    Errors: bottoms of different shapes; three bottoms; a sigma of 0.

    Source: Girshick, "Fast R-CNN", 2015; Ren, He, Girshick and Sun, "Faster R-CNN", 2015.
    """

    type = "SmoothL1Loss"
    num_bottoms = (2, 4)
    loss_weight = 0.0
    may_propagate: tuple[bool, ...] = (True, True, False, False)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        sigma = self.layer_param.smooth_l1_loss_param.sigma
        if len(bottom) == 3:
            raise self.error("expected inside and outside weights (bottoms 2 and 3), or neither, got 3 bottoms.")
        self.square = sigma * sigma
        if not self.square > 0:
            raise self.error(f"expected smooth_l1_loss_param {{ sigma: … }} other than 0, got {sigma:g}.")

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        difference = bottom[0].data - bottom[1].data
        weights = [blob.data for blob in bottom[2:]]
        if weights:
            difference *= weights[0]
        value, slope = smooth_l1(difference, self.square)
        if weights:
            value *= weights[1]
            slope *= weights[0]
            slope *= weights[1]
        top[0].data[...] = value.sum() / self.batch
        slope /= self.batch
        self.gradient = slope

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if any(propagate_down[2:]):
            raise self.error("cannot propagate to its weights (bottoms 2 and 3); put propagate_down: false on them.")
        super().backward(top, propagate_down, bottom)
