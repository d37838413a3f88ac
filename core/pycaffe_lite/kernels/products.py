"""The matrix products of a linear map and its derivatives, shared among the threads.

    y = x Wᵀ + b        dW += dyᵀ x        dx = dy W        x: rows x inputs, W: outputs x inputs, y: rows x outputs

Each is cut along one axis of its result, into pieces that follow from the shapes alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pycaffe_lite.blob import Array
from pycaffe_lite.memory import borrow
from pycaffe_lite.parallel import parallel_for, slices

PIECE_PRODUCTS = 6_000_000
"""Multiplications worth a thread's while."""

LEAST_WIDTH = 100
"""Rows or columns of a piece: a narrower product costs itself more than a second thread saves."""

MOST_PIECES = 16
"""More would cut the rows of a large weight so short that each of them is another page of memory."""

OUTER_BYTES = 1 << 18
"""A part of an outer product that stays in a core's cache until it is added."""


def cuts(length: int, multiplications: int) -> list[slice]:
    """Cuts an axis of a product's result into pieces.

    Args:
        length: of the axis.
        multiplications: of the whole product.
    """
    return slices(length, min(multiplications // PIECE_PRODUCTS, length // LEAST_WIDTH))


def multiply(x: Array, weight: Array, y: Array, bias: Array | None = None) -> None:
    """y = x weightᵀ + bias; y is overwritten."""

    def piece(rows: slice, outputs: slice) -> None:
        np.matmul(x[rows], weight[outputs].T, out=y[rows, outputs])
        if bias is not None:
            np.add(y[rows, outputs], bias[outputs], out=y[rows, outputs])

    _in_pieces(y, x.shape[1], piece)


def multiply_back(dy: Array, weight: Array, dx: Array) -> None:
    """dx = dy weight; dx is overwritten."""

    def piece(rows: slice, inputs: slice) -> None:
        np.matmul(dy[rows], weight[:, inputs], out=dx[rows, inputs])

    _in_pieces(dx, dy.shape[1], piece)


def add_weight_gradient(dy: Array, x: Array, diff: Array) -> None:
    """diff += dyᵀ x, in pieces that are whole rows of memory."""
    if diff.strides[0] < diff.strides[1]:
        add_weight_gradient(x, dy, diff.T)
        return
    if len(x) == 1:
        _add_outer(dy[0], x[0], diff)
        return
    places = cuts(len(diff), diff.size * len(x))

    def piece(i: int) -> None:
        place = diff[places[i]]
        with borrow(place.shape, place.dtype) as gradient:
            np.matmul(dy[:, places[i]].T, x, out=gradient)
            np.add(place, gradient, out=place)

    parallel_for(len(places), piece)


def _add_outer(dy: Array, x: Array, diff: Array) -> None:
    """diff += dy ⊗ x: of one row BLAS makes a slow product, and one that does not stay in the cache."""
    for rows in slices(len(diff), diff.nbytes // OUTER_BYTES):
        place = diff[rows]
        with borrow(place.shape, place.dtype) as gradient:
            np.multiply(dy[rows, None], x, out=gradient)
            np.add(place, gradient, out=place)


def add_bias_gradient(dy: Array, diff: Array) -> None:
    """diff += the sum of dy's rows"""
    # A product with ones is ten times as fast as dy.sum(axis=0).
    diff += np.ones(len(dy), dy.dtype) @ dy


def _in_pieces(result: Array, inner: int, piece: Callable[[slice, slice], None]) -> None:
    """Calls piece(rows, columns) for pieces of a result, cut along its longer axis."""
    rows, columns = result.shape
    multiplications = min(result.size * inner, MOST_PIECES * PIECE_PRODUCTS)
    if rows >= columns:
        places = [(cut, slice(None)) for cut in cuts(rows, multiplications)]
    else:
        places = [(slice(None), cut) for cut in cuts(columns, multiplications)]
    parallel_for(len(places), lambda i: piece(*places[i]))
