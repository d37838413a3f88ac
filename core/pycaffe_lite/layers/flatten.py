"""Flatten: several axes become one."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.reinterpret_base import Reinterpret


@register_layer("Flatten")
class Flatten(Reinterpret):
    """Makes one axis of the axes from `axis` to `end_axis`, both included.

    Bottom: x, any shape with at least one axis.
    Top: the same values in the same (logical) order: N x C x H x W becomes N x CHW.
    Parameters: flatten_param { axis: 1, end_axis: -1 }, negative from the end.

    Errors: axes that the bottom does not have, or that are the wrong way round; a top that is its bottom.

    Source: Caffe's FlattenLayer.
    """

    def top_shape(self, shape: tuple[int, ...]) -> list[int]:
        first, last = self.first, self.last
        return [*shape[:first], prod(shape[first : last + 1]), *shape[last + 1 :]]

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.flatten_param
        self.first = self.canonical_axis(param.axis, bottom[0])
        self.last = self.canonical_axis(param.end_axis, bottom[0])
        if self.first > self.last:
            raise self.error(f"expected end_axis not before axis, got axis {param.axis}, end_axis {param.end_axis}.")
        super().reshape(bottom, top)
