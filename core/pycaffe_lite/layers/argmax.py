"""ArgMax: where the greatest values are."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.contract import Layer, register_layer


@register_layer("ArgMax")
class ArgMax(Layer):
    """Finds the `top_k` greatest values, along one axis or in each item of the batch.

    Bottoms: x, any shape with one axis or more.
    Tops: without `axis`: N x 1 x top_k, the indices into the item, counted in logical order, or with
        out_max_val N x 2 x top_k, indices before values, with ones behind them if x has more than three axes;
        with `axis`: like x, of length top_k along the axis, the indices, or with out_max_val the values. The
        greatest comes first.
    Parameters: argmax_param { top_k: 1, out_max_val: false, axis: none }; a negative axis counts from the end.

    Of equal values the one with the greater index comes first. There is no derivative: asking for one is an
    error.

    Errors: an axis that x does not have; top_k below 1 or above the number of values.

    Source: Caffe's ArgMaxLayer.
    """

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param, x = self.layer_param.argmax_param, bottom[0]
        self.top_k, self.values = param.top_k, param.out_max_val
        self.axis = self.canonical_axis(param.axis, x) if param.HasField("axis") else None
        self.canonical_axis(0, x)  # without any axis there is no batch
        choices = prod(x.shape[1:]) if self.axis is None else x.shape[self.axis]
        if not 1 <= self.top_k <= choices:
            raise self.error(
                f"expected top_k from 1 to {choices}, the number of values, for shape {list(x.shape)}, "
                f"got {self.top_k}."
            )
        if self.axis is None:
            top[0].reshape(x.shape[0], 2 if self.values else 1, self.top_k, *[1] * (x.num_axes - 3))
        else:
            top[0].reshape(*x.shape[: self.axis], self.top_k, *x.shape[self.axis + 1 :])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, out = bottom[0].data, top[0].data
        if self.axis is None:
            rows = x.reshape(len(x), prod(x.shape[1:]))
            best = greatest(rows, self.top_k)
            out[:, 0].reshape(best.shape)[...] = best
            if self.values:
                out[:, 1].reshape(best.shape)[...] = np.take_along_axis(rows, best, 1)
            return
        rows = np.moveaxis(x, self.axis, -1)
        best = greatest(rows, self.top_k)
        found = np.take_along_axis(rows, best, -1) if self.values else best
        out[...] = np.moveaxis(found, -1, self.axis)


def greatest(x: np.ndarray, count: int) -> np.ndarray:
    """The indices of the greatest values along the last axis, greatest first; of equals the last one first."""
    last = x.shape[-1] - 1
    backwards = x[..., ::-1]
    if count == 1:
        return last - np.argmax(backwards, axis=-1, keepdims=True)
    return last - np.argsort(-backwards, axis=-1, kind="stable")[..., :count]
