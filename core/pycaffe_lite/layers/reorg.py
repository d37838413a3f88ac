"""Reorg: pixels of a block become channels, in YOLOv2's own way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.layers.contract import Layer, register_layer


@register_layer("Reorg")
class Reorg(Layer):
    """Makes a smaller image with more channels of a large one, or the other way round.

        reverse:  y[c % t, h s + c / t / s, w s + c / t % s] = x[c, h, w],  t = C / s²

    Without `reverse` it is that move the other way, applied to the image's numbers as if they were t x Hs x Ws, and
    the result is read as the top's shape: what Darknet does, and not the plain move from space to depth.

    Bottom: x, N x C x H x W, C divisible by s²; without reverse H and W by s.
    Top: N x C s² x H/s x W/s; with reverse N x C/s² x H s x W s.
    Parameters: reorg_param { stride: 2, reverse: false }.

    The forks' derivatives on the CPU are broken. This one is the true one: the inverse move.

    Errors: lengths that the stride does not divide; a stride of 0.

    Source: Redmon and Farhadi, "YOLO9000", 2016, after the ports of eric612 and choasup to Caffe.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.reorg_param
        self.stride = param.stride if param.HasField("stride") else 2
        self.enlarges = param.reverse
        if self.stride < 1:
            raise self.error("expected reorg_param { stride: … } of 1 or more, got 0.")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape, s = bottom[0].shape, self.stride
        if len(shape) != 4:
            raise self.error(f"expected a bottom of 4 axes (N, C, H, W), got shape {list(shape)}.")
        n, channels, height, width = shape
        if channels % (s * s):
            raise self.error(f"expected channels that its stride squared, {s * s}, divides, got {channels}.")
        if not self.enlarges and (height % s or width % s):
            raise self.error(f"expected a height and width that its stride {s} divides, got {height} x {width}.")
        if self.enlarges:
            top[0].reshape(n, channels // (s * s), height * s, width * s)
        else:
            top[0].reshape(n, channels * s * s, height // s, width // s)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        move = self._enlarged if self.enlarges else self._reduced
        np.copyto(top[0].data, move(bottom[0].data, bottom[0].shape).reshape(top[0].shape))

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            move = self._reduced if self.enlarges else self._enlarged
            np.copyto(bottom[0].diff, move(top[0].diff, bottom[0].shape).reshape(bottom[0].shape))

    def _enlarged(self, array: Array, shape: tuple[int, ...]) -> Array:
        """From C x H x W, the bottom's shape, to C/s² x Hs x Ws."""
        n, channels, height, width = shape
        s = self.stride
        return array.reshape(n, s, s, channels // (s * s), height, width).transpose(0, 3, 4, 1, 5, 2)

    def _reduced(self, array: Array, shape: tuple[int, ...]) -> Array:
        """Its inverse: from C/s² x Hs x Ws to C x H x W."""
        n, channels, height, width = shape
        s = self.stride
        return array.reshape(n, channels // (s * s), height, s, width, s).transpose(0, 3, 5, 1, 2, 4)
