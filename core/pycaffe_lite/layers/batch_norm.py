"""BatchNorm: each channel with mean 0 and variance 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.channels import Channels
from pycaffe_lite.kernels.normalization import mean_and_variance, normalization_backward, normalize
from pycaffe_lite.layers.contract import Layer, register_layer
from pycaffe_lite.phase import TEST
from pycaffe_lite.proto import caffe_pb2


@register_layer("BatchNorm")
class BatchNorm(Layer):
    """Subtracts the mean of each channel and divides by its standard deviation.

        y = (x - mean) / std,  std = sqrt(variance + eps)
        dx = (dy - mean of dy - y mean of dy y) / std        with the batch's own mean and variance
        dx = dy / std                                        with the stored ones

    Bottoms: x, one axis or more; channels along axis 1; with one axis it is all one channel.
    Tops: y, like x; may be x itself (in place).
    Blobs: sums of the means and of the variances, one for each channel, and of their weights, one number. Each
        training pass multiplies all three by moving_average_fraction and adds the batch's mean, its variance
        times m / (m - 1) where a channel has m values, and 1. The stored mean and variance are the first two over
        the third, 0 where that is 0. They are no parameters to learn: their lr_mult is 0, and no diff is computed.
    Parameters: batch_norm_param { use_global_stats: true in the TEST phase, else false;
        moving_average_fraction: 0.999, eps: 1e-5 }. With use_global_stats false the sums are updated in any phase.

    Errors: no axes; another number of channels than the layer was made for; a param with an lr_mult other than 0.

    Source: Ioffe and Szegedy, "Batch Normalization", 2015; Caffe's BatchNormLayer.
    """

    default_lr_mult = 0.0

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.batch_norm_param
        given = param.HasField("use_global_stats")
        self.use_global_stats = param.use_global_stats if given else self.phase == TEST
        self.fraction, self.eps = param.moving_average_fraction, param.eps
        channels = self._channels(bottom[0])
        for shape in ((channels,), (channels,), (1,)):
            self.add_param(shape, caffe_pb2.FillerParameter(value=0))
        if any(spec.lr_mult != 0 for spec in self.layer_param.param):
            raise self.error("expected param { lr_mult: 0 }, because its statistics are not learned.")

    def _channels(self, bottom: Blob) -> int:
        if bottom.num_axes == 0:
            raise self.error("expected a bottom of one axis or more, got a scalar.")
        return 1 if bottom.num_axes == 1 else bottom.shape[1]

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x = bottom[0]
        if self._channels(x) != self.blobs[0].count:
            raise self.error(
                f"expected {self.blobs[0].count} channels, as when it was made, got shape {list(x.shape)}."
            )
        top[0].reshape_like(x)
        self.channels = Channels(x, 1, min(2, x.num_axes))
        self.normal = Blob(x.shape, x.order, x.dtype)
        self.inverse_std = np.ones(self.channels.count)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, y = bottom[0].data, top[0].data
        vectors = self.prepare(x)
        if self.use_global_stats:
            self.channels.map(normalize, x, y, vectors=vectors)
        else:
            # Kept, because a layer that works in place may write over y before the derivative needs it.
            self.channels.map(_normalize_and_keep, x, self.normal.data, y, vectors=vectors, written=2)

    def prepare(self, x: Array) -> list[np.ndarray]:
        """Mean and inverse standard deviation of each channel; takes x into the stored sums unless those are used."""
        if self.use_global_stats:
            mean, variance = self.stored()
        else:
            mean, variance = mean_and_variance(self.channels, x)
            self._update_sums(mean, variance)
        self.inverse_std = 1 / np.sqrt(variance + self.eps)
        return [mean, self.inverse_std]

    def stored(self) -> tuple[np.ndarray, np.ndarray]:
        """The stored mean and variance, in double precision."""
        weight = float(self.blobs[2].data[0])
        factor = 0.0 if weight == 0 else 1 / weight
        return factor * self.blobs[0].data.astype(np.float64), factor * self.blobs[1].data.astype(np.float64)

    def _update_sums(self, mean: np.ndarray, variance: np.ndarray) -> None:
        values = self.channels.size
        correction = values / (values - 1) if values > 1 else 1.0
        newest: list[np.ndarray | float] = [mean, correction * variance, 1.0]
        for blob, value in zip(self.blobs, newest, strict=True):
            blob.data[...] = self.fraction * blob.data + value

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if not propagate_down[0]:
            return
        dy, dx = top[0].diff, bottom[0].diff
        if self.use_global_stats:
            self.channels.map(_divide, dy, dx, vectors=[self.inverse_std])
        else:
            normalization_backward(self.channels, dy, self.normal.data, dx, self.inverse_std)


def _normalize_and_keep(x: Array, normal: Array, y: Array, mean: Array, inverse_std: Array) -> None:
    normalize(x, normal, mean, inverse_std)
    np.copyto(y, normal)


def _divide(dy: Array, dx: Array, inverse_std: Array) -> None:
    np.multiply(dy, inverse_std, out=dx)
