"""Deconvolution: a filter laid down at every pixel, the transpose of a Convolution."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.convolution_base import ConvolutionBase


@register_layer("Deconvolution")
class Deconvolution(ConvolutionBase):
    """Multiplies filters with each pixel and adds them up where they overlap: it upsamples.

        top[n, o, y * stride + i * dilation - pad, x * stride + j * dilation - pad] =
            bias[o] + sum over all c, y, x, i, j that lead there of weight[c, o, i, j] * bottom[n, c, y, x]

    It is the derivative of a Convolution with the same parameters by its bottom, also called transposed convolution.

    bottom: one or more of the same shape N x C x H x W; any number of spatial axes may follow the channel axis, and any
        number of batch axes may come before it (`axis`).
    top: for each bottom, N x num_output x OH x OW, with OH = stride (H - 1) + dilation (kernel - 1) + 1 - 2 pad.
        Channels are last in memory.
    blobs: weight, C x num_output/group x KH x KW; bias, num_output.

    Parameters (convolution_param): as those of Convolution. With group = C = num_output, a "bilinear" weight_filler,
        kernel_size 2 f - f % 2, stride f, pad ceil((f - 1) / 2), bias_term: false and lr_mult: 0 it is bilinear
        upsampling by f.

    Errors: padding that leaves nothing of the result; channels or outputs that `group` does not divide.

    Source: Caffe's DeconvolutionLayer; Long, Shelhamer and Darrell, Fully Convolutional Networks (2015).
    """

    transposed = True

    def no_output(self, shape: Sequence[int]) -> str:
        return f"its pad {list(self.window.pad)} leaves nothing of the result for a bottom of shape {list(shape)}."

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        for x, y in zip(bottom, top, strict=True):
            self.product.scatter(self.images(x.data), self.weight(), self.images(y.data), self.bias(y))

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        for above, down, below in zip(top, propagate_down, bottom, strict=True):
            x, dy = self.images(below.data), self.images(above.diff)
            self.product.add_gradients(dy, x, dy, *self.diffs())
            if down:
                with self.images_to_write(below.diff) as dx:
                    self.product.gather(dy, self.weight(), dx)
