"""What Permute and Transpose have in common: the same values with their axes in another order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.kernels.copying import copy_all
from pycaffe_lite.layers.contract import Layer


class AxesOrder(Layer):
    """A move of axes: a type writes `read_order`.

    The values are copied, as in the forks: a layer behind it that works in place must not write over the bottom.

    Attributes:
        axes: axis i of the top is axis axes[i] of the bottom.
    """

    def read_order(self, num_axes: int) -> list[int]:
        """The bottom's axes in the top's order; a CaffeError if the text does not fit the bottom."""
        raise NotImplementedError(f"{type(self).__name__} has no read_order")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if top[0] is bottom[0]:
            raise self.error("cannot work in place; give its top another name than its bottom's.")
        self.axes = self.read_order(bottom[0].num_axes)
        self.inverse = [int(axis) for axis in np.argsort(self.axes)]
        top[0].reshape(*(bottom[0].shape[axis] for axis in self.axes))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        copy_all([(top[0].data, bottom[0].data.transpose(self.axes))])

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            copy_all([(bottom[0].diff, top[0].diff.transpose(self.inverse))])
