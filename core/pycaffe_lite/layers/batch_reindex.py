"""BatchReindex: the items of a batch in another order, repeated or left out."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite.blob import Blob
from pycaffe_lite.kernels.rows import add_rows, take_rows
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.rows_base import RowsLayer


@register_layer("BatchReindex")
class BatchReindex(RowsLayer):
    """Takes the items that its second bottom numbers.

        y[i] = x[index[i]]        dx[j] = sum of dy[i] over all i with index[i] = j

    Bottoms: x, N x …; index, M numbers from 0 to N - 1, into which nothing is propagated.
    Top: M x …, in memory as x.

    Errors: an index that is not one axis long, or has a number outside 0 to N - 1, or learns.

    Source: Caffe's BatchReindexLayer.
    """

    num_bottoms = (2, 2)
    may_propagate = (True, False)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if bottom[0].num_axes == 0 or bottom[1].num_axes != 1:
            shapes = " and ".join(str(list(blob.shape)) for blob in bottom)
            raise self.error(f"expected a batch (N x …) and an index of one axis, got shapes {shapes}.")
        top[0].reshape(bottom[1].shape[0], *bottom[0].shape[1:], order=bottom[0].order)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.rows = self.read_rows(bottom[1], bottom[0].shape[0])
        take_rows(bottom[0].data, self.rows, top[0].data)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        self.cannot_propagate(propagate_down, 1, "its index")
        if propagate_down[0]:
            bottom[0].diff.fill(0)
            add_rows(top[0].diff, self.rows, bottom[0].diff)
