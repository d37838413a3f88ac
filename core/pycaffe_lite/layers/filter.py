"""Filter: the items of a batch that a selector keeps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.kernels.rows import put_rows, take_rows
from pycaffe_lite.layers.contract import Layer, register_layer


@register_layer("Filter")
class Filter(Layer):
    """Keeps the items whose selector is not 0, in their order.

        y = x[selector != 0]        dx = dy for the kept items, 0 for the others

    Bottoms: one or more blobs with the same number of items, N x …; last the selector, N or N x 1 x …, into which
        nothing is propagated.
    Tops: one for each bottom but the selector: as many items as were kept, none at all included. Until the first
        forward they are as long as their bottoms, because the selector's values are not known yet.

    Errors: a number of tops that is not that of the bottoms less one, bottoms of different lengths, a selector with
        a longer second axis, a selector that learns.

    Source: Caffe's FilterLayer.
    """

    num_bottoms = (2, None)
    num_tops = (1, None)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if len(top) != len(bottom) - 1:
            raise self.error(
                f"expected a top for each bottom but the last, the selector, got {len(bottom)} bottoms and "
                f"{len(top)} top(s)."
            )
        self.may_propagate = (*[True] * len(top), False)
        self.kept: np.ndarray | None = None

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        selector = bottom[-1].shape
        if not selector or any(length != 1 for length in selector[1:]):
            raise self.error(f"expected a selector of shape N or N x 1 x …, got {list(selector)}.")
        for blob in bottom[:-1]:
            if blob.shape[:1] != selector[:1]:
                raise self.error(
                    f"expected bottoms with {selector[0]} items, as many as the selector, got shape {list(blob.shape)}."
                )
        self._shape_tops(selector[0] if self.kept is None else len(self.kept), bottom, top)

    def _shape_tops(self, items: int, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        for below, above in zip(bottom, top, strict=False):
            above.reshape(items, *below.shape[1:], order=below.order)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        before = top[0].shape[0]
        self.kept = np.flatnonzero(bottom[-1].data)
        self._shape_tops(len(self.kept), bottom, top)
        if len(self.kept) != before:
            self.write_loss_weights(top)
        for below, above in zip(bottom, top, strict=False):
            take_rows(below.data, self.kept, above.data)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        self.cannot_propagate(propagate_down, len(propagate_down) - 1, "its selector")
        assert self.kept is not None
        for below, above, down in zip(bottom, top, propagate_down, strict=False):
            if down:
                put_rows(above.diff, self.kept, below.diff)
