"""BN as SegNet has it: normalization by the batch alone, or a scale and a shift."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.channels import Channels
from pycaffe_lite.kernels.normalization import derive, mean_and_variance, normalize, sum_products
from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.proto import caffe_pb2

EPS = 1e-9
LEARN = caffe_pb2.BNParameter.BNMode.Value("LEARN")


class SegNetBN(Layer):
    """Normalizes each channel by the batch's own mean and variance, or only scales and shifts it.

        LEARN:      n = (x - mean) / sqrt(variance + 1e-9),  y = scale n + shift        in any phase
        INFERENCE:  y = scale x + shift
        dx = scale (dy - mean of dy - n mean of dy n) / std, or scale dy
        dscale = sum of dy n, or of dy x,  dshift = sum of dy

    Bottom: x, N x C x H x W.
    Tops: y, like x; may be x itself (in place). LEARN may have two more, 1 x C x 1 x 1: the mean and the variance,
        whose diffs are ignored, as in the fork.
    Blobs: scale and shift, both 1 x C x 1 x 1. There are no running statistics.
    Parameters: bn_param { scale_filler: constant 0, shift_filler: constant 0, bn_mode: LEARN }.

    In place with INFERENCE x is gone when the derivative needs it, and dscale is the sum of dy y, as in the fork: this
    is not the derivative.

    Errors: other than four axes; another number of channels than the layer was made for; more tops with INFERENCE.

    Source: Badrinarayanan, Kendall and Cipolla, "SegNet", 2015, and their Caffe layer.
    """

    type = "BN"
    num_tops = (1, 3)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.bn_param
        self.learns = param.bn_mode == LEARN
        if len(top) > 1 and not self.learns:
            raise self.error(f"expected one top with bn_mode: INFERENCE, which computes no statistics, got {len(top)}.")
        self._check_shape(bottom[0].shape)
        for filler in (param.scale_filler, param.shift_filler):
            self.add_param((1, bottom[0].shape[1], 1, 1), filler)

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 4:
            raise self.error(f"expected a bottom of 4 axes (N, C, H, W), got shape {list(shape)}.")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x = bottom[0]
        self._check_shape(x.shape)
        if x.shape[1] != self.blobs[0].count:
            raise self.error(f"expected {self.blobs[0].count} channels, as when it was made, got {x.shape[1]}.")
        top[0].reshape_like(x)
        for blob in top[1:]:
            blob.reshape(1, x.shape[1], 1, 1)
        self.channels = Channels(x, 1, 2)
        self.normal = Blob(x.shape, x.order, x.dtype) if self.learns else None
        self.inverse_std = np.ones(self.channels.count)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, y = bottom[0].data, top[0].data
        factors = [blob.data.reshape(-1) for blob in self.blobs]
        if self.normal is None:
            self.channels.map(_scale, x, y, vectors=factors)
            return
        mean, variance = mean_and_variance(self.channels, x)
        for blob, values in zip(top[1:], (mean, variance), strict=False):
            blob.data[...] = values.reshape(blob.shape)
        self.inverse_std = 1 / np.sqrt(variance + EPS)
        vectors = [mean, self.inverse_std, *factors]
        self.channels.map(normalize_and_scale, x, self.normal.data, y, vectors=vectors, written=2)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        dy = top[0].diff
        normal = bottom[0].data if self.normal is None else self.normal.data
        shift, scale = sum_products(self.channels, dy, normal)
        for blob, wanted, total in zip(self.blobs, self.param_propagate_down, (scale, shift), strict=True):
            if wanted:
                blob.diff[...] += total.reshape(blob.shape)
        if not propagate_down[0]:
            return
        factor = self.blobs[0].data.reshape(-1)
        if self.normal is None:
            self.channels.map(multiply, dy, bottom[0].diff, vectors=[factor])
        else:
            means = np.array([shift, scale]) / max(1, self.channels.size)
            vectors = [*means, factor * self.inverse_std]
            derive(self.channels, dy, normal, bottom[0].diff, vectors)


def _scale(x: Array, y: Array, scale: Array, shift: Array) -> None:
    np.multiply(x, scale, out=y)
    np.add(y, shift, out=y)


def normalize_and_scale(
    x: Array, normal: Array, y: Array, mean: Array, inverse_std: Array, scale: Array, shift: Array
) -> None:
    """For `Channels.map`: what is normalized, and that times scale plus shift; y may be x."""
    normalize(x, normal, mean, inverse_std)
    _scale(normal, y, scale, shift)


def multiply(dy: Array, dx: Array, factor: Array) -> None:
    """For `Channels.map`: dx = dy factor."""
    np.multiply(dy, factor, out=dx)
