"""What both proposal layers of Faster R-CNN have in common: from scores and shifts of anchors to boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.boxes import CENTER_SIZE, best_first, decode, suppress
from pycaffe_lite.layers.contract import Layer


class Proposing(NamedTuple):
    """How boxes are proposed.

    Attributes:
        stride: pixels of the image from one place of the map to the next.
        base_size: the side in pixels of the anchor of ratio 1 and scale 1.
        ratios: height to width of the anchors.
        scales: by which the base is multiplied.
        least: narrower or lower boxes go; in pixels of the image before it was scaled.
        before, after: how many boxes are looked at, and stay; 0 for all.
        threshold: boxes that overlap a better one more than this go.
    """

    stride: float
    base_size: float
    ratios: tuple[float, ...]
    scales: tuple[float, ...]
    least: float
    before: int
    after: int
    threshold: float


class ProposalBase(Layer):
    """Proposes boxes that may hold an object.

    At each place of the map lie anchors, one for each ratio and scale. Each is shifted as predicted, cut to the image,
    and left out if it is too small; of those that overlap, the one with the highest score stays. A box in pixels is one
    wider than the difference of its ends.

    Bottoms: scores, N x (2 anchors) x H x W, those of the background first; shifts, N x (4 anchors) x H x W: the
        centre's in units of the anchor's sides, and the logarithms of the sides; im_info, a row of height, width and
        scale of the image, or of height, width and a scale for each.
    Tops: boxes, R x 5: the image's number, x1, y1, x2, y2, by falling score; optionally their scores. Their number is
        known after forward. There is no derivative.

    Source: Ren, He, Girshick and Sun, "Faster R-CNN", 2015.
    """

    num_bottoms = (3, 3)
    num_tops = (1, 2)
    how: Proposing

    def check_bottoms(self, bottom: Sequence[Blob]) -> None:
        """Raises a CaffeError unless the bottoms fit the anchors and each other."""
        scores, shifts, info = (blob.shape for blob in bottom)
        count = len(self.how.ratios) * len(self.how.scales)
        if len(scores) != 4 or scores[1] != 2 * count or not scores[0]:
            raise self.error(
                f"expected scores N x {2 * count} x H x W for {count} anchors, {len(self.how.ratios)} ratios times "
                f"{len(self.how.scales)} scales, as bottom 0, got shape {list(scores)}."
            )
        if shifts != (scores[0], 4 * count, *scores[2:]):
            raise self.error(
                f"expected shifts of shape {[scores[0], 4 * count, *scores[2:]]} as bottom 1, got {list(shifts)}."
            )
        if bottom[2].count < 3:
            raise self.error(
                f"expected the image's height, width and scale (im_info) as bottom 2, got shape {list(info)}."
            )

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.check_bottoms(bottom)
        scores, shifts = bottom[0].data, bottom[1].data
        count, info = scores.shape[1] // 2, bottom[2].data.reshape(-1)
        boxes, values = [], []
        for image in range(len(scores)):
            box, value = self._propose(scores[image, count:], shifts[image], info)
            boxes.append(np.concatenate([np.full((len(box), 1), image, box.dtype), box], axis=1))
            values.append(value)
        found, of_them = np.concatenate(boxes), np.concatenate(values)
        top[0].reshape(len(found), 5)
        top[0].data[...] = found
        if len(top) > 1:
            top[1].reshape(len(found), *top[1].shape[1:])
            top[1].data[...] = of_them.reshape(top[1].shape)

    def _propose(self, scores: Array, shifts: Array, info: Array) -> tuple[Array, Array]:
        """The boxes of one image and their scores, the best first.

        Args:
            scores: anchors x H x W.
            shifts: (4 anchors) x H x W.
            info: height, width and scale of the image.
        """
        how, (height, width) = self.how, scores.shape[1:]
        flat = scores.transpose(1, 2, 0).reshape(-1)
        codes = shifts.transpose(1, 2, 0).reshape(-1, 4)
        boxes = _shifted(self.all_anchors(height, width).astype(codes.dtype), codes)
        limits = np.array([info[1] - 1, info[0] - 1] * 2, boxes.dtype)
        boxes = np.maximum(np.minimum(boxes, limits), 0)
        least = how.least * np.array([info[3] if len(info) > 3 else info[2], info[2]])
        large = np.flatnonzero(((boxes[:, 2:] - boxes[:, :2] + 1) >= least).all(axis=1))
        order = large[best_first(flat[large], how.before or -1)]
        stay = order[suppress(boxes[order], how.threshold, most=how.after or -1, ends=1)]
        return boxes[stay], flat[stay]

    def all_anchors(self, height: int, width: int) -> Array:
        """All anchors of a map, by row, column, ratio and scale: (H W anchors) x 4."""
        places = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1) * self.how.stride
        corners = np.concatenate([places, places], axis=-1)
        return (corners[:, :, None] + anchors(self.how)).reshape(-1, 4)


def anchors(how: Proposing) -> Array:
    """The anchors of the place at 0, 0, by ratio and scale: the base keeps its area and centre, and is then scaled."""
    ratios = np.array(how.ratios, np.float64)
    widths = np.round(np.sqrt(how.base_size**2 / ratios))
    sides = np.stack([widths, np.round(widths * ratios)], axis=-1)[:, None] * np.array(how.scales)[:, None]
    half, centre = (sides.reshape(-1, 2) - 1) / 2, (how.base_size - 1) / 2
    return np.concatenate([centre - half, centre + half], axis=-1)


def _shifted(boxes: Array, codes: Array) -> Array:
    """Boxes with both ends inside, shifted; the last pixel of what comes out is not taken off again, as in the paper's
    code."""
    inside = boxes.copy()
    inside[:, 2:] += 1
    return decode(codes, inside, None, CENTER_SIZE)
