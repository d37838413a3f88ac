"""Pooling: one value for each window of each channel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.base import Layer, register_layer
from pycaffe_lite.layers.window import Window
from pycaffe_lite.parallel import batch_slices, parallel_for, scratch

LEAST = np.finfo(np.float32).min
"""Caffe's maximum starts here, so a window of -inf gives this."""


@register_layer("Pooling")
class Pooling(Layer):
    """Takes the maximum, the average or a random one of each window.

        MAX:         top[n, c, y, x] = max of the window
        AVE:         top[n, c, y, x] = sum of the window / its size, padding counted up to one pad past the edge
        STOCHASTIC:  TRAIN: one of the window, drawn with a probability proportional to its (non-negative) value;
                     TEST: the average of the window weighted by the values, sum x² / sum x, 0 where all are 0

    bottom: N x C x H x W.
    top: N x C x OH x OW. OH = (H + 2 pad - kernel) / stride + 1, rounded up (`round_mode: FLOOR`: down); with padding a
        last window that would begin beyond the image and its first pad is dropped.
        MAX may have a second top: the index of each maximum in its H x W image, as a float.

    The first maximum in row order gets the whole gradient. Which of equal values wins is thus as in Caffe.

    Parameters (pooling_param): pool (MAX); kernel_size or kernel_h and kernel_w; stride (1); pad (0), less than the
        kernel; global_pooling: the kernel is the image.

    Source: Caffe's PoolingLayer; Zeiler and Fergus, Stochastic Pooling (2013), which Caffe has on the GPU alone.
    """

    num_tops = (1, 2)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.pooling_param
        self.method = param.DESCRIPTOR.enum_types_by_name["PoolMethod"].values_by_number[param.pool].name
        if bottom[0].num_axes != 4:
            raise self.error(f"expected a bottom of 4 axes (N, C, H, W), got shape {list(bottom[0].shape)}.")
        if len(top) > 1 and self.method != "MAX":
            raise self.error(f"only MAX pooling has a second top (the indices), got {len(top)} tops for {self.method}.")
        self._read_window(param, bottom[0])

    def _read_window(self, param: Any, bottom: Blob) -> None:
        def sides(name: str, square: str, default: int | None = None) -> tuple[int, int]:
            height, width = f"{name}_h", f"{name}_w"
            given = [param.HasField(field) for field in (square, height, width)]
            if given[0] and (given[1] or given[2]):
                raise self.error(f"expected {square} or {height} and {width}, got both.")
            if given[1] != given[2] or (default is None and not any(given)):
                raise self.error(f"expected {square}, or {height} and {width}.")
            length = getattr(param, square) if given[0] else default
            return (getattr(param, height), getattr(param, width)) if given[1] else (length or 0,) * 2

        stride, pad = sides("stride", "stride", 1), sides("pad", "pad", 0)
        self.whole = param.global_pooling
        if self.whole:
            if any(param.HasField(field) for field in ("kernel_size", "kernel_h", "kernel_w")):
                raise self.error("expected no kernel size with global_pooling: true, the kernel is the image.")
            if pad != (0, 0) or stride != (1, 1):
                raise self.error(f"expected pad 0 and stride 1 with global_pooling: true, got {list(pad)}, {list(stride)}.")
            kernel = bottom.shape[2:]
        else:
            kernel = sides("kernel", "kernel_size")
        if min(kernel) < 1 or min(stride) < 1:
            raise self.error(f"expected a kernel and stride of 1 or more, got kernel {list(kernel)}, stride {list(stride)}.")
        if any(p >= k for p, k in zip(pad, kernel, strict=True)):
            raise self.error(f"expected a pad less than the kernel, got pad {list(pad)}, kernel {list(kernel)}.")
        self.window = Window(tuple(kernel), stride, pad, (1, 1))

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = bottom[0].shape
        if len(shape) != 4:
            raise self.error(f"expected a bottom of 4 axes (N, C, H, W), got shape {list(shape)}.")
        if self.whole:
            self.window = Window(shape[2:], (1, 1), (0, 0), (1, 1))
        count = [self._count(axis, size) for axis, size in enumerate(shape[2:])]
        if min(count) < 1:
            raise self.error(f"its kernel {list(self.window.kernel)} is larger than the padded image of shape {list(shape)}.")
        for blob in top:
            blob.reshape(*shape[:2], *count, order=bottom[0].order)
        self.cuts = batch_slices(shape[0], bottom[0].count // max(1, shape[0]) * self.dtype.itemsize)
        self.divisor = self._divisor(shape[2:], count)

    def _count(self, axis: int, size: int) -> int:
        """The number of windows along an axis."""
        kernel, stride, pad = self.window.kernel[axis], self.window.stride[axis], self.window.pad[axis]
        room = size + 2 * pad - kernel
        floor = self.layer_param.pooling_param.round_mode == 1
        count = (room // stride if floor else -(-room // stride)) + 1
        if pad and (count - 1) * stride >= size + pad:
            count -= 1
        return count

    def _divisor(self, sizes: Sequence[int], count: Sequence[int]) -> np.ndarray:
        """The size of each window, OH x OW: it counts padding, but ends one pad past the edge."""
        lengths = []
        for axis, size in enumerate(sizes):
            kernel, stride, pad = self.window.kernel[axis], self.window.stride[axis], self.window.pad[axis]
            start = np.arange(count[axis]) * stride - pad
            lengths.append(np.minimum(start + kernel, size + pad) - start)
        return np.outer(*lengths).astype(self.dtype)

    def _taps(self, image: np.ndarray, count: Sequence[int]) -> Iterator[tuple[int, np.ndarray, tuple[slice, slice]]]:
        """For each tap of the kernel, in row order: its number, the pixels under it, and their windows."""
        for i in range(self.window.kernel[0]):
            rows, y = self.window.overlap(0, i, count[0], image.shape[2])
            for j in range(self.window.kernel[1]):
                columns, x = self.window.overlap(1, j, count[1], image.shape[3])
                yield i * self.window.kernel[1] + j, image[:, :, y, x], (rows, columns)

    # -- forward -------------------------------------------------------------------------------------------

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self.method == "STOCHASTIC":
            from pycaffe_lite.layers import stochastic_pooling

            stochastic_pooling.forward(self, bottom[0], top[0])
            return
        image, out = bottom[0].data, top[0].data
        reduce = self._maximum if self.method == "MAX" else self._average
        parallel_for(len(self.cuts), lambda i: reduce(image[self.cuts[i]], out[self.cuts[i]]))
        if len(top) > 1:
            self._write_indices(image, out, top[1].data)

    def _maximum(self, image: np.ndarray, out: np.ndarray) -> None:
        """Rows first, then columns: the maximum of a window is that of its rows' maxima."""
        rows = self._reduce_axis(np.maximum, 2, image, None)
        self._reduce_axis(np.maximum, 3, rows, out)

    def _average(self, image: np.ndarray, out: np.ndarray) -> None:
        rows = self._reduce_axis(np.add, 2, image, None)
        self._reduce_axis(np.add, 3, rows, out)
        np.divide(out, self.divisor, out=out)

    def _reduce_axis(self, function: np.ufunc, axis: int, image: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        """Reduces the windows along one axis of the image; the other axis stays as it is."""
        size = image.shape[axis]
        count = self._count(axis - 2, size)
        if out is None:
            shape = [*image.shape[:axis], count, *image.shape[axis + 1 :]]
            out = _scratch_like("rows", image, shape)
        before = (slice(None),) * axis
        taps = [self.window.overlap(axis - 2, tap, count, size) for tap in range(self.window.kernel[axis - 2])]
        parts = [(out[(*before, windows)], image[(*before, pixels)]) for windows, pixels in taps]
        if len(parts) > 1 and all(place.shape == out.shape for place, _ in parts[:2]):
            function(parts[0][1], parts[1][1], out=out)
            parts = parts[2:]
        else:
            out[...] = LEAST if function is np.maximum else 0
        for place, pixels in parts:
            function(place, pixels, out=place)
        return out

    def _write_indices(self, image: np.ndarray, out: np.ndarray, indices: np.ndarray) -> None:
        """Where each maximum lies in its image, counted along the rows; -1 where nothing was above LEAST."""
        numbers = np.arange(image.shape[2] * image.shape[3], dtype=self.dtype).reshape(1, 1, *image.shape[2:])
        indices[...] = -1
        for (_, pixels, (y, x)), (_, number, _) in zip(
            self._taps(image, out.shape[2:]), self._taps(numbers, out.shape[2:]), strict=True
        ):
            place = indices[:, :, y, x]
            np.copyto(place, number, where=(pixels == out[:, :, y, x]) & (place < 0))

    # -- backward ------------------------------------------------------------------------------------------

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if not propagate_down[0]:
            return
        if self.method == "STOCHASTIC":
            from pycaffe_lite.layers import stochastic_pooling

            stochastic_pooling.backward(self, top[0], bottom[0])
            return
        image, image_diff, out, diff = bottom[0].data, bottom[0].diff, top[0].data, top[0].diff

        def piece(i: int) -> None:
            cut = self.cuts[i]
            if self.method == "MAX":
                self._maximum_backward(image[cut], image_diff[cut], out[cut], diff[cut])
            else:
                self._average_backward(image_diff[cut], diff[cut])

        parallel_for(len(self.cuts), piece)

    def _maximum_backward(self, image: np.ndarray, image_diff: np.ndarray, out: np.ndarray, diff: np.ndarray) -> None:
        """Gives each window's diff to the first pixel that equals its maximum; `free` are the windows not yet served."""
        disjoint = all(s >= k for s, k in zip(self.window.stride, self.window.kernel, strict=True))
        if not disjoint or not self._covers(image.shape[2:], out.shape[2:]):
            image_diff[...] = 0
        free = _scratch_like("free", diff, diff.shape, np.dtype(bool))
        winner = _scratch_like("winner", diff, diff.shape, np.dtype(bool))
        given = _scratch_like("given", diff, diff.shape)
        free[...] = True
        for (_, pixels, (y, x)), (_, place, _) in zip(
            self._taps(image, out.shape[2:]), self._taps(image_diff, out.shape[2:]), strict=True
        ):
            left, wins, share = free[:, :, y, x], winner[:, :, y, x], diff[:, :, y, x]
            np.equal(pixels, out[:, :, y, x], out=wins)
            np.logical_and(wins, left, out=wins)
            np.logical_xor(wins, left, out=left)
            if disjoint:
                np.multiply(share, wins, out=place)
            else:
                part = np.multiply(share, wins, out=given[:, :, y, x])
                np.add(place, part, out=place)

    def _covers(self, sizes: Sequence[int], count: Sequence[int]) -> bool:
        """Whether disjoint windows reach every pixel."""
        window = self.window
        return window.stride == window.kernel and all(
            n * k >= size + p for n, k, size, p in zip(count, window.kernel, sizes, window.pad, strict=True)
        )

    def _average_backward(self, image_diff: np.ndarray, diff: np.ndarray) -> None:
        share = _scratch_like("rest", diff, diff.shape)
        np.divide(diff, self.divisor, out=share)
        image_diff[...] = 0
        for _, place, (y, x) in self._taps(image_diff, diff.shape[2:]):
            np.add(place, share[:, :, y, x], out=place)


def _scratch_like(name: str, array: np.ndarray, shape: Sequence[int], dtype: np.dtype | None = None) -> np.ndarray:
    """Scratch memory of a logical shape whose axes lie in memory in the order of another array's."""
    order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    memory = scratch(name, [shape[axis] for axis in order], dtype or array.dtype)
    return memory.transpose(np.argsort(order))
