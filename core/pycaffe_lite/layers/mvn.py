"""MVN: each image, or each of its channels, with mean 0 and variance 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.channels import Channels
from pycaffe_lite.kernels.normalization import mean_and_variance, normalization_backward, normalize
from pycaffe_lite.layers.contract import Layer, register_layer


@register_layer("MVN")
class MVN(Layer):
    """Subtracts the mean of each channel of each image and divides by its standard deviation.

        y = (x - mean) / (std + eps)
        dx = (dy - mean of dy - y mean of dy y) / (std + eps)

    Bottoms: x, one to four axes N x C x H x W.
    Tops: y, like x with ones in the place of missing axes, so always four; may be x itself (in place).
    Parameters: mvn_param { normalize_variance: true, across_channels: false, eps: 1e-9 }. Without
        normalize_variance only the mean is subtracted; with across_channels an image has one mean for all channels.

    The derivative leaves out what eps changes in the last term, as in Caffe. It is exact for eps 0.

    Errors: no axes, or more than four.

    Source: Caffe's MVNLayer.
    """

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, param = bottom[0], self.layer_param.mvn_param
        if not 1 <= x.num_axes <= 4:
            raise self.error(f"expected a bottom of one to four axes (N, C, H, W), got shape {list(x.shape)}.")
        self.eps, self.divides = param.eps, param.normalize_variance
        self.channels = Channels(x, 0, min(x.num_axes, 1 if param.across_channels else 2))
        self.inverse_std = np.ones(self.channels.count)
        self.shape = x.shape  # that of the bottom without the axes that it gets where it is the top too
        order = x.order and (*x.order, *range(x.num_axes, 4))
        top[0].reshape(*x.shape, *[1] * (4 - x.num_axes), order=order)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, y = (array.reshape(self.shape) for array in (bottom[0].data, top[0].data))
        mean, variance = mean_and_variance(self.channels, x)
        if not self.divides:
            self.channels.map(_subtract, x, y, vectors=[mean])
            return
        with np.errstate(divide="ignore"):
            self.inverse_std = 1 / (np.sqrt(variance) + self.eps)
        self.channels.map(normalize, x, y, vectors=[mean, self.inverse_std])

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if not propagate_down[0]:
            return
        arrays = (bottom[0].diff, top[0].data, top[0].diff)
        dx, y, dy = (array.reshape(self.shape) for array in arrays)
        if self.divides:
            normalization_backward(self.channels, dy, y, dx, self.inverse_std)
        else:
            (sums,) = self.channels.sums(1, lambda add, piece: add(0, piece), dy)
            self.channels.map(_subtract, dy, dx, vectors=[sums / max(1, self.channels.size)])


def _subtract(x: Array, y: Array, mean: Array) -> None:
    np.subtract(x, mean, out=y)
