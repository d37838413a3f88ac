"""BN as PSPNet has it: normalization with running statistics, a slope and a bias in one layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.kernels.channels import Channels
from pycaffe_lite.kernels.normalization import derive, mean_and_variance, sum_products
from pycaffe_lite.layers.bn_segnet import multiply, normalize_and_scale
from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.phase import TRAIN
from pycaffe_lite.proto import caffe_pb2


class PSPNetBN(Layer):
    """Normalizes each channel, and gives it a slope and a bias.

        n = (x - mean) / sqrt(variance + eps),  y = slope n + bias
        dx = slope (dy - mean of dy - n mean of dy n) / std,  dslope = sum of dy n,  dbias = sum of dy

    In training mean and variance are the batch's, and the running ones move towards them: running = momentum running +
    (1 - momentum) batch. In tests, or in any phase if frozen, they are the running ones.

    Bottom: x, N x C or N x C x …
    Top: y, like x; may be x itself (in place).
    Blobs: slope, bias, running mean and running variance, each 1 x C x 1 x 1. The statistics are no parameters to
        learn: their lr_mult and decay_mult are 0; if frozen, those of all four are.
    Parameters: bn_param { slope_filler: constant 0, bias_filler: constant 0, momentum: 0.9, eps: 1e-5, frozen: false };
        `engine` makes no difference. The running variance starts at 0, or if frozen at 1.

    Frozen, dx = slope dy / std, and the parameters get nothing. In tests without frozen the formula of training is used
    with the running statistics, as in the fork: this is not the derivative.

    Errors: a bottom without channels; another number of them than the layer was made for.

    Source: Zhao, Shi, Qi, Wang and Jia, "Pyramid Scene Parsing Network", 2016, and their Caffe layer.
    """

    type = "BN"

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.param = param = self.layer_param.bn_param
        self.uses_running = param.frozen or self.phase != TRAIN
        channels = self._count_channels(bottom[0])
        start = caffe_pb2.FillerParameter(value=1 if param.frozen else 0)
        for filler in (param.slope_filler, param.bias_filler, caffe_pb2.FillerParameter(), start):
            self.add_param((1, channels, 1, 1), filler)
        self._stop_learning(range(4) if param.frozen else range(2, 4))

    def _stop_learning(self, indices: Sequence[int]) -> None:
        specs = self.layer_param.param
        while len(specs) < 4:
            specs.add()
        for index in indices:
            specs[index].lr_mult = specs[index].decay_mult = 0

    def _count_channels(self, bottom: Blob) -> int:
        if bottom.num_axes < 2:
            raise self.error(f"expected a bottom of 2 axes or more (N, C, …), got shape {list(bottom.shape)}.")
        return bottom.shape[1]

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x = bottom[0]
        if self._count_channels(x) != self.blobs[0].count:
            raise self.error(f"expected {self.blobs[0].count} channels, as when it was made, got {x.shape[1]}.")
        top[0].reshape_like(x)
        self.channels = Channels(x, 1, 2)
        self.normal = Blob(x.shape, x.order, x.dtype)
        self.inverse_std = np.ones(self.channels.count)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, y = bottom[0].data, top[0].data
        slope, bias, running_mean, running_variance = (blob.data.reshape(-1) for blob in self.blobs)
        if self.uses_running:
            mean, variance = running_mean.astype(np.float64), running_variance.astype(np.float64)
        else:
            mean, variance = mean_and_variance(self.channels, x)
            for running, batch in ((running_mean, mean), (running_variance, variance)):
                running[...] = self.param.momentum * running + (1 - self.param.momentum) * batch
        self.inverse_std = 1 / np.sqrt(variance + self.param.eps)
        vectors = [mean, self.inverse_std, slope, bias]
        self.channels.map(normalize_and_scale, x, self.normal.data, y, vectors=vectors, written=2)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        dy, normal = top[0].diff, self.normal.data
        factor = self.blobs[0].data.reshape(-1) * self.inverse_std
        if self.param.frozen:
            if propagate_down[0]:
                self.channels.map(multiply, dy, bottom[0].diff, vectors=[factor])
            return
        bias, slope = sum_products(self.channels, dy, normal)
        for blob, wanted, total in zip(self.blobs, self.param_propagate_down, (slope, bias), strict=False):
            if wanted:
                blob.diff[...] += total.reshape(blob.shape)
        if propagate_down[0]:
            means = np.array([bias, slope]) / max(1, self.channels.size)
            derive(self.channels, dy, normal, bottom[0].diff, [*means, factor])
