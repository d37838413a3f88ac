"""SPP: spatial pyramid pooling, as many values whatever the image's size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.copying import copy_all, parts
from pycaffe_lite.kernels.elementwise import elementwise
from pycaffe_lite.layers.contract import Layer, register_layer
from pycaffe_lite.layers.pooling import Pooling
from pycaffe_lite.proto import caffe_pb2


@register_layer("SPP")
class SPP(Layer):
    """Pools the whole image into 1, 2 x 2, 4 x 4, … bins and joins the results.

    Level l is a Pooling with 2**l bins a side: kernel = stride = ceil(size / bins), and half of what that is too much
    for the image, rounded up, as its pad.

    bottom: N x C x H x W.
    top: N x (C (1 + 4 + 16 + …)): level by level, in each the C x bins x bins values in logical order. With one level
        it is that Pooling's own top, N x C x 1 x 1.

    Parameters (spp_param): pyramid_height, the number of levels, 1 or more; pool: MAX (default), AVE or STOCHASTIC.

    Errors: no levels; an image too small for the bins of a level.

    Source: Caffe's SPPLayer; He, Zhang, Ren and Sun, Spatial Pyramid Pooling in Deep Convolutional Networks (2014).
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.height = self.layer_param.spp_param.pyramid_height
        if self.height < 1:
            raise self.error("expected pyramid_height of 1 or more, got 0; set spp_param { pyramid_height: … }.")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = bottom[0].shape
        if len(shape) != 4 or min(shape[2:]) < 1:
            raise self.error(f"expected a bottom of 4 axes (N, C, H, W) with pixels, got shape {list(shape)}.")
        self.levels: list[tuple[Pooling, Blob, Blob]] = []
        for level in range(self.height):
            source = Blob(shape, bottom[0].order, bottom[0].dtype)
            pooled = top[0] if self.height == 1 else Blob(dtype=top[0].dtype)
            self.levels.append((self._pooling(1 << level, source, pooled), source, pooled))
        if self.height > 1:
            top[0].reshape(shape[0], sum(pooled.count for _, _, pooled in self.levels) // max(1, shape[0]))

    def _pooling(self, bins: int, bottom: Blob, top: Blob) -> Pooling:
        """The Pooling of one level, built."""
        kernel = [-(-size // bins) for size in bottom.shape[2:]]
        pad = [(k * bins - size + 1) // 2 for k, size in zip(kernel, bottom.shape[2:], strict=True)]
        if any(p >= k for p, k in zip(pad, kernel, strict=True)):
            raise self.error(
                f"expected an image large enough for {bins} bins a side, got shape {list(bottom.shape)}; "
                f"pyramid_height {bins.bit_length() - 1} would do."
            )
        param = caffe_pb2.LayerParameter(name=self.name, type=self.layer_param.type)
        pooling = param.pooling_param
        pooling.pool = self.layer_param.spp_param.pool
        (pooling.kernel_h, pooling.kernel_w), (pooling.pad_h, pooling.pad_w) = kernel, pad
        pooling.stride_h, pooling.stride_w = kernel
        layer = Pooling(param, self.phase, self.place)
        layer.build([bottom], [top])
        return layer

    def _places(self, array: Array) -> list[Array]:
        """For each level its part of the top, under the shape of the pooled values."""
        if self.height == 1:
            return [array]
        shapes = [pooled.shape for _, _, pooled in self.levels]
        places = parts(array, 1, [channels * height * width for _, channels, height, width in shapes])
        return [place.reshape(shape) for place, shape in zip(places, shapes, strict=True)]

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        for layer, source, pooled in self.levels:
            source.data = bottom[0].data
            layer.forward([source], [pooled])
        if self.height > 1:
            pooled_data = [pooled.data for _, _, pooled in self.levels]
            copy_all(list(zip(self._places(top[0].data), pooled_data, strict=True)))

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if not propagate_down[0]:
            return
        if self.height > 1:
            pooled_diffs = [pooled.diff for _, _, pooled in self.levels]
            copy_all(list(zip(pooled_diffs, self._places(top[0].diff), strict=True)))
        self.levels[0][1].diff = bottom[0].diff
        for layer, source, pooled in self.levels:
            layer.backward([pooled], [True], [source])
        for _, source, _ in self.levels[1:]:
            elementwise(_add, bottom[0].diff, source.diff)


def _add(total: Array, part: Array) -> None:
    np.add(total, part, out=total)
