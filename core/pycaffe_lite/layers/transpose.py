"""Transpose: axes in another order, as nets that read text lines name it."""

from __future__ import annotations

from pycaffe_lite.layers.axes_order_base import AxesOrder
from pycaffe_lite.layers.contract import register_layer


@register_layer("Transpose")
class Transpose(AxesOrder):
    """Puts the axes of a blob into another order, all of which are named.

        top axis i = bottom axis dim[i]        dx = dy, moved back

    Bottom: x, any shape.
    Top: the same values, its axes in the new order.
    Parameters: transpose_param { dim: … }, each of the bottom's axes once, counted from 0.

    Errors: an axis that is missing, named twice, or that the bottom does not have.

    Source: caffe_ocr's Transpose.
    """

    def read_order(self, num_axes: int) -> list[int]:
        order = [int(axis) for axis in self.layer_param.transpose_param.dim]
        if sorted(order) != list(range(num_axes)):
            raise self.error(
                f"expected each of its bottom's {num_axes} axes once in transpose_param {{ dim: … }}, got {order}."
            )
        return order
