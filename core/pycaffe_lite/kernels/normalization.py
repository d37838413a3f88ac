"""Giving channels mean 0 and variance 1: what BatchNorm and MVN have in common."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array
from pycaffe_lite.kernels.channels import Add, Channels
from pycaffe_lite.memory import BOOL, borrow


def mean_and_variance(channels: Channels, x: Array) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the variance (over the count) of each channel, in double precision, in one walk through x."""
    shift = channels.sample(x)
    if loops := channels.loops():
        sums = channels.walk(loops.moments, x, vectors=[shift], sums=2, written=0)
    else:
        sums = channels.sums(2, _add_moments, x, vectors=[shift])
    total, squares = sums / max(1, channels.size)
    return shift + total, np.maximum(squares - total * total, 0)


def _add_moments(add: Add, x: Array, shift: Array) -> None:
    with borrow(x.shape, x.dtype) as difference:
        np.subtract(x, shift, out=difference)
        add(0, difference)
        add(1, np.square(difference, out=difference))


def normalize(x: Array, y: Array, mean: Array, inverse_std: Array) -> None:
    """y = (x - mean) / std, for `Channels.map`; y may be x."""
    np.subtract(x, mean, out=y)
    np.multiply(y, inverse_std, out=y)


def normalization_backward(channels: Channels, dy: Array, y: Array, dx: Array, inverse_std: np.ndarray) -> None:
    """dx = (dy - mean of dy - y mean of dy y) / std, the derivative of normalizing to mean 0 and variance 1."""
    means = sum_products(channels, dy, y) / max(1, channels.size)
    derive(channels, dy, y, dx, [*means, inverse_std])


def normalize_and_scale(
    channels: Channels, x: Array, normal: Array, y: Array, vectors: Sequence[np.ndarray], rectify: bool
) -> None:
    """normal = (x - mean) / std, y = scale normal + bias, or 0 where that is less, if `rectify`; y may be x.

    Args:
        vectors: mean, 1 / std, scale, and perhaps the bias.
    """
    if loops := channels.loops():
        bias = [] if len(vectors) > 3 else [np.full(channels.count, -0.0)]
        least = 0 if rectify else -np.inf
        loop = loops.normalize_and_scale
        channels.walk(loop, x, normal, y, vectors=[*vectors, *bias], written=2, numbers=[least])
        return
    body = _scale_and_rectify if rectify else _scale
    channels.map(body, x, normal, y, vectors=vectors, written=2)


def _scale(
    x: Array, normal: Array, y: Array, mean: Array, inverse_std: Array, scale: Array, bias: Array | None = None
) -> None:
    normalize(x, normal, mean, inverse_std)
    np.multiply(normal, scale, out=y)
    if bias is not None:
        np.add(y, bias, out=y)


def _scale_and_rectify(x: Array, normal: Array, y: Array, *vectors: Array) -> None:
    _scale(x, normal, y, *vectors)
    np.maximum(y, 0, out=y)


def sum_products(channels: Channels, dy: Array, y: Array) -> np.ndarray:
    """The sums of dy, and of dy y, of each channel."""
    if loops := channels.loops():
        return channels.walk(loops.sum_products, dy, y, sums=2, written=0)
    return channels.sums(2, _add_products, dy, y)


def rectify_and_sum(channels: Channels, y: Array, normal: Array, diff: Array) -> np.ndarray:
    """Makes diff 0 where y is not above 0; the sums of diff, and of diff normal, of each channel."""
    if loops := channels.loops():
        return channels.walk(loops.rectify_and_sum, y, normal, diff, sums=2)
    return channels.sums(2, _rectify_and_sum, y, normal, diff, written=1)


def _rectify_and_sum(add: Add, y: Array, normal: Array, diff: Array) -> None:
    with borrow(y.shape, BOOL) as positive:
        np.greater(y, 0, out=positive)
        np.multiply(diff, positive, out=diff)
    _add_products(add, diff, normal)


def derive(channels: Channels, dy: Array, y: Array, dx: Array, vectors: Sequence[np.ndarray]) -> None:
    """dx = (dy - mean - y mean_product) / std; dx may be dy.

    Args:
        vectors: mean, mean_product, 1 / std.
    """
    if loops := channels.loops():
        channels.walk(loops.derive, dy, y, dx, vectors=vectors)
        return
    channels.map(_derive, dy, y, dx, vectors=vectors)


def _add_products(add: Add, dy: Array, y: Array) -> None:
    add(0, dy)
    with borrow(dy.shape, dy.dtype) as product:
        add(1, np.multiply(dy, y, out=product))


def _derive(dy: Array, y: Array, dx: Array, mean: Array, mean_product: Array, inverse_std: Array) -> None:
    with borrow(dy.shape, dy.dtype) as shared:
        np.multiply(y, mean_product, out=shared)
        np.add(shared, mean, out=shared)
        np.subtract(dy, shared, out=shared)
        np.multiply(shared, inverse_std, out=dx)
