"""Reverse: an axis the other way round."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.kernels.copying import copy_all
from pycaffe_lite.layers.contract import Layer, register_layer


@register_layer("Reverse")
class Reverse(Layer):
    """Turns an axis round, such as the time of a sequence.

        y[…, i, …] = x[…, L - 1 - i, …]        dx = dy, turned back

    Bottom: x, any shape of one axis or more.
    Top: y, like x.
    Parameters: reverse_param { axis: 0 }, counted from 0; a negative one is refused, as in the fork.

    Errors: an axis that the bottom does not have; a top that is its bottom.

    Source: caffe_ocr's Reverse.
    """

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        axis = self.layer_param.reverse_param.axis
        if not 0 <= axis < bottom[0].num_axes:
            raise self.error(
                f"expected reverse_param {{ axis: … }} from 0 to {bottom[0].num_axes - 1}, for a bottom of shape "
                f"{list(bottom[0].shape)}, got {axis}."
            )
        if top[0] is bottom[0]:
            raise self.error("cannot work in place; give its top another name than its bottom's.")
        self.axis = axis
        top[0].reshape_like(bottom[0])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        copy_all([(top[0].data, np.flip(bottom[0].data, self.axis))])

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            copy_all([(bottom[0].diff, np.flip(top[0].diff, self.axis))])
