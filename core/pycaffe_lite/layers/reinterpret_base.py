"""Handing the same values on under another shape, without a copy wherever the memory allows it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.kernels.copying import copy_all, view_as
from pycaffe_lite.layers.contract import Layer


class Reinterpret(Layer):
    """Base of Flatten and Reshape, whose top has the bottom's values in the same logical order.

    Where the bottom lies in memory in that order, as all but channels-last images do, the top shares its data and
    its diff, as in Caffe. Else the values are copied.
    """

    def top_shape(self, shape: tuple[int, ...]) -> list[int]:
        """The top's shape for a bottom's; as many elements."""
        raise NotImplementedError(f"{type(self).__name__} has no top_shape")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if top[0] is bottom[0]:
            raise self.error("cannot work in place; give its top another name than its bottom's.")
        shape = self.top_shape(bottom[0].shape)
        top[0].reshape(*shape)
        self.copied = Blob(shape, dtype=top[0].dtype)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if not hand_on(bottom[0], top[0]):
            top[0].data = self.copied.data
            copy_all([(top[0].data.reshape(bottom[0].shape), bottom[0].data)])

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            hand_back(self, top[0], bottom[0])


def hand_on(bottom: Blob, top: Blob) -> bool:
    """Makes the top share the bottom's values under its own shape; whether that went without a copy.

    To be called in each forward, because a producer may hand out another array from one to the next.
    """
    view = view_as(bottom.data, top.shape)
    if view is not None:
        top.data = view
    return view is not None


def hand_back(layer: Layer, top: Blob, bottom: Blob) -> None:
    """Gives the bottom the top's diff, under the bottom's shape.

    It is shared only if that leaves the bottom's diff in the order in which its data lies, for which its producer
    is made; and not if it holds the layer's loss weight, which a layer below that works in place would overwrite.
    """
    view = None
    if _same_order(top.diff, bottom.data) and not any(layer.loss_weights):
        view = view_as(top.diff, bottom.shape)
    if view is not None:
        bottom.diff = view
    else:
        copy_all([(bottom.diff, np.reshape(top.diff, bottom.shape))])


def _same_order(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether the elements of two arrays lie in memory in the same order, both without gaps."""
    return a.strides == b.strides if a.shape == b.shape else a.flags.c_contiguous and b.flags.c_contiguous
