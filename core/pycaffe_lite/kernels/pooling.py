"""Pooling of pieces of a batch: MAX, AVE and STOCHASTIC, which Caffe has on the GPU alone.

Images and their pooled maps have five axes here, N x P x H x W x Q, with the channels before the pixels (Q = 1) or
behind them (P = 1), as they lie in memory. Results are the same whatever the piece.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite import rng
from pycaffe_lite.blob import Array
from pycaffe_lite.kernels.choice import compiled
from pycaffe_lite.kernels.copying import Index, along, border, dense, dense_to_write
from pycaffe_lite.kernels.windows import Window
from pycaffe_lite.memory import BOOL, Loans, borrow, borrow_like

LEAST = np.finfo(np.float32).min
"""Caffe's maximum starts here, so a window without a pixel gives this."""

NONE = -1
"""The tap that was drawn in a window where none was."""

Indices = NDArray[np.intp]


class PoolingMethod:
    """What a window makes of its pixels.

    Args:
        window: the geometry.
        sizes: H and W of the images.
        count: H and W of the maps.
        dtype: of the values.
    """

    def __init__(self, window: Window, sizes: Sequence[int], count: Sequence[int], dtype: np.dtype) -> None:
        self.window, self.sizes, self.count, self.dtype = window, tuple(sizes), tuple(count), dtype
        self.places = [self._places(axis) for axis in range(len(self.count))]
        # Whether the first two taps along an axis are on pixels in all windows.
        self.begins = [
            len(places) > 1 and all(windows[-1] == slice(0, n) for windows, _ in places[:2])
            for places, n in zip(self.places, self.count, strict=True)
        ]
        self.taps: list[tuple[Index, Index]] = []
        # What the compiled loops take to know the windows by.
        self.geometry = *window.kernel, *window.stride, *window.pad

    def _places(self, axis: int) -> list[tuple[Index, Index]]:
        """For each tap along an axis the windows that have it on a pixel, and those pixels, as indices."""
        windows, pixels = (0, self.count[axis]), (0, self.sizes[axis])
        overlaps = [self.window.overlap(axis, tap, windows, pixels) for tap in range(self.window.kernel[axis])]
        return [(along(2 + axis, where), along(2 + axis, under)) for where, under in overlaps]

    def _each_tap(self) -> list[tuple[Index, Index]]:
        """For each tap, in row order, the windows that have it on a pixel, and those pixels, as indices."""
        if not self.taps:
            taps = self.window.taps(self.count, self.sizes)
            self.taps = [(along(2, *windows), along(2, *pixels)) for windows, pixels in taps]
        return self.taps

    def prepare(self, out: Array) -> None:
        """Called before the pieces of a forward pass, with the whole maps."""

    def forward(self, image: Array, out: Array, cut: slice) -> None:
        """Sets the maps of a piece: the images that `cut` names."""
        raise NotImplementedError

    def prepare_backward(self, shape: tuple[int, ...]) -> None:
        """Called before the pieces of a backward pass, with the shape of the images of the largest one."""

    def backward(self, image: Array, image_diff: Array, out: Array, diff: Array, cut: slice) -> None:
        """Sets the images' diff from that of the maps."""
        raise NotImplementedError

    def reduce(self, function: Callable[..., object], empty: float, image: Array, out: Array) -> None:
        """Reduces each window with a ufunc: its rows first, of whole image rows, then those along the columns."""
        batch, planes, _, width, run = image.shape
        with borrow_like(image, shape=(batch, planes, self.count[0], width, run)) as rows:
            self._reduce_axis(0, function, empty, image, rows)
            self._reduce_axis(1, function, empty, rows, out)

    def _reduce_axis(self, axis: int, function: Callable[..., object], empty: float, image: Array, out: Array) -> None:
        places = self.places[axis]
        if self.begins[axis]:
            (_, first), (_, second), *places = places
            function(image[first], image[second], out=out)
        else:
            out.fill(empty)
        for windows, pixels in places:
            place = out[windows]
            function(place, image[pixels], out=place)


def _planes(array: np.ndarray) -> np.ndarray:
    """Dense images or maps with N x P as one axis, as the compiled loops take them."""
    batch, planes, *rest = array.shape
    return array.reshape(batch * planes, *rest)


class AveragePooling(PoolingMethod):
    """The sum divided by the window's size: padding counts, up to one pad past the edge.

    A window without a pixel gives 0.
    """

    def __init__(self, window: Window, sizes: Sequence[int], count: Sequence[int], dtype: np.dtype) -> None:
        super().__init__(window, sizes, count, dtype)
        lengths = []
        for size, n, kernel, stride, pad in zip(sizes, count, window.kernel, window.stride, window.pad, strict=True):
            start = np.arange(n) * stride - pad
            lengths.append(np.maximum(np.minimum(start + kernel, size + pad) - start, 1))
        self.divisor = np.outer(*lengths).astype(dtype)[..., None]

    def forward(self, image: Array, out: Array, cut: slice) -> None:
        if loops := compiled(self.dtype):
            with Loans() as loans, dense_to_write(out) as target:
                loops.average_forward(
                    _planes(dense(image, loans)), _planes(target), self.divisor[..., 0], *self.geometry
                )
            return
        self.reduce(np.add, 0, image, out)
        np.divide(out, self.divisor, out=out)

    def backward(self, image: Array, image_diff: Array, out: Array, diff: Array, cut: slice) -> None:
        """Spreads each share along the columns first, then whole rows of them along the rows."""
        if loops := compiled(self.dtype):
            with Loans() as loans, dense_to_write(image_diff) as target:
                loops.average_backward(
                    _planes(target), _planes(dense(diff, loans)), self.divisor[..., 0], *self.geometry
                )
            return
        batch, planes, height, _, run = diff.shape
        with (
            borrow_like(diff) as share,
            borrow_like(diff, shape=(batch, planes, height, self.sizes[1], run)) as rows,
        ):
            np.divide(diff, self.divisor, out=share)
            self._spread(1, share, rows)
            self._spread(0, rows, image_diff)

    def _spread(self, axis: int, share: Array, target: Array) -> None:
        alone = self.count[axis] == 1 or self.window.stride[axis] >= self.window.kernel[axis]
        target.fill(0)
        for windows, pixels in self.places[axis]:
            place = target[pixels]
            if alone:
                np.copyto(place, share[windows])
            else:
                np.add(place, share[windows], out=place)


class MaxPooling(PoolingMethod):
    """The largest value; the first one, in row order, gets the whole gradient.

    Backward finds each window's winner again: pixels under the same tap of neighbouring windows lie a stride apart, so
    each maximum is repeated for all pixels of its stride, and whole rows are compared at once. A match counts
    `last` less the pixel's distance from the window's corner; the largest count is the first match.

    The compiled loop does the same pixel by pixel. The forward pass has none: NumPy's maximum of whole rows is faster.
    """

    def __init__(self, window: Window, sizes: Sequence[int], count: Sequence[int], dtype: np.dtype) -> None:
        super().__init__(window, sizes, count, dtype)
        stride = window.stride[1]
        self.groups = -(-window.kernel[1] // stride)
        # Rows as wide as the comparisons read, and the border they have then.
        self.width, pad = (count[1] - 1 + self.groups) * stride, window.pad[1]
        seen = max(0, min(sizes[1], self.width - pad))
        self.border = border((0, 0, 0, self.width), [(pad, self.width - pad - seen)], axis=3)
        self.last = (window.kernel[0] - 1) * sizes[1] + window.kernel[1]
        self.code_type = np.dtype(np.uint8 if self.last < 256 else np.uint16 if self.last < 65536 else np.uint32)
        self.classes: list[tuple[slice, slice, Indices]] = []

    def forward(self, image: Array, out: Array, cut: slice) -> None:
        self.reduce(np.maximum, LEAST, image, out)

    def write_indices(self, image: Array, out: Array, indices: Array) -> None:
        """Where each maximum lies in its image, counted along the rows; -1 where no pixel equals it."""
        height, width = self.sizes
        numbers = np.arange(height * width, dtype=self.dtype).reshape(height, width, 1)
        indices[...] = -1
        for windows, pixels in self._each_tap():
            place = indices[windows]
            wins = (image[pixels] == out[windows]) & (place < 0)
            np.copyto(place, numbers[pixels[2:]], where=wins)

    # -- backward --------------------------------------------------------------------------------------------

    def prepare_backward(self, shape: tuple[int, ...]) -> None:
        """Sorts the windows into classes that do not overlap, whose diffs can be written all at once."""
        if self.classes or compiled(self.dtype):
            return
        repeats = [-(-kernel // stride) for kernel, stride in zip(self.window.kernel, self.window.stride, strict=True)]
        self.classes = [
            (slice(a, None, repeats[0]), slice(b, None, repeats[1]), self._bases(shape, a, b, repeats))
            for a in range(min(repeats[0], self.count[0]))
            for b in range(min(repeats[1], self.count[1]))
        ]
        self.weights = self._weights(shape[-1])

    def _bases(self, shape: tuple[int, ...], row: int, column: int, steps: Sequence[int]) -> Indices:
        """For the windows of a class the place of pixel `last` from their corner, in the memory of the images."""
        batch, planes, height, width, run = shape
        corners = [
            np.arange(first, count, step) * stride - pad
            for first, count, step, stride, pad in zip(
                (row, column), self.count, steps, self.window.stride, self.window.pad, strict=True
            )
        ]
        pixels = corners[0][:, None] * width + corners[1] + self.last
        planes_at = np.arange(batch * planes).reshape(batch, planes, 1, 1, 1) * (height * width * run)
        return (planes_at + pixels[..., None] * run + np.arange(run)).astype(np.intp)

    def _weights(self, run: int) -> np.ndarray:
        """For each row of taps, and each group of them a stride wide, what a match counts in a row of windows."""
        (height, width), stride = self.window.kernel, self.window.stride[1]
        column = np.arange(self.groups * stride)
        counts = self.last - np.arange(height)[:, None] * self.sizes[1] - column
        counts[:, width:] = 0
        lanes = counts.astype(self.code_type).reshape(height, self.groups, 1, stride, 1)
        if stride == 1:
            return lanes.reshape(height, self.groups, 1)
        return np.broadcast_to(lanes, (height, self.groups, self.count[1], stride, run)).reshape(
            height, self.groups, -1
        )

    def backward(self, image: Array, image_diff: Array, out: Array, diff: Array, cut: slice) -> None:
        if loops := compiled(self.dtype):
            with Loans() as loans, dense_to_write(image_diff) as target:
                pixels, maxima, share = (_planes(dense(array, loans)) for array in (image, out, diff))
                loops.max_backward(pixels, _planes(target), maxima, share, *self.geometry)
            return
        with Loans() as loans, dense_to_write(image_diff) as target:
            code = self._winners(image, out, loans)
            all_won = bool(code.all())
            target.fill(0)
            flat = target.reshape(-1)
            for number, (rows, columns, bases) in enumerate(self.classes):
                won, share = code[:, :, rows, columns], diff[:, :, rows, columns]
                with borrow(share.shape, bases.dtype) as places:
                    np.multiply(won, -image.shape[-1], out=places, dtype=places.dtype)
                    np.add(places, bases[: len(image)], out=places)
                    _add_at(flat, places, share, None if all_won else won > 0, number == 0)

    def _winners(self, image: Array, out: Array, loans: Loans) -> Array:
        """For each window `last` less the distance of the winner from its corner in pixels; 0 if there is none."""
        stride, (height, width) = self.window.stride[1], self.count
        shape, run = (*image.shape[:2], height, width * stride * image.shape[-1]), stride * image.shape[-1]
        rows, maxima = self._wide_rows(image, loans), self._repeated(out, shape, loans)
        code, counts = (loans.take(shape, self.code_type) for _ in range(2))
        equal = loans.take(shape, BOOL)
        code.fill(0)
        for row, (windows, pixel_rows) in enumerate(self.places[0]):
            above, best, count, same = rows[pixel_rows], code[windows], counts[windows], equal[windows]
            for group, start in enumerate(range(0, self.groups * run, run)):
                np.equal(above[..., start : start + shape[-1]], maxima[windows], out=same)
                np.multiply(same.view(np.uint8), self.weights[row, group], out=count)
                np.maximum(best, count, out=best)
        lanes = code.reshape(*shape[:3], width, stride, -1)
        best = lanes[:, :, :, :, 0]
        for lane in range(1, stride):
            np.maximum(best, lanes[:, :, :, :, lane], out=best)
        return best

    def _repeated(self, out: Array, shape: tuple[int, ...], loans: Loans) -> Array:
        """The maxima, each as often as its stride is wide."""
        stride = self.window.stride[1]
        if stride == 1:
            return dense(out, loans).reshape(shape)
        repeated = loans.take((*out.shape[:-1], stride, out.shape[-1]), out.dtype)
        np.copyto(repeated, out[..., None, :])
        return repeated.reshape(shape)

    def _wide_rows(self, image: Array, loans: Loans) -> Array:
        """The images' rows, as wide as the comparisons read; beyond the edges stands what equals nothing."""
        *lengths, size, run = image.shape
        if not self.window.pad[1] and self.width <= size and image.flags.c_contiguous:
            return image.reshape(*lengths, size * run)
        wide = loans.take((*lengths, self.width, run), image.dtype)
        edges, inside = self.border
        for edge in edges:
            wide[edge] = np.nan
        place = wide[inside]
        np.copyto(place, image[..., : place.shape[-2], :])
        return wide.reshape(*lengths, self.width * run)


def _add_at(flat: Array, places: Indices, share: Array, keep: np.ndarray | None, first: bool) -> None:
    """flat[places] += share, where `keep` says so; flat is 0 at the first time. No place comes twice."""
    if keep is not None:
        flat[places[keep]] += share[keep]
        return
    with borrow(share.shape, share.dtype) as given:
        if first:
            np.copyto(given, share)
        else:
            np.take(flat, places, out=given, mode="clip")
            np.add(given, share, out=given)
        flat[places.reshape(-1)] = given.reshape(-1)


class StochasticPooling(PoolingMethod):
    """A pixel of the window drawn with a probability proportional to its value, which must not be negative.

        TRAIN: the first pixel, in row order, at which the sum of the pixels so far reaches u times the whole sum; u is
               uniform in [0, 1], drawn anew for each window, in logical (N, C, H, W) order. It gets the whole gradient.
        TEST:  what that gives on average: sum x² / sum x, or 0 where the sum is not above 0

    In training a window whose sums never get there (not a number, or negative) gives u times its sum, and no gradient.

    Source: Zeiler and Fergus, "Stochastic Pooling for Regularization of Deep Convolutional Neural Networks", 2013.
    """

    def __init__(self, window: Window, sizes: Sequence[int], count: Sequence[int], dtype: np.dtype) -> None:
        super().__init__(window, sizes, count, dtype)
        self.uniforms: Array = np.empty(0, np.float32)
        self.chosen = np.empty(0, np.int32)

    def prepare(self, out: Array) -> None:
        """Draws for all windows, before the threads share them."""
        batch, planes, height, width, run = out.shape
        if self.chosen.shape != out.shape:
            self.chosen = np.empty(out.shape, np.int32)
            self.drawn = np.empty((batch, planes * run, height, width), np.float32)
            logical = self.drawn.reshape(batch, planes, run, height, width)
            self.uniforms = logical.transpose(0, 1, 3, 4, 2)
        rng.uniform(out.size, out=self.drawn)

    def forward(self, image: Array, out: Array, cut: slice) -> None:
        """Sets `chosen` to the number of the tap that was drawn."""
        chosen = self.chosen[cut]
        with (
            borrow_like(out) as threshold,
            borrow_like(out) as total,
            borrow_like(out, BOOL) as free,
            borrow_like(out, BOOL) as winner,
        ):
            self._sum(image, threshold)
            np.multiply(threshold, self.uniforms[cut], out=threshold)
            total.fill(0)
            free.fill(True)
            chosen.fill(NONE)
            np.copyto(out, threshold)
            for tap, (windows, pixels) in enumerate(self._each_tap()):
                sums, left, wins = (array[windows] for array in (total, free, winner))
                np.add(sums, image[pixels], out=sums)
                np.greater_equal(sums, threshold[windows], out=wins)
                np.logical_and(wins, left, out=wins)
                np.logical_xor(wins, left, out=left)
                np.copyto(out[windows], image[pixels], where=wins)
                np.copyto(chosen[windows], tap, where=wins)

    def _sum(self, image: Array, total: Array) -> None:
        """The sums over the windows, added in the order in which `forward` adds them again."""
        total.fill(0)
        for windows, pixels in self._each_tap():
            place = total[windows]
            np.add(place, image[pixels], out=place)

    def backward(self, image: Array, image_diff: Array, out: Array, diff: Array, cut: slice) -> None:
        chosen = self.chosen[cut]
        image_diff.fill(0)
        with borrow_like(diff, BOOL) as winner, borrow_like(diff) as given:
            for tap, (windows, pixels) in enumerate(self._each_tap()):
                wins = np.equal(chosen[windows], tap, out=winner[windows])
                part = np.multiply(diff[windows], wins, out=given[windows])
                place = image_diff[pixels]
                np.add(place, part, out=place)


class WeightedPooling(PoolingMethod):
    """STOCHASTIC pooling in TEST: the average weighted by the values themselves."""

    def forward(self, image: Array, out: Array, cut: slice) -> None:
        with borrow_like(out) as total, borrow_like(out) as square:
            self._sum(image, total)
            out.fill(0)
            for windows, pixels in self._each_tap():
                x, place = image[pixels], out[windows]
                np.add(place, np.multiply(x, x, out=square[windows]), out=place)
            np.divide(out, total, out=out)

    def _sum(self, image: Array, total: Array) -> None:
        """The sum of each window; infinity where it is not above 0, so that a quotient is 0 there."""
        self.reduce(np.add, 0, image, total)
        with borrow_like(total, BOOL) as empty:
            np.greater(total, 0, out=empty)
            np.copyto(total, np.inf, where=np.logical_not(empty, out=empty))

    def backward(self, image: Array, image_diff: Array, out: Array, diff: Array, cut: slice) -> None:
        """dx = dy (2 x - y) / sum"""
        image_diff.fill(0)
        with borrow_like(out) as total, borrow_like(diff) as share, borrow_like(diff) as part:
            self._sum(image, total)
            np.divide(diff, total, out=share)
            for windows, pixels in self._each_tap():
                place, given = image_diff[pixels], part[windows]
                np.multiply(image[pixels], 2, out=given)
                np.subtract(given, out[windows], out=given)
                np.add(place, np.multiply(given, share[windows], out=given), out=place)
