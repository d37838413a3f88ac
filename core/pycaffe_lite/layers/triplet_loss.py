"""TripletLoss: an anchor nearer to a positive than to a negative."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.loss_base import LossLayer


@register_layer("TripletLoss")
class TripletLoss(LossLayer):
    """Pushes the negative away until it is farther than the positive, by a margin.

        E = sum of max(0, margin + |a - p|² - |a - n|²) / (2 N)
        da = (n - p) loss_weight / N,  dp = (p - a) loss_weight / N,  dn = (a - n) loss_weight / N        where it costs

    Bottoms: anchor a, positive p and negative n, N x K or N x K x 1 x 1, of one shape; all get a derivative.
    Tops: E, a scalar.
    Parameters: triplet_loss_param { margin: 1 }.

    Errors: bottoms of different shapes.

    Source: Schroff, Kalenichenko and Philbin, "FaceNet", 2015, after the layer of caffe-windows.
    """

    num_bottoms = (3, 3)
    may_propagate = (True, True, True)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shapes = [blob.shape for blob in bottom]
        if len(set(shapes)) > 1 or not shapes[0]:
            texts = ", ".join(str(list(shape)) for shape in shapes)
            raise self.error(f"expected three bottoms of one shape with an axis or more, got {texts}.")
        self.batch, self.features = shapes[0][0], prod(shapes[0][1:])
        top[0].reshape()

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        anchor, positive, negative = (blob.data.reshape(self.batch, self.features) for blob in bottom)
        near, far = anchor - positive, anchor - negative
        margin = self.layer_param.triplet_loss_param.margin
        cost = margin + np.einsum("nk,nk->n", near, near) - np.einsum("nk,nk->n", far, far)
        self.costs = (cost > 0).astype(anchor.dtype)[:, None]
        self.gradients = [near - far, -near, far]
        top[0].data[...] = np.maximum(cost, 0).sum() / (2 * max(1, self.batch))

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        scale = self.costs * self.dtype.type(float(top[0].diff) / max(1, self.batch))
        for blob, wanted, gradient in zip(bottom, propagate_down, self.gradients, strict=True):
            if wanted:
                blob.diff[...] = (gradient * scale).reshape(blob.shape)
