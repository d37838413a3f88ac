"""Layers of ours for Python layers whose modules are missing: those of py-faster-rcnn, which are in Python 2."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from pycaffe_lite import log
from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.layers.proposal_base import ProposalBase, Proposing
from pycaffe_lite.phase import TRAIN

_ITEM = re.compile(r"""\s*["']?(\w+)["']?\s*:\s*(?:!!\S+\s*)?([\[(][^\])]*[\])]|[^,\n{}\[\](]+)\s*(?:,|\n|$)""")
_TRAINING = {
    "rpn.anchor_target_layer": "labels anchors",
    "rpn.proposal_target_layer": "labels proposals",
    "roi_data_layer.layer": "reads images with their boxes",
}


class ProposalLayer(ProposalBase):
    """Proposes boxes, see `ProposalBase`, in the place of rpn.proposal_layer.ProposalLayer.

    Tops: 1 x 5 before the first forward; optionally the scores, R x 1.
    Parameters: param_str, as `'feat_stride': 16` or with braces: feat_stride; scales (8, 16, 32); ratios (0.5, 1, 2).
        The rest is py-faster-rcnn's configuration: boxes of 16 pixels at least, an overlap of 0.7 at most, and in tests
        300 boxes of the best 6000, in training 2000 of 12000.

    Errors: no feat_stride, or a param_str that cannot be read; more than one image.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        given = self._read_text()
        training = self.phase == TRAIN
        self.how = Proposing(
            stride=given["feat_stride"][0],
            base_size=16,
            ratios=given.get("ratios", (0.5, 1.0, 2.0)),
            scales=given.get("scales", (8.0, 16.0, 32.0)),
            least=16,
            before=12000 if training else 6000,
            after=2000 if training else 300,
            threshold=0.7,
        )
        log.info(
            f'layer "{self.name}": there is no module {self.layer_param.python_param.module}; a layer of this program '
            f"proposes boxes in its place: feat_stride {self.how.stride:g}, {len(self.how.ratios)} ratios, "
            f"{len(self.how.scales)} scales, {self.how.after} boxes at most."
        )
        top[0].reshape(1, 5)
        for blob in top[1:]:
            blob.reshape(1, 1)

    def _read_text(self) -> dict[str, tuple[float, ...]]:
        text, given = self.param_str.strip().removeprefix("{").removesuffix("}").strip(), {}
        at = 0
        try:
            while at < len(text):
                item = _ITEM.match(text, at)
                if item is None:
                    raise ValueError
                value = ast.literal_eval(item[2].strip())
                given[item[1]] = tuple(float(each) for each in (value if isinstance(value, (list, tuple)) else [value]))
                at = item.end()
            numbers = [number for values in given.values() for number in values]
            if "feat_stride" not in given or not all(given.values()) or not min(numbers) > 0:
                raise ValueError
        except (ValueError, TypeError, SyntaxError):
            raise self.error(
                "expected param_str \"'feat_stride': 16\", and perhaps 'scales' and 'ratios' as lists, with numbers "
                f'above 0, got "{self.param_str[:80]}".'
            ) from None
        return given

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.check_bottoms(bottom)
        if bottom[0].shape[0] != 1:
            raise self.error(f"expected one image at a time, as in py-faster-rcnn, got {bottom[0].shape[0]}.")


def stand_in(module: str, name: str) -> type[Layer] | None:
    """The layer of ours for a class of a module that is missing; None if there is none."""
    return ProposalLayer if (module, name) == ("rpn.proposal_layer", "ProposalLayer") else None


def missing_part(module: str) -> str:
    """What to add to the error for a missing module: that it is a part of Faster R-CNN's training."""
    if module not in _TRAINING:
        return ""
    return (
        f" It {_TRAINING[module]} in Faster R-CNN's training, which is not built in: put py-faster-rcnn's lib folder, "
        "brought to Python 3, into PYTHONPATH; its nets for tests run without it."
    )
