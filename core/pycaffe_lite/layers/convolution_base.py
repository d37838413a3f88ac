"""What Convolution and Deconvolution share: parameters, shapes, and channels-last views of the blobs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import ClassVar

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.convolution import ConvolutionProduct, WindowProduct
from pycaffe_lite.kernels.copying import view_as
from pycaffe_lite.kernels.depthwise import DepthwiseProduct, is_depthwise
from pycaffe_lite.kernels.direct import DirectProduct
from pycaffe_lite.layers.window_base import WindowLayer


class ConvolutionBase(WindowLayer):
    """Base of Convolution and Deconvolution.

    Both relate an image, over which a window slides, to a map with one pixel for each window, see
    `kernels.convolution`. A Convolution makes the map of the image, a Deconvolution the image of the map.

    Attributes:
        transposed: whether the bottom is the map.
        product: what the passes compute, made for the shapes of both sides.
    """

    num_bottoms = (1, None)
    num_tops = (1, None)
    equal_counts = True
    transposed: ClassVar[bool] = False
    product: ConvolutionProduct

    def no_output(self, shape: Sequence[int]) -> str:
        """What is wrong with a bottom's shape that leaves nothing to compute."""
        raise NotImplementedError

    # -- parameters and shapes ---------------------------------------------------------------------------------

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.convolution_param
        self.axis = self.canonical_axis(param.axis, bottom[0])
        self.window = self.read_window(bottom[0].num_axes - self.axis - 1)
        self.channels, self.outputs, group = bottom[0].shape[self.axis], param.num_output, param.group
        if self.outputs < 1:
            raise self.error("expected num_output of 1 or more, got 0; set convolution_param { num_output: … }.")
        if group < 1 or self.channels % group or self.outputs % group:
            raise self.error(
                f"expected a group that divides its {self.channels} channels and {self.outputs} outputs, got {group}."
            )
        self.group = group
        self._checked_sizes(bottom[0].shape)
        # The weights lie in memory as taps x map channels, the matrix that the windows are multiplied with.
        sides = (self.channels, self.outputs)
        image_channels, map_channels = sides[::-1] if self.transposed else sides
        order = (*range(2, len(self.window.kernel) + 2), 1, 0)
        self.add_param((map_channels, image_channels // group, *self.window.kernel), param.weight_filler, order)
        if param.bias_term:
            self.add_param((self.outputs,), param.bias_filler)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = bottom[0].shape
        if any(blob.shape != shape for blob in bottom):
            shapes = ", ".join(str(list(blob.shape)) for blob in bottom)
            raise self.error(f"expected bottoms of one shape, got {shapes}.")
        if len(shape) != self.axis + 1 + len(self.window.kernel) or shape[self.axis] != self.channels:
            raise self.error(
                f"expected {self.channels} channels on axis {self.axis} and {len(self.window.kernel)} axes behind it, "
                f"as when it was made, got shape {list(shape)}."
            )
        batch, sizes, result = shape[: self.axis], shape[self.axis + 1 :], self._checked_sizes(shape)
        order = (*range(self.axis), *range(self.axis + 1, len(shape)), self.axis)
        for blob in top:
            blob.reshape(*batch, self.outputs, *result, order=order)
        sides = (prod(batch), *sizes, self.channels), (prod(batch), *result, self.outputs)
        image, maps = sides[::-1] if self.transposed else sides
        if is_depthwise(self.window, image[-1], maps[-1], self.group):
            self.product = DepthwiseProduct(self.window, image, maps, self.dtype)
        else:
            kind = DirectProduct if len(self.window.kernel) == 2 else WindowProduct
            self.product = kind(self.window, image, maps, self.dtype, self.group)

    def _checked_sizes(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The lengths of the top's spatial axes.

        Raises:
            CaffeError: there is nothing to compute.
        """
        sizes = shape[self.axis + 1 :]
        result = self.window.input(sizes) if self.transposed else self.window.output(sizes)
        if any(length < 1 for length in (*sizes, *result)):
            raise self.error(self.no_output(shape))
        return result

    # -- the blobs as the products take them -------------------------------------------------------------------

    def images(self, array: Array) -> Array:
        """An array with this layer's axes as N x spatial x C, for reading."""
        return _channels_last(array if self.axis == 1 else array.reshape(-1, *array.shape[self.axis :]))

    @contextmanager
    def images_to_write(self, array: Array) -> Iterator[Array]:
        """An array with this layer's axes as N x spatial x C, for writing."""
        shape = (prod(array.shape[: self.axis]), *array.shape[self.axis :])
        merged = view_as(array, shape) if self.axis != 1 else array
        if merged is not None:
            yield _channels_last(merged)
            return
        copy = np.empty(shape, array.dtype)
        yield _channels_last(copy)
        np.copyto(array, copy.reshape(array.shape))

    def weight(self) -> Array:
        """The weights as the product takes them."""
        return _filters(self.blobs[0].data).reshape(self.product.weight_shape)

    def bias(self, top: Blob) -> Array | None:
        """The bias once for each pixel along the last axis: adding long rows is several times faster."""
        if len(self.blobs) < 2:
            return None
        return np.tile(self.blobs[1].data, top.shape[-1] if self.window.kernel else 1)

    def diffs(self) -> tuple[Array | None, Array | None]:
        """The diffs of the weights, KH x KW x C/group x map channels, and of the bias; None where none is wanted."""
        weight, bias = [*self.param_propagate_down, False][:2]
        return _filters(self.blobs[0].diff) if weight else None, self.blobs[1].diff if bias else None


def _channels_last(array: Array) -> Array:
    return array.transpose(0, *range(2, array.ndim), 1)


def _filters(array: Array) -> Array:
    """Weights of shape map channels x C/group x KH x KW as KH x KW x C/group x map channels."""
    return array.transpose(*range(2, array.ndim), 1, 0)
