"""Pooling: one value for each window of each channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.pooling import (
    AveragePooling,
    MaxPooling,
    PoolingMethod,
    StochasticPooling,
    WeightedPooling,
)
from pycaffe_lite.kernels.volume_pooling import VolumeAveragePooling, VolumeMaxPooling
from pycaffe_lite.kernels.windows import Window
from pycaffe_lite.layers.contract import Layer, register_layer
from pycaffe_lite.parallel import batch_slices, parallel_for
from pycaffe_lite.phase import TRAIN

METHODS: dict[str, type[PoolingMethod]] = {
    "MAX": MaxPooling,
    "AVE": AveragePooling,
    "STOCHASTIC": StochasticPooling,
}
VOLUME_METHODS: dict[str, type[PoolingMethod]] = {"MAX": VolumeMaxPooling, "AVE": VolumeAveragePooling}
CHANNELS_LAST = (0, 2, 3, 1)


@register_layer("Pooling")
class Pooling(Layer):
    """Takes the maximum, the average or a random one of each window.

        MAX:         top[n, c, y, x] = max of the window
        AVE:         top[n, c, y, x] = sum of the window / its size, padding counted up to one pad past the edge
        STOCHASTIC:  TRAIN: one of the window, drawn with a probability proportional to its (non-negative) value;
                     TEST: the average of the window weighted by the values, sum x² / sum x, 0 where all are 0

    bottom: N x C x H x W; for MAX and AVE more spatial axes may follow, as those of clips, N x C x L x H x W.
    top: N x C x OH x OW, in memory as the bottom. OH = (H + 2 pad - kernel) / stride + 1, rounded up
        (`round_mode: FLOOR`: down); with padding a last window that would begin beyond the image and its first pad is
        dropped.
        MAX may have a second top: the index of each maximum in its H x W image, as a float.

    The first maximum in row order gets the whole gradient. Which of equal values wins is thus as in Caffe.

    Parameters (pooling_param): pool (MAX); kernel_size, stride (1) and pad (0; less than the kernel, and 0 for
        STOCHASTIC), each for all axes, or as _h and _w, or as in forks for clips one by one, as kernel_shape,
        stride_shape and pad_shape { dim: … }; global_pooling: the kernel is the image.

    Errors: a length given twice or by halves, a kernel larger than the padded image, a pad that is not less than the
        kernel.

    Source: Caffe's PoolingLayer; Zeiler and Fergus, Stochastic Pooling (2013), which Caffe has on the GPU alone.
    """

    num_tops = (1, 2)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.pooling_param
        self.kind = param.DESCRIPTOR.enum_types_by_name["PoolMethod"].values_by_number[param.pool].name
        self._check_shape(bottom[0].shape)
        if len(top) > 1 and self.kind != "MAX":
            raise self.error(f"only MAX pooling has a second top (the indices), got {len(top)} tops for {self.kind}.")
        self.window = self._read_window(bottom[0])

    def _check_shape(self, shape: Sequence[int]) -> None:
        if len(shape) < 4 or min(shape[2:]) < 1:
            raise self.error(f"expected a bottom of 4 axes (N, C, H, W) or more with pixels, got shape {list(shape)}.")
        if len(shape) > 4 and self.kind not in VOLUME_METHODS:
            raise self.error(f"expected a bottom of 4 axes (N, C, H, W) for {self.kind}, got shape {list(shape)}.")

    def _read_window(self, bottom: Blob) -> Window:
        param = self.layer_param.pooling_param
        axes = bottom.num_axes - 2
        stride, pad = self._sides(axes, "stride", "stride", 1), self._sides(axes, "pad", "pad", 0)
        self.whole = param.global_pooling
        if self.whole:
            if any(param.HasField(field) for field in ("kernel_size", "kernel_h", "kernel_w", "kernel_shape")):
                raise self.error("expected no kernel size with global_pooling: true, the kernel is the image.")
            if any(pad) or set(stride) != {1}:
                raise self.error(
                    f"expected pad 0 and stride 1 with global_pooling: true, got {list(pad)}, {list(stride)}."
                )
        kernel = bottom.shape[2:] if self.whole else self._sides(axes, "kernel", "kernel_size")
        if min(kernel) < 1 or min(stride) < 1:
            raise self.error(
                f"expected a kernel and stride of 1 or more, got kernel {list(kernel)}, stride {list(stride)}."
            )
        if any(p >= k for p, k in zip(pad, kernel, strict=True)):
            raise self.error(f"expected a pad less than the kernel, got pad {list(pad)}, kernel {list(kernel)}.")
        if self.kind == "STOCHASTIC" and any(pad):
            raise self.error(f"expected no pad with STOCHASTIC pooling, got {list(pad)}.")
        return Window(tuple(kernel), stride, pad, (1,) * axes)

    def _sides(self, axes: int, name: str, square: str, default: int | None = None) -> tuple[int, ...]:
        """A length for each side: given once, as _h and _w, or as _shape."""
        param = self.layer_param.pooling_param
        height, width, shape = f"{name}_h", f"{name}_w", f"{name}_shape"
        given = [param.HasField(field) for field in (square, height, width, shape)]
        if sum((given[0], given[1] or given[2], given[3])) > 1:
            both = f"{height} and {width}" if given[1] or given[2] else shape
            raise self.error(f"expected {square if given[0] else shape} or {both}, got both.")
        if given[1] != given[2] or (default is None and not any(given)):
            raise self.error(f"expected {square}, or {height} and {width}.")
        if given[1] and axes != 2:
            raise self.error(f"{height} and {width} need 2 spatial axes, its bottom has {axes}; use {shape}.")
        if given[1]:
            return getattr(param, height), getattr(param, width)
        if not given[3]:
            return ((getattr(param, square) if given[0] else default) or 0,) * axes
        lengths = tuple(int(length) for length in getattr(param, shape).dim)
        if len(lengths) != axes or min(lengths) < 0:
            raise self.error(
                f"expected a {shape} with a dim of 0 or more for each of its {axes} spatial axes, got {list(lengths)}."
            )
        return lengths

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = bottom[0].shape
        self._check_shape(shape)
        if len(shape) - 2 != len(self.window.kernel):
            axes = len(self.window.kernel) + 2
            raise self.error(f"expected a bottom of {axes} axes, as when it was made, got shape {list(shape)}.")
        if self.whole:
            ones = (1,) * (len(shape) - 2)
            self.window = Window(shape[2:], ones, (0,) * len(ones), ones)
        count = [self._count(axis, size) for axis, size in enumerate(shape[2:])]
        if min(count) < 1:
            raise self.error(
                f"its kernel {list(self.window.kernel)} is larger than the padded image of shape {list(shape)}."
            )
        for blob in top:
            blob.reshape(*shape[:2], *count, order=bottom[0].order)
        self.channels_last = bottom[0].order == CHANNELS_LAST
        self.cuts = batch_slices(shape[0], prod(shape[1:]) * self.dtype.itemsize)
        methods = METHODS if len(count) == 2 else VOLUME_METHODS
        make = WeightedPooling if self.kind == "STOCHASTIC" and self.phase != TRAIN else methods[self.kind]
        # One window needs no stride, whatever the text says.
        stride = [s if n > 1 else k for s, n, k in zip(self.window.stride, count, self.window.kernel, strict=True)]
        self.method = make(replace(self.window, stride=tuple(stride)), shape[2:], count, self.dtype)

    def _count(self, axis: int, size: int) -> int:
        """The number of windows along an axis."""
        kernel, stride, pad = self.window.kernel[axis], self.window.stride[axis], self.window.pad[axis]
        room = size + 2 * pad - kernel
        floor = self.layer_param.pooling_param.round_mode == 1
        count = (room // stride if floor else -(-room // stride)) + 1
        if pad and (count - 1) * stride >= size + pad:
            count -= 1
        return count

    # -- the passes ------------------------------------------------------------------------------------------

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        image, out = self._planes(bottom[0].data), self._planes(top[0].data)
        method, cuts = self.method, self.cuts
        method.prepare(out)
        parallel_for(len(cuts), lambda i: method.forward(image[cuts[i]], out[cuts[i]], cuts[i]))
        if len(top) > 1 and isinstance(method, (MaxPooling, VolumeMaxPooling)):
            method.write_indices(image, out, self._planes(top[1].data))

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if not propagate_down[0] or not bottom[0].count:
            return
        blobs = (bottom[0].data, bottom[0].diff, top[0].data, top[0].diff)
        image, image_diff, out, diff = (self._planes(array) for array in blobs)
        method, cuts = self.method, self.cuts
        method.prepare_backward(image[cuts[-1]].shape)

        def piece(i: int) -> None:
            cut = cuts[i]
            method.backward(image[cut], image_diff[cut], out[cut], diff[cut], cut)

        parallel_for(len(cuts), piece)

    def _planes(self, array: Array) -> Array:
        """The five axes of `kernels.pooling`; volumes as they are."""
        if len(self.window.kernel) != 2:
            return array
        return array.transpose(0, 2, 3, 1)[:, None] if self.channels_last else array[..., None]
