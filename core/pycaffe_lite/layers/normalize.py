"""Normalize: vectors of length one, times a scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.layers.contract import Layer, register_layer
from pycaffe_lite.proto import caffe_pb2


@register_layer("Normalize")
class Normalize(Layer):
    """Divides by the length of a vector, and multiplies by a scale for each channel.

        r = sqrt(sum of x² + eps),  y = scale x / r
        dx = scale (dy - x sum of x dy / r²) / r,  dscale = sum of dy x / r

    The sums run over the channels of each place, or with across_spatial over all of an image.

    Bottom: x, N x C, N x C x H or N x C x H x W.
    Top: y, like x; may be x itself (in place).
    Blob: scale, (C), or one number, of shape (), with channel_shared.
    Parameters: norm_param { across_spatial: true, scale_filler: constant 1, channel_shared: true, eps: 1e-10 }.

    Where the scales of channels differ this is not the derivative, as in the fork: the sum should have been of
    scale x dy.

    Errors: one axis alone, or more than four; another number of channels than the layer was made for.

    Source: Liu, Rabinovich and Berg, "ParseNet", 2015, and SSD's Normalize.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.param = param = self.layer_param.norm_param
        self._check_shape(bottom[0].shape)
        filler = param.scale_filler if param.HasField("scale_filler") else caffe_pb2.FillerParameter(value=1)
        self.add_param(() if param.channel_shared else bottom[0].shape[1:2], filler)

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if not 2 <= len(shape) <= 4:
            raise self.error(f"expected a bottom of 2 to 4 axes (N, C, H, W), got shape {list(shape)}.")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x = bottom[0]
        self._check_shape(x.shape)
        if not self.param.channel_shared and x.shape[1] != self.blobs[0].count:
            raise self.error(f"expected {self.blobs[0].count} channels, as when it was made, got {x.shape[1]}.")
        top[0].reshape_like(x)
        self.axes = tuple(range(1, x.num_axes)) if self.param.across_spatial else (1,)
        self.normal = Blob(x.shape, x.order, x.dtype)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Keeps x / r, because a layer that works in place may write over y before the derivative needs it."""
        x, normal = bottom[0].data, self.normal.data
        np.multiply(x, x, out=normal)
        self.root = np.sqrt(np.add.reduce(normal, axis=self.axes, keepdims=True) + self.dtype.type(self.param.eps))
        np.divide(x, self.root, out=normal)
        np.multiply(normal, self._scale(x.ndim), out=top[0].data)

    def _scale(self, num_axes: int) -> Array:
        scale = self.blobs[0].data
        return scale if scale.ndim == 0 else scale.reshape(-1, *[1] * (num_axes - 2))

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if not propagate_down[0] and not self.param_propagate_down[0]:
            return
        dy, normal, scale = top[0].diff, self.normal.data, self.blobs[0]
        product = dy * normal
        if self.param_propagate_down[0]:
            others = tuple(axis for axis in range(dy.ndim) if axis != 1)
            scale.diff[...] += product.sum() if scale.num_axes == 0 else product.sum(axis=others)
        if propagate_down[0]:
            along = np.add.reduce(product, axis=self.axes, keepdims=True)
            np.multiply(normal, along, out=product)
            np.subtract(dy, product, out=product)
            product /= self.root
            np.multiply(product, self._scale(dy.ndim), out=bottom[0].diff)
