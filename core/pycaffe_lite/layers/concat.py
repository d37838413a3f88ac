"""Concat: several blobs one after the other."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite.blob import Blob
from pycaffe_lite.kernels.copying import common_order, copy_all, parts
from pycaffe_lite.layers.contract import Layer, register_layer
from pycaffe_lite.layers.reinterpret_base import hand_back, hand_on


@register_layer("Concat")
class Concat(Layer):
    """Puts its bottoms one behind the other along an axis.

        y = [x_0, x_1, …]        dx_i = dy's part i

    Bottoms: one or more, equally long along every axis but `axis`.
    Top: as long along `axis` as the bottoms together; in memory as the largest bottom. With one bottom it shares
        the bottom's data.
    Parameters: concat_param { axis: 1 }, negative from the end; or `concat_dim`, the older name, 0 or more.

    Errors: both names at once, an axis that the bottoms do not have, bottoms that do not fit together.

    Source: Caffe's ConcatLayer.
    """

    num_bottoms = (1, None)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.concat_param
        if param.HasField("axis") and param.HasField("concat_dim"):
            raise self.error("expected axis or concat_dim, its older name, got both.")
        self.given_axis = param.concat_dim if param.HasField("concat_dim") else param.axis

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.axis = axis = self.canonical_axis(self.given_axis, bottom[0])
        first = bottom[0].shape
        for i, blob in enumerate(bottom):
            same = blob.num_axes == len(first) and all(
                a == b for at, (a, b) in enumerate(zip(blob.shape, first, strict=True)) if at != axis
            )
            if not same:
                raise self.error(
                    f"expected bottoms of one shape but for axis {axis}, got {list(first)} and, as bottom {i}, "
                    f"{list(blob.shape)}."
                )
        self.lengths = [blob.shape[axis] for blob in bottom]
        shape = (*first[:axis], sum(self.lengths), *first[axis + 1 :])
        top[0].reshape(*shape, order=common_order(bottom))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if len(bottom) == 1:
            hand_on(bottom[0], top[0])
            return
        places = parts(top[0].data, self.axis, self.lengths)
        copy_all([(place, blob.data) for place, blob in zip(places, bottom, strict=True)])

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if len(bottom) == 1:
            if propagate_down[0]:
                hand_back(self, top[0], bottom[0])
            return
        diffs = parts(top[0].diff, self.axis, self.lengths)
        copy_all([(blob.diff, diff) for blob, diff, down in zip(bottom, diffs, propagate_down, strict=True) if down])
