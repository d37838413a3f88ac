"""Permute: axes in another order, as SSD names it."""

from __future__ import annotations

from pycaffe_lite.layers.axes_order_base import AxesOrder
from pycaffe_lite.layers.contract import register_layer


@register_layer("Permute")
class Permute(AxesOrder):
    """Puts the axes of a blob into another order.

        top axis i = bottom axis order[i]        dx = dy, moved back

    Bottom: x, any shape.
    Top: the same values, its axes in the new order.
    Parameters: permute_param { order: … }, the bottom's axes, counted from 0. Those that it does not name follow in
        rising order, so that none at all leaves everything where it is.

    Errors: an axis that is named twice, or that the bottom does not have.

    Source: SSD's Permute.
    """

    def read_order(self, num_axes: int) -> list[int]:
        order = [int(axis) for axis in self.layer_param.permute_param.order]
        if len(set(order)) != len(order):
            raise self.error(f"expected each axis once in permute_param, got order {order}.")
        if any(axis >= num_axes for axis in order):
            raise self.error(f"expected an order of axes below {num_axes}, which its bottom has, got {order}.")
        return order + [axis for axis in range(num_axes) if axis not in order]
