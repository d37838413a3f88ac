"""Reshape: the same values under a shape that the text gives."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.reinterpret_base import Reinterpret


@register_layer("Reshape")
class Reshape(Reinterpret):
    """Gives its bottom another shape.

    Bottom: x, any shape.
    Top: the same values in the same (logical) order.
    Parameters (reshape_param): shape { dim: … }, one for each new axis: a length; 0 to copy the bottom's length at
        that place; -1, once, for what is left. axis (0) and num_axes (-1, all): the new axes replace that many from
        `axis` on; a negative axis counts from the end, -1 being behind the last; num_axes 0 inserts.

    Errors: a range of axes that the bottom does not have; a 0 without a bottom axis to copy; lengths that do not
        give as many elements; a top that is its bottom.

    Source: Caffe's ReshapeLayer.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.reshape_param
        self.dims = [int(length) for length in param.shape.dim]
        if self.dims.count(-1) > 1 or any(length < -1 for length in self.dims):
            raise self.error(f"expected lengths of 0 or more and at most one -1, got {self.dims}.")
        if param.num_axes < -1:
            raise self.error(f"expected num_axes of 0 or more, or -1 for all, got {param.num_axes}.")

    def top_shape(self, shape: tuple[int, ...]) -> list[int]:
        first, last = self._replaced(shape)
        new = list(self.dims)
        for at, length in enumerate(new):
            if length == 0:
                if first + at >= len(shape):
                    raise self.error(f"expected a bottom axis {first + at} to copy (dim: 0), got shape {list(shape)}.")
                new[at] = shape[first + at]
        result = [*shape[:first], *new, *shape[last:]]
        if -1 in new:
            result[first + new.index(-1)] = self._inferred(prod(shape), -prod(result), shape)
        if prod(result) != prod(shape):
            raise self.error(f"expected a shape of {prod(shape)} elements, as its bottom {list(shape)}, got {result}.")
        return result

    def _replaced(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """The bottom axes that the new ones replace: the first, and the one after the last."""
        param, axes = self.layer_param.reshape_param, len(shape)
        first = param.axis if param.axis >= 0 else axes + param.axis + 1
        last = axes if param.num_axes == -1 else first + param.num_axes
        if not 0 <= first <= last <= axes:
            raise self.error(
                f"expected axis and num_axes within its {axes}-axis bottom of shape {list(shape)}, "
                f"got axis {param.axis}, num_axes {param.num_axes}."
            )
        return first, last

    def _inferred(self, count: int, given: int, shape: tuple[int, ...]) -> int:
        """The length for which -1 stands."""
        if given == 0 or count % given:
            raise self.error(
                f"expected lengths whose product divides the {count} elements of its bottom {list(shape)}, "
                f"got {self.dims}."
            )
        return count // given
