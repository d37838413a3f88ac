"""Eltwise: blobs of one shape into one, by product, sum or maximum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.elementwise import elementwise
from pycaffe_lite.layers.contract import Layer, register_layer
from pycaffe_lite.memory import BOOL, borrow_like
from pycaffe_lite.proto import caffe_pb2

PROD, SUM, MAX = (caffe_pb2.EltwiseParameter.EltwiseOp.Value(name) for name in ("PROD", "SUM", "MAX"))


@register_layer("Eltwise")
class Eltwise(Layer):
    """Combines blobs element by element.

        SUM:   y = coeff_0 x_0 + coeff_1 x_1 + …        dx_i = coeff_i dy
        PROD:  y = x_0 x_1 …                            dx_i = dy times the other factors
        MAX:   y = max(x_0, x_1, …)                     dx_i = dy where x_i won, else 0

    Bottoms: two or more of one shape.
    Tops: y, like them; may be the first one itself (in place), which PROD then keeps for the derivative.
    Parameters: eltwise_param { operation: SUM, coeff: 1 for each bottom, stable_prod_grad: true }.

    MAX: between the first two a tie goes to the second; a later one must be greater than all before. It accepts
    coefficients and ignores them. PROD with stable_prod_grad false computes dx_i as dy y / x_i, which is faster
    with many bottoms and nan where x_i is 0.

    In place each operation gives what it gives out of place, where Caffe's SUM loses its first bottom.

    Errors: shapes that differ; another number of coefficients than bottoms; coefficients for PROD.

    Source: Caffe's EltwiseLayer.
    """

    num_bottoms = (2, None)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.eltwise_param
        self.operation, self.stable = param.operation, param.stable_prod_grad
        if param.coeff and len(param.coeff) != len(bottom):
            raise self.error(f"expected a coeff for each of its {len(bottom)} bottoms, got {len(param.coeff)}.")
        if self.operation == PROD and param.coeff:
            raise self.error("expected coefficients (coeff) for operation SUM alone, got them for PROD.")
        self.coeffs = list(param.coeff) or [1.0] * len(bottom)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if any(blob.shape != bottom[0].shape for blob in bottom):
            shapes = ", ".join(str(list(blob.shape)) for blob in bottom)
            raise self.error(f"expected bottoms of one shape, got {shapes}.")
        top[0].reshape_like(bottom[0])
        x = bottom[0]
        self.kept = Blob(x.shape, x.order, x.dtype) if self.operation == PROD and top[0] is x else None
        if self.operation == MAX:
            # Which bottom won, as a number with the memory order of the bottoms.
            self.winner = Blob(x.shape, x.order, np.min_scalar_type(len(bottom) - 1))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self.kept is not None:
            np.copyto(self.kept.data, bottom[0].data)
        arrays = [top[0].data, *(blob.data for blob in bottom)]
        if self.operation == MAX:
            elementwise(_maximum, self.winner.data, *arrays)
        else:
            elementwise(_multiply_all if self.operation == PROD else self._add_up, *arrays)

    def _add_up(self, y: Array, *xs: Array) -> None:
        """y = coeff_0 x_0 + coeff_1 x_1 + …, from left to right; y may be x_0."""
        with borrow_like(y) as first, borrow_like(y) as term:
            total = _scaled(xs[0], self.coeffs[0], first)
            for x, coeff in zip(xs[1:], self.coeffs[1:], strict=True):
                if coeff == -1:
                    np.subtract(total, x, out=y)
                else:
                    np.add(total, _scaled(x, coeff, term), out=y)
                total = y

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        wanted = [i for i, want in enumerate(propagate_down) if want]
        # In place the diff of the first bottom is the top's own: it is written last.
        wanted.reverse()
        diffs = [bottom[i].diff for i in wanted]
        if not wanted:
            return
        if self.operation == SUM:
            elementwise(lambda dy, *dxs: self._derive_sum(wanted, dy, dxs), top[0].diff, *diffs)
        elif self.operation == MAX:
            body = lambda dy, winner, *dxs: _derive_maximum(wanted, dy, winner, dxs)  # noqa: E731
            elementwise(body, top[0].diff, self.winner.data, *diffs)
        else:
            self._derive_product(wanted, bottom, top[0], diffs)

    def _derive_sum(self, wanted: Sequence[int], dy: Array, dxs: Sequence[Array]) -> None:
        for i, dx in zip(wanted, dxs, strict=True):
            if self.coeffs[i] == 1:
                np.copyto(dx, dy)
            else:
                np.multiply(dy, self.coeffs[i], out=dx)

    def _derive_product(self, wanted: Sequence[int], bottom: Sequence[Blob], top: Blob, diffs: Sequence[Array]) -> None:
        factors = [blob.data for blob in bottom]
        if self.kept is not None:
            factors[0] = self.kept.data
        for i, diff in zip(wanted, diffs, strict=True):
            if self.stable:
                elementwise(_multiply_all, diff, top.diff, *factors[:i], *factors[i + 1 :])
            else:
                elementwise(_divide_and_multiply, diff, top.data, factors[i], top.diff)


def _scaled(x: Array, coeff: float, out: Array) -> Array:
    """coeff x: x itself, or `out`."""
    return x if coeff == 1 else np.multiply(x, coeff, out=out)


def _multiply_all(y: Array, first: Array, *others: Array) -> None:
    """y = the product of the others, from left to right; y may be the first."""
    for other in others:
        np.multiply(first, other, out=y)
        first = y


def _divide_and_multiply(dx: Array, y: Array, x: Array, dy: Array) -> None:
    with borrow_like(x) as others:
        np.divide(y, x, out=others)
        np.multiply(dy, others, out=dx)


def _maximum(winner: Array, y: Array, *xs: Array) -> None:
    """y = the maximum, and the number of the bottom that won; y may be the first."""
    with borrow_like(y, BOOL) as better:
        # A nan wins over nothing, so it ends with the second, and the maximum is nan.
        np.greater(xs[0], xs[1], out=better)
        np.logical_not(better, out=better)
        np.copyto(winner, better)
        np.maximum(xs[0], xs[1], out=y)
        for i, x in enumerate(xs[2:], start=2):
            np.greater(x, y, out=better)
            np.copyto(winner, i, where=better)
            np.maximum(x, y, out=y)


def _derive_maximum(wanted: Sequence[int], dy: Array, winner: Array, dxs: Sequence[Array]) -> None:
    with borrow_like(dy, BOOL) as won:
        for i, dx in zip(wanted, dxs, strict=True):
            np.equal(winner, i, out=won)
            np.multiply(dy, won, out=dx)
