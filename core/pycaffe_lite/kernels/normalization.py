"""Giving channels mean 0 and variance 1: what BatchNorm and MVN have in common."""

from __future__ import annotations

import numpy as np

from pycaffe_lite.blob import Array
from pycaffe_lite.kernels.channels import Add, Channels
from pycaffe_lite.memory import borrow


def mean_and_variance(channels: Channels, x: Array) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the variance (over the count) of each channel, in double precision, in one walk through x."""
    shift = channels.sample(x)
    total, squares = channels.sums(2, _add_moments, x, vectors=[shift]) / max(1, channels.size)
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
    means = channels.sums(2, add_products, dy, y) / max(1, channels.size)
    channels.map(derive, dy, y, dx, vectors=[*means, inverse_std])


def add_products(add: Add, dy: Array, y: Array) -> None:
    """For `Channels.sums`: the sums of dy, and of dy y."""
    add(0, dy)
    with borrow(dy.shape, dy.dtype) as product:
        add(1, np.multiply(dy, y, out=product))


def derive(dy: Array, y: Array, dx: Array, mean: Array, mean_product: Array, inverse_std: Array) -> None:
    """For `Channels.map`: dx = (dy - mean - y mean_product) / std; dx may be dy."""
    with borrow(dy.shape, dy.dtype) as shared:
        np.multiply(y, mean_product, out=shared)
        np.add(shared, mean, out=shared)
        np.subtract(dy, shared, out=shared)
        np.multiply(shared, inverse_std, out=dx)
