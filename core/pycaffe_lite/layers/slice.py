"""Slice: one blob cut into several."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from pycaffe_lite.blob import Blob
from pycaffe_lite.kernels.copying import copy_all, parts
from pycaffe_lite.layers.contract import Layer, register_layer
from pycaffe_lite.layers.reinterpret_base import hand_back, hand_on


@register_layer("Slice")
class Slice(Layer):
    """Cuts its bottom along an axis: the opposite of Concat.

        y_i = x[…, a_i : a_(i+1), …]        dx = [dy_0, dy_1, …]

    Bottom: x, any shape with at least one axis.
    Tops: the parts, in memory as the bottom. A single one shares the bottom's data. One whose diff nobody ever
        asked for, because its branch does not propagate, counts as zero.
    Parameters: slice_param { axis: 1, negative from the end; or slice_dim, the older name, 0 or more;
        slice_point: where the second top begins, where the third, …; default: parts of one length }.

    Errors: both names at once; an axis that the bottom does not have, or that is shorter than the number of tops
        or not divisible by it; as many points as tops less one are needed, rising.

    Source: Caffe's SliceLayer.
    """

    num_tops = (1, None)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.slice_param
        if param.HasField("axis") and param.HasField("slice_dim"):
            raise self.error("expected axis or slice_dim, its older name, got both.")
        self.given_axis = param.slice_dim if param.HasField("slice_dim") else param.axis
        self.points = list(param.slice_point)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.axis = axis = self.canonical_axis(self.given_axis, bottom[0])
        shape = bottom[0].shape
        self.lengths = self._lengths(shape[axis], len(top))
        for blob, length in zip(top, self.lengths, strict=True):
            blob.reshape(*shape[:axis], length, *shape[axis + 1 :], order=bottom[0].order)

    def _lengths(self, length: int, tops: int) -> list[int]:
        """How long each top is along the axis."""
        if not self.points:
            if length % tops:
                raise self.error(
                    f"expected an axis whose length its {tops} tops divide, got {length}; set slice_point."
                )
            return [length // tops] * tops
        ends = [0, *self.points, length]
        if len(self.points) != tops - 1 or tops > length:
            raise self.error(
                f"expected {tops - 1} slice_point(s) for its {tops} tops and an axis at least as long, "
                f"got {len(self.points)} and length {length}."
            )
        if any(a >= b for a, b in zip(ends[:-2], self.points, strict=True)) or self.points[-1] > length:
            raise self.error(f"expected rising slice_points from 1 to {length}, got {self.points}.")
        return [b - a for a, b in pairwise(ends)]

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if len(top) == 1:
            hand_on(bottom[0], top[0])
            return
        pieces = parts(bottom[0].data, self.axis, self.lengths)
        copy_all([(blob.data, piece) for blob, piece in zip(top, pieces, strict=True)])

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if not propagate_down[0]:
            return
        if len(top) == 1:
            hand_back(self, top[0], bottom[0])
            return
        places = parts(bottom[0].diff, self.axis, self.lengths)
        copy_all([(place, blob.diff) for place, blob in zip(places, top, strict=True) if blob.has_diff])
        for place, blob in zip(places, top, strict=True):
            if not blob.has_diff:
                place.fill(0)
