"""Proposal: Faster R-CNN's proposals as several forks have them in C++."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.proposal_base import ProposalBase, Proposing


@register_layer("Proposal")
class Proposal(ProposalBase):
    """Proposes boxes, see `ProposalBase`.

    Tops: N post_nms_topn x 5 before the first forward; optionally the scores, one axis.
    Parameters: proposal_param { feat_stride: 16, base_size: 16, min_size: 16, ratio: 0.5, 1, 2, scale: 8, 16, 32,
        pre_nms_topn: 6000, post_nms_topn: 300, nms_thresh: 0.7 }.

    Errors: ratios, scales, strides or sizes of 0 or less; bottoms that do not fit the anchors.

    Source: Ren, He, Girshick and Sun, "Faster R-CNN", 2015.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.proposal_param
        self.how = Proposing(
            stride=param.feat_stride,
            base_size=param.base_size,
            ratios=tuple(param.ratio) or (0.5, 1, 2),
            scales=tuple(param.scale) or (8, 16, 32),
            least=param.min_size,
            before=param.pre_nms_topn,
            after=param.post_nms_topn,
            threshold=param.nms_thresh,
        )
        if min(self.how.stride, self.how.base_size, *self.how.ratios, *self.how.scales) <= 0:
            raise self.error("expected a feat_stride, base_size, ratios and scales above 0 in proposal_param.")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.check_bottoms(bottom)
        rows = bottom[0].shape[0] * self.how.after
        top[0].reshape(rows, 5)
        for blob in top[1:]:
            blob.reshape(rows)
