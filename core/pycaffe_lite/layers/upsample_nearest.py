"""Upsample with one bottom: each pixel several times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.copying import copy_all
from pycaffe_lite.layers.contract import Layer


class NearestUpsample(Layer):
    """Repeats each pixel in a square of scale x scale.

        y[n, c, h, w] = x[n, c, h / scale, w / scale]        dx = sum of dy over the square

    Bottom: x, N x C x H x W.
    Top: N x C x H scale x W scale, in memory as the bottom.
    Parameters: upsample_param { scale: 1 }.

    Errors: a scale of 0; fields that are SegNet's; other than four axes.

    Source: eric612's port of YOLOv3 to Caffe.
    """

    type = "Upsample"

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.upsample_param
        self.scale = param.scale if param.HasField("scale") else 1
        others = [field.name for field, _ in param.ListFields() if field.name != "scale"]
        if others:
            raise self.error(
                f"expected a second bottom, the mask of a max pooling, for {others[0]} in upsample_param, got one."
            )
        if self.scale < 1:
            raise self.error("expected upsample_param { scale: … } of 1 or more, got 0.")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = bottom[0].shape
        if len(shape) != 4:
            raise self.error(f"expected a bottom of 4 axes (N, C, H, W), got shape {list(shape)}.")
        if top[0] is bottom[0]:
            raise self.error("cannot work in place; give its top another name than its bottom's.")
        top[0].reshape(*shape[:2], shape[2] * self.scale, shape[3] * self.scale, order=bottom[0].order)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        squares, x = self._squares(top[0].data), bottom[0].data
        copy_all([(squares, np.broadcast_to(x[:, :, :, None, :, None], squares.shape))])

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            np.add.reduce(self._squares(top[0].diff), axis=(3, 5), out=bottom[0].diff)

    def _squares(self, array: Array) -> Array:
        """N x C x H x scale x W x scale."""
        n, channels, height, width = array.shape
        s = self.scale
        return array.reshape(n, channels, height // s, s, width // s, s)
