"""SmoothL1Loss as SSD has it."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.difference_loss_base import DifferenceLoss, smooth_l1


class SSDSmoothL1Loss(DifferenceLoss):
    """A square for small differences and a distance for large ones.

        E = sum of (d² / 2 where |d| < 1, else |d| - 1/2) / N,  d = prediction - target

    Bottoms: prediction and target, N x …, of one shape; both get a derivative.
    Tops: E, a scalar.

    Errors: bottoms of different shapes.

    Source: Girshick, "Fast R-CNN", 2015, and SSD's layer, which refuses the weights that its code has a place for.
    """

    type = "SmoothL1Loss"

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        value, slope = smooth_l1(bottom[0].data - bottom[1].data)
        top[0].data[...] = value.sum() / self.batch
        self.gradient = slope / self.dtype.type(self.batch)
