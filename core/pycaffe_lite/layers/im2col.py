"""Im2col: the windows of an image as a blob."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.copying import along
from pycaffe_lite.kernels.elementwise import PIECE
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.window_base import WindowLayer
from pycaffe_lite.parallel import parallel_for, slices


@register_layer("Im2col")
class Im2col(WindowLayer):
    """Copies each window of the image into the channels of one pixel.

        top[n, (c * KH + i) * KW + j, y, x] =
            bottom[n, c, y * stride + i * dilation - pad, x * stride + j * dilation - pad], 0 outside
        dx = sum of dy over the places where a pixel went

    bottom: N x C x H x W; any number of spatial axes behind the channel axis and of batch axes before it (`axis`).
    top: N x (C KH KW) x OH x OW, with OH and OW as for a Convolution.

    Parameters (convolution_param): kernel_size, stride (1), pad (0), dilation (1), each once or once an axis, or _h and
        _w; axis (1), the channel axis.

    Errors: a kernel larger than the padded image.

    Source: Caffe's Im2colLayer.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.axis = self.canonical_axis(self.layer_param.convolution_param.axis, bottom[0])
        self.window = self.read_window(bottom[0].num_axes - self.axis - 1)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = bottom[0].shape
        channels, self.sizes = shape[self.axis], shape[self.axis + 1 :]
        if len(self.sizes) != len(self.window.kernel):
            axes = len(self.window.kernel)
            raise self.error(f"expected {axes} axes behind axis {self.axis}, got shape {list(shape)}.")
        self.count = self.window.output(self.sizes)
        if any(length < 1 for length in self.count):
            raise self.error(
                f"its kernel {list(self.window.kernel)} is larger than the padded image of shape {list(shape)}."
            )
        top[0].reshape(*shape[: self.axis], channels * prod(self.window.kernel), *self.count)
        pixel_axis, taps = self.axis + 1, product(*map(range, self.window.kernel))
        # For each tap, as indices: its places in the columns, those of them inside the image, and their pixels.
        self.taps = [
            (along(pixel_axis, *tap), along(pixel_axis, *windows), along(pixel_axis, *pixels))
            for tap, (windows, pixels) in zip(taps, self.window.taps(self.count, self.sizes), strict=True)
        ]
        self.cut_axis = max(range(self.axis + 1), key=lambda axis: shape[axis])
        self.cuts = slices(shape[self.cut_axis], top[0].count // PIECE)

    def _pieces(self, top: Array, bottom: Array) -> list[tuple[Array, Array]]:
        """Matching pieces of both; in those of the top the channels and the taps have axes of their own."""
        shape = (*bottom.shape[: self.axis + 1], *self.window.kernel, *self.count)
        columns, places = top.reshape(shape), [along(self.cut_axis, cut) for cut in self.cuts]
        return [(columns[place], bottom[place]) for place in places]

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        def piece(i: int) -> None:
            columns, x = pieces[i]
            for tap, windows, pixels in self.taps:
                places, inside = columns[tap], columns[tap][windows]
                if inside.shape != places.shape:
                    places.fill(0)
                np.copyto(inside, x[pixels])

        pieces = self._pieces(top[0].data, bottom[0].data)
        parallel_for(len(pieces), piece)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        def piece(i: int) -> None:
            columns, dx = pieces[i]
            dx.fill(0)
            for tap, windows, pixels in self.taps:
                place = dx[pixels]
                np.add(place, columns[tap][windows], out=place)

        if propagate_down[0]:
            pieces = self._pieces(top[0].diff, bottom[0].diff)
            parallel_for(len(pieces), piece)
