"""What layers that read a PriorBox's top have in common."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.boxes import CORNER, sizes
from pycaffe_lite.layers.contract import Layer


def check_priors(layer: Layer, bottom: Sequence[Blob], classes: int, share_location: bool) -> None:
    """Raises a CaffeError unless locations, scores and priors, the first three bottoms, fit together."""
    location, score, prior = (blob.shape for blob in bottom[:3])
    if len(prior) < 3 or prior[:2] != (1, 2) or prod(prior[3:]) != 1 or prior[2] % 4:
        raise layer.error(
            f"expected priors 1 x 2 x (priors 4), as PriorBox makes them, as bottom 2, got {list(prior)}."
        )
    count = prior[2] // 4
    if not location or not score or location[0] != score[0]:
        raise layer.error(
            f"expected locations and scores of as many images, got shapes {list(location)} and {list(score)}."
        )
    each = 4 if share_location else 4 * classes
    if prod(location[1:]) != count * each:
        raise layer.error(
            f"expected {count * each} locations, {each} for each of {count} priors, got {prod(location[1:])}; the map "
            "that they come from and that of the PriorBox must agree, and so must share_location."
        )
    if prod(score[1:]) != count * classes:
        raise layer.error(
            f"expected {count * classes} scores, num_classes {classes} for each of {count} priors, got "
            f"{prod(score[1:])}."
        )


def read_priors(layer: Layer, blob: Blob, code_type: int) -> tuple[Array, Array | None]:
    """The boxes and their variances, both priors x 4; a CaffeError for a box without an area if the code needs one."""
    boxes, variances = blob.data.reshape(2, -1, 4)
    if code_type != CORNER:
        width, height = sizes(boxes)
        empty = np.flatnonzero(~((width > 0) & (height > 0)))
        if empty.size:
            box = ", ".join(f"{value:g}" for value in boxes[empty[0]])
            raise layer.error(
                f"expected priors with a width and height for this code_type, got prior {empty[0]} as {box}."
            )
    return boxes, variances
