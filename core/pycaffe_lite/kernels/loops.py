"""The work on memory as plain loops, each once over the data: what `choice` compiles where numba is installed.

Written to be compiled, and to be read: as plain Python they give the same values, slowly. Arrays are C-contiguous, of
the types that are declared (T: the values'), images and maps N x H x W x C. Each loop takes the row that its innermost
loop walks along before that one begins, counts the taps on the image before it walks them (a test inside made
one of them five times slower), and has no negative index: so they become vector instructions. None adds up
along the row it walks, so no sum depends on the width of those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

TOGETHER = 64
"""Rows that are summed on their own: a long sum, one by one, would lose digits."""

Array = Any


class Loop(NamedTuple):
    """A function and the types of its arguments, as numba writes them, with T for the values' type."""

    name: str
    function: Callable[..., None]
    types: str

    def signature(self, dtype: np.dtype) -> str:
        """The types for values of one type."""
        return f"void({self.types.replace('T', dtype.name)})"


LOOPS: list[Loop] = []

IMAGES, MATRIX, VECTOR = "T[:,:,:,::1]", "T[:,::1]", "T[::1]"
FOUR_NUMBERS = ", ".join(["float64"] * 4)
SIX, FOUR = (", ".join(["int64"] * n) for n in (6, 4))


def declared(*types: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Adds a function to the loops."""

    def add(function: Callable[..., None]) -> Callable[..., None]:
        LOOPS.append(Loop(function.__name__, function, ", ".join(types)))
        return function

    return add


# -- pooling: windows of KH x KW pixels, SH and SW apart, the first one PH and PW before the image ---------------------


@declared(IMAGES, IMAGES, IMAGES, IMAGES, SIX)
def max_backward(
    image: Array, image_diff: Array, out: Array, diff: Array, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int
) -> None:
    """image_diff = what the windows give a pixel that is the first of theirs to equal the maximum."""
    height, width, channels = image.shape[1:]
    zero = diff.dtype.type(0)
    image_diff[:] = zero
    left_over = np.empty(channels, diff.dtype)
    for n in range(out.shape[0]):
        for y in range(out.shape[1]):
            top = y * sh - ph
            for x in range(out.shape[2]):
                left = x * sw - pw
                best = out[n, y, x]
                left_over[:] = diff[n, y, x]
                for i in range(max(top, 0), min(top + kh, height)):
                    for j in range(max(left, 0), min(left + kw, width)):
                        value, pixel = image[n, i, j], image_diff[n, i, j]
                        for c in range(channels):
                            wins, share = value[c] == best[c], left_over[c]
                            pixel[c] += share if wins else zero
                            left_over[c] = zero if wins else share


@declared(IMAGES, IMAGES, MATRIX, SIX)
def average_forward(
    image: Array, out: Array, divisor: Array, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int
) -> None:
    """out = sum of the window / divisor"""
    height, width, channels = image.shape[1:]
    for n in range(out.shape[0]):
        for y in range(out.shape[1]):
            top = y * sh - ph
            for x in range(out.shape[2]):
                left = x * sw - pw
                total = out[n, y, x]
                total[:] = 0
                for i in range(max(top, 0), min(top + kh, height)):
                    for j in range(max(left, 0), min(left + kw, width)):
                        pixel = image[n, i, j]
                        for c in range(channels):
                            total[c] += pixel[c]
                size = divisor[y, x]
                for c in range(channels):
                    total[c] /= size


@declared(IMAGES, IMAGES, MATRIX, SIX)
def average_backward(
    image_diff: Array, diff: Array, divisor: Array, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int
) -> None:
    """image_diff = the sum of diff / divisor over the windows that see a pixel."""
    height, width, channels = image_diff.shape[1:]
    image_diff[:] = 0
    share = np.empty(channels, diff.dtype)
    for n in range(diff.shape[0]):
        for y in range(diff.shape[1]):
            top = y * sh - ph
            for x in range(diff.shape[2]):
                left = x * sw - pw
                given, size = diff[n, y, x], divisor[y, x]
                for c in range(channels):
                    share[c] = given[c] / size
                for i in range(max(top, 0), min(top + kh, height)):
                    for j in range(max(left, 0), min(left + kw, width)):
                        pixel = image_diff[n, i, j]
                        for c in range(channels):
                            pixel[c] += share[c]


# -- windows: the first begins at top, left ---------------------------------------------------------------------------


@declared("T[:,:,:,:,:,::1]", VECTOR, FOUR, "int64", SIX)
def col2im(
    matrix: Array, images: Array, height: int, width: int, per_image: int, per_row: int,
    per_pixel: int, top: int, left: int, sh: int, sw: int, dh: int, dw: int,
) -> None:  # fmt: skip
    """images += each window's taps, where they lie; what is outside of them is left out.

    Args:
        matrix: N x OH x OW x KH x KW x C.
        images: their memory, in which images, rows and pixels are so many elements apart.
        height, width: of the images.
    """
    batch, windows_y, windows_x, kh, kw, channels = matrix.shape
    joined = dw == 1 and per_pixel == channels  # the taps of a row lie together, in the matrix and in the images
    for n in range(batch):
        for y in range(windows_y):
            row = top + y * sh
            first, last = max(0, -(row // dh)), min(kh, (height - 1 - row) // dh + 1)
            for x in range(windows_x):
                column = left + x * sw
                a, b = max(0, -(column // dw)), min(kw, (width - 1 - column) // dw + 1)
                length, steps = (max(b - a, 0) * channels, min(b, a + 1)) if joined else (channels, b)
                for i in range(first, last):
                    at = n * per_image + (row + i * dh) * per_row
                    for j in range(a, steps):
                        tap, place = j * channels, at + (column + j * dw) * per_pixel
                        taps, pixels = (
                            matrix[n, y, x, i].reshape(-1)[tap : tap + length],
                            images[place : place + length],
                        )
                        for c in range(length):
                            pixels[c] += taps[c]


# -- channels: matrices whose rows meet vectors that have one value for each channel -----------------------------------


@declared(MATRIX, VECTOR, VECTOR, VECTOR)
def moments(x: Array, shift: Array, total: Array, squares: Array) -> None:
    """total = sum of x - shift, squares = sum of its squares, over the rows, some rows at a time."""
    rows, channels = x.shape
    total[:] = 0
    squares[:] = 0
    first, second = np.empty_like(total), np.empty_like(total)
    for start in range(0, rows, TOGETHER):
        first[:] = 0
        second[:] = 0
        for r in range(start, min(start + TOGETHER, rows)):
            row = x[r]
            for c in range(channels):
                difference = row[c] - shift[c]
                first[c] += difference
                second[c] += difference * difference
        total += first
        squares += second


@declared(MATRIX, MATRIX, VECTOR, VECTOR)
def sum_products(diff: Array, y: Array, total: Array, products: Array) -> None:
    """total = sum of diff, products = sum of diff y, over the rows, some rows at a time."""
    rows, channels = y.shape
    total[:] = 0
    products[:] = 0
    first, second = np.empty_like(total), np.empty_like(total)
    for start in range(0, rows, TOGETHER):
        first[:] = 0
        second[:] = 0
        for r in range(start, min(start + TOGETHER, rows)):
            row, normal = diff[r], y[r]
            for c in range(channels):
                first[c] += row[c]
                second[c] += row[c] * normal[c]
        total += first
        products += second


@declared(MATRIX, MATRIX, MATRIX, VECTOR, VECTOR)
def rectify_and_sum(y: Array, normal: Array, diff: Array, total: Array, products: Array) -> None:
    """diff = diff where y > 0, else 0; total = sum of diff, products = sum of diff normal, some rows at a time."""
    rows, channels = y.shape
    total[:] = 0
    products[:] = 0
    first, second = np.empty_like(total), np.empty_like(total)
    for start in range(0, rows, TOGETHER):
        first[:] = 0
        second[:] = 0
        for r in range(start, min(start + TOGETHER, rows)):
            above, row, given = y[r], normal[r], diff[r]
            for c in range(channels):
                value = given[c] * (above[c] > 0)
                given[c] = value
                first[c] += value
                second[c] += value * row[c]
        total += first
        products += second


@declared(MATRIX, MATRIX, MATRIX, VECTOR, VECTOR, VECTOR, VECTOR, "float64")
def normalize_and_scale(
    x: Array, normal: Array, y: Array, mean: Array, inverse_std: Array, scale: Array, bias: Array, least: float
) -> None:
    """normal = (x - mean) / std; y = scale normal + bias, or `least` where that is less."""
    lowest = x.dtype.type(least)
    for r in range(x.shape[0]):
        row, kept, out = x[r], normal[r], y[r]
        for c in range(x.shape[1]):
            value = (row[c] - mean[c]) * inverse_std[c]
            kept[c] = value
            result = value * scale[c] + bias[c]
            out[c] = lowest if result < lowest else result


@declared(MATRIX, MATRIX, MATRIX, VECTOR, VECTOR, VECTOR)
def derive(dy: Array, y: Array, dx: Array, mean: Array, mean_product: Array, inverse_std: Array) -> None:
    """dx = (dy - mean - y mean_product) / std"""
    for r in range(y.shape[0]):
        given, row, out = dy[r], y[r], dx[r]
        for c in range(y.shape[1]):
            out[c] = (given[c] - (row[c] * mean_product[c] + mean[c])) * inverse_std[c]


# -- LRN over 2 half + 1 channels, with beta 0.75: base = scale ^ -0.25 ------------------------------------------------


@declared(MATRIX, MATRIX, MATRIX, "int64", "float64", "float64")
def lrn_forward(x: Array, base: Array, y: Array, half: int, share: float, k: float) -> None:
    """base = (k + share * sum of x² over the neighbours) ^ -0.25; y = x base³"""
    channels, one = x.shape[1], x.dtype.type(1)
    factor, constant = x.dtype.type(share), x.dtype.type(k)
    squares = np.zeros(channels + 2 * half, x.dtype)
    inside = squares[half : half + channels]
    for r in range(x.shape[0]):
        row, kept, out = x[r], base[r], y[r]
        for c in range(channels):
            inside[c] = row[c] * row[c]
        kept[:] = 0
        for d in range(2 * half + 1):
            shifted = squares[d : d + channels]
            for c in range(channels):
                kept[c] += shifted[c]
        for c in range(channels):
            root = one / np.sqrt(np.sqrt(kept[c] * factor + constant))
            kept[c] = root
            out[c] = row[c] * root * root * root


@declared(MATRIX, MATRIX, MATRIX, MATRIX, "int64", "float64")
def lrn_backward(x: Array, base: Array, dy: Array, dx: Array, half: int, share: float) -> None:
    """dx = dy base³ + share x * sum of dy x base⁷ over the neighbours."""
    channels, factor = x.shape[1], x.dtype.type(share)
    terms, total = np.zeros(channels + 2 * half, x.dtype), np.empty(channels, x.dtype)
    inside = terms[half : half + channels]
    for r in range(x.shape[0]):
        row, kept, given, out = x[r], base[r], dy[r], dx[r]
        for c in range(channels):
            square = kept[c] * kept[c]
            inside[c] = square * square * (square * kept[c]) * row[c] * given[c]
        total[:] = 0
        for d in range(2 * half + 1):
            shifted = terms[d : d + channels]
            for c in range(channels):
                total[c] += shifted[c]
        for c in range(channels):
            out[c] = given[c] * (kept[c] * kept[c] * kept[c]) + total[c] * factor * row[c]


# -- element by element ------------------------------------------------------------------------------------------------


@declared(VECTOR, VECTOR, VECTOR)
def relu_backward(x: Array, dy: Array, dx: Array) -> None:
    """dx = dy where x > 0, else 0"""
    for i in range(x.size):
        dx[i] = dy[i] * (x[i] > 0)


@declared(VECTOR, VECTOR, VECTOR, FOUR_NUMBERS)
def sgd(data: Array, diff: Array, history: Array, share: float, decay: float, momentum: float, rate: float) -> None:
    """V = momentum V + rate (share diff + decay W); W = W - V; diff = V"""
    kind = data.dtype.type
    times, shrink, mu, alpha = kind(share), kind(decay), kind(momentum), kind(rate)
    for i in range(data.size):
        gradient = diff[i] * times + data[i] * shrink
        value = history[i] * mu + gradient * alpha
        history[i] = value
        diff[i] = value
        data[i] -= value


@declared(VECTOR, VECTOR, VECTOR, FOUR_NUMBERS)
def nesterov(
    data: Array, diff: Array, history: Array, share: float, decay: float, momentum: float, rate: float
) -> None:
    """V' = momentum V + rate (share diff + decay W); W = W - diff, diff = (1 + momentum) V' - momentum V"""
    kind = data.dtype.type
    times, shrink, mu, alpha, more = kind(share), kind(decay), kind(momentum), kind(rate), kind(1 + momentum)
    for i in range(data.size):
        gradient = diff[i] * times + data[i] * shrink
        before = history[i] * mu
        value = before + gradient * alpha
        history[i] = value
        step = value * more - before
        diff[i] = step
        data[i] -= step


@declared(VECTOR, VECTOR, VECTOR, FOUR_NUMBERS)
def adagrad(data: Array, diff: Array, history: Array, share: float, decay: float, delta: float, rate: float) -> None:
    """G = share diff + decay W; H = H + G²; diff = rate G / (√H + delta); W = W - diff"""
    kind = data.dtype.type
    times, shrink, least, alpha = kind(share), kind(decay), kind(delta), kind(rate)
    for i in range(data.size):
        gradient = diff[i] * times + data[i] * shrink
        squares = history[i] + gradient * gradient
        history[i] = squares
        step = gradient / (np.sqrt(squares) + least) * alpha
        diff[i] = step
        data[i] -= step


@declared(VECTOR, VECTOR, VECTOR, FOUR_NUMBERS, "float64, float64")
def rmsprop(
    data: Array, diff: Array, history: Array,
    share: float, decay: float, keep: float, rest: float, delta: float, rate: float,
) -> None:  # fmt: skip
    """G = share diff + decay W; H = keep H + rest G²; diff = rate G / (√H + delta); W = W - diff"""
    kind = data.dtype.type
    times, shrink, rho, new, least, alpha = kind(share), kind(decay), kind(keep), kind(rest), kind(delta), kind(rate)
    for i in range(data.size):
        gradient = diff[i] * times + data[i] * shrink
        squares = history[i] * rho + gradient * gradient * new
        history[i] = squares
        step = gradient / (np.sqrt(squares) + least) * alpha
        diff[i] = step
        data[i] -= step


@declared(VECTOR, VECTOR, VECTOR, VECTOR, FOUR_NUMBERS, "float64, float64")
def adadelta(
    data: Array, diff: Array, gradients: Array, updates: Array,
    share: float, decay: float, keep: float, rest: float, delta: float, rate: float,
) -> None:  # fmt: skip
    """G = share diff + decay W; S = keep S + rest G²; R = G √((U + delta) / (S + delta)); U = keep U + rest R²;
    diff = rate R; W = W - diff"""
    kind = data.dtype.type
    times, shrink, mu, new, least, alpha = kind(share), kind(decay), kind(keep), kind(rest), kind(delta), kind(rate)
    for i in range(data.size):
        gradient = diff[i] * times + data[i] * shrink
        squares = gradients[i] * mu + gradient * gradient * new
        gradients[i] = squares
        ratio = gradient * np.sqrt((updates[i] + least) / (squares + least))
        updates[i] = updates[i] * mu + ratio * ratio * new
        step = ratio * alpha
        diff[i] = step
        data[i] -= step


@declared(VECTOR, VECTOR, VECTOR, VECTOR, FOUR_NUMBERS, FOUR_NUMBERS)
def adam(
    data: Array, diff: Array, mean: Array, square: Array,
    share: float, decay: float, keep: float, rest: float, keep2: float, rest2: float, delta: float, rate: float,
) -> None:  # fmt: skip
    """G = share diff + decay W; M = keep M + rest G; V = keep2 V + rest2 G²; diff = rate M / (√V + delta);
    W = W - diff"""
    kind = data.dtype.type
    times, shrink, least, alpha = kind(share), kind(decay), kind(delta), kind(rate)
    beta1, new1, beta2, new2 = kind(keep), kind(rest), kind(keep2), kind(rest2)
    for i in range(data.size):
        gradient = diff[i] * times + data[i] * shrink
        squares = square[i] * beta2 + gradient * gradient * new2
        average = mean[i] * beta1 + gradient * new1
        square[i], mean[i] = squares, average
        step = average / (np.sqrt(squares) + least) * alpha
        diff[i] = step
        data[i] -= step


# -- boxes: xmin, ymin, xmax, ymax, the best first ---------------------------------------------------------------------


@declared(MATRIX, VECTOR, VECTOR, "int64[::1], int64[::1], int64, float64, float64")
def suppress(
    boxes: Array, areas: Array, limit: Array, kept: Array, counts: Array, until: int, eta: float, ends: float
) -> None:
    """Each box goes that shares more than the limit of its union with one in `kept`; the others are added to it.

    Args:
        limit: one number, which each box that stays multiplies by `eta` while it is above 0.5.
        counts: how many are in `kept`, and the box to begin with; both are moved on.
        until: the box to end before.
        ends: added to the sides of what two boxes share.
    """
    zero, more, shrink = boxes.dtype.type(0), boxes.dtype.type(ends), boxes.dtype.type(eta)
    count, most = counts[0], limit[0]
    for i in range(counts[1], until):
        box, area = boxes[i], areas[i]
        stays = True
        for k in range(count):
            other = boxes[kept[k]]
            # What is not a number makes no comparison true, as in NumPy's kernel.
            width = np.minimum(box[2], other[2]) - np.maximum(box[0], other[0]) + more
            height = np.minimum(box[3], other[3]) - np.maximum(box[1], other[1]) + more
            shared = np.maximum(width, zero) * np.maximum(height, zero)
            if shared / (areas[kept[k]] + area - shared) > most:
                stays = False
                break
        if stays:
            kept[count] = i
            count += 1
            if most > 0.5:
                most *= shrink
    counts[0], counts[1], limit[0] = count, until, most
