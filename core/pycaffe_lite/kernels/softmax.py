"""The softmax and its derivative, along any axis."""

from __future__ import annotations

import numpy as np

from pycaffe_lite.blob import Array
from pycaffe_lite.kernels.elementwise import elementwise
from pycaffe_lite.memory import borrow, borrow_like


def softmax(x: Array, axis: int, y: Array) -> None:
    """y_k = exp(x_k - max x) / sum_j exp(x_j - max x) along an axis; y may be x."""

    def body(x: Array, y: Array, total: Array) -> None:
        np.maximum.reduce(x, axis=axis, keepdims=True, out=total)
        np.subtract(x, total, out=y)
        np.exp(y, out=y)
        np.add.reduce(y, axis=axis, keepdims=True, out=total)
        np.divide(y, total, out=y)

    with _sums(x, axis) as total:
        elementwise(body, x, y, total, whole=axis)


def softmax_backward(y: Array, axis: int, dy: Array, dx: Array) -> None:
    """dx = (dy - sum_j dy_j y_j) y"""

    def body(dx: Array, dy: Array, y: Array, total: Array) -> None:
        with borrow_like(dy) as product:
            np.multiply(dy, y, out=product)
            np.add.reduce(product, axis=axis, keepdims=True, out=total)
        np.subtract(dy, total, out=dx)
        np.multiply(dx, y, out=dx)

    with _sums(dy, axis) as total:
        elementwise(body, dx, dy, y, total, whole=axis)


def _sums(x: Array, axis: int) -> borrow:
    """Memory like x, of length 1 along the axis."""
    return borrow((*x.shape[:axis], 1, *x.shape[axis + 1 :]), x.dtype)
