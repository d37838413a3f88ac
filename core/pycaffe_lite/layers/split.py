"""Split: one blob for several users."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.elementwise import elementwise
from pycaffe_lite.layers.contract import Layer, register_layer


@register_layer("Split")
class Split(Layer):
    """Hands one blob to several users and sums what they send back.

        y_k = x        dx = dy_0 + dy_1 + …, added in this order

    Bottoms: x, any shape.
    Tops: one or more, like x; they share its data, no copy is made.

    A net inserts these by itself where a blob has several users. A top whose diff nobody ever asked for,
    because its branch does not propagate, counts as zero without being allocated.
    """

    num_tops = (1, None)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        for blob in top:
            blob.reshape_like(bottom[0])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        # Each time, because a producer may hand out another array from one forward to the next.
        for blob in top:
            blob.data = bottom[0].data

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if not propagate_down[0]:
            return
        diffs = [blob.diff for blob in top if blob.has_diff]
        if diffs:
            elementwise(_add_up, bottom[0].diff, *diffs)
        else:
            bottom[0].diff.fill(0)


def _add_up(total: Array, first: Array, *others: Array) -> None:
    """total = first + others, from left to right."""
    if not others:
        np.copyto(total, first)
        return
    np.add(first, others[0], out=total)
    for other in others[1:]:
        np.add(total, other, out=total)
