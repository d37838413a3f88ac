"""Convolution: a filter slid over the image."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.convolution_base import ConvolutionBase


@register_layer("Convolution")
class Convolution(ConvolutionBase):
    """Slides `num_output` filters over the image.

        top[n, o, y, x] = bias[o] + sum over c, i, j of
            weight[o, c, i, j] * bottom[n, c, y * stride + i * dilation - pad, x * stride + j * dilation - pad]

    It is a correlation, as everywhere in deep learning: the filter is not mirrored. Pixels outside count as 0.

    bottom: one or more of the same shape N x C x H x W; any number of spatial axes, 0 included, may follow the
        channel axis, and any number of batch axes may come before it (`axis`).
    top: for each bottom, N x num_output x OH x OW, with OH = (H + 2 pad - (dilation (kernel - 1) + 1)) / stride + 1,
        rounded down. Channels are last in memory.
    blobs: weight, num_output x C/group x KH x KW; bias, num_output.

    Parameters (convolution_param): num_output; kernel_size, stride (1), pad (0), dilation (1), each once or once an
        axis, or _h and _w; group (1): channels and outputs are cut into that many parts and the i-th outputs see the
        i-th channels alone; bias_term (true); weight_filler, bias_filler; axis (1), the channel axis. `engine` and
        `force_nd_im2col` choose among Caffe's implementations and change nothing here.

    Errors: a kernel larger than the padded image; channels or outputs that `group` does not divide.

    Source: Caffe's ConvolutionLayer; im2col after Chellapilla, Puri and Simard, High Performance Convolutional
        Neural Networks for Document Processing (2006).
    """

    def no_output(self, shape: Sequence[int]) -> str:
        return f"its kernel {list(self.window.kernel)} is larger than the padded image of shape {list(shape)}."

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        for x, y in zip(bottom, top, strict=True):
            self.product.gather(self.images(x.data), self.weight(), self.images(y.data), self.bias(y))

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        for above, down, below in zip(top, propagate_down, bottom, strict=True):
            x, dy = self.images(below.data), self.images(above.diff)
            self.product.add_gradients(x, dy, dy, *self.diffs())
            if down:
                with self.images_to_write(below.diff) as dx:
                    self.product.scatter(dy, self.weight(), dx)
