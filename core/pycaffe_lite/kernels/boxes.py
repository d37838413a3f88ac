"""Boxes: how they are coded, how much they overlap, and which of those that overlap stay.

A box is xmin, ymin, xmax, ymax along the last axis. In pixels with both ends inside, as Faster R-CNN counts, a box is
one wider and higher than the difference of its corners: `ends` is 1 for those and 0 for all others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.blob import Array

Indices = NDArray[np.intp]

CORNER, CENTER_SIZE, CORNER_SIZE = 1, 2, 3
"""How a code shifts its prior, see `decode`; the numbers are those of PriorBoxParameter.CodeType."""

BLOCK = 128
"""Boxes that are compared at a time: few enough for the table of their overlaps to stay in cache."""


def sizes(boxes: Array) -> tuple[Array, Array]:
    """Widths and heights."""
    return boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]


def areas(boxes: Array, ends: float = 0) -> Array:
    """Areas; 0 for a box whose ends lie before its beginnings."""
    width, height = sizes(boxes)
    return np.where((width < 0) | (height < 0), 0, (width + ends) * (height + ends))


def overlaps(some: Array, others: Array, ends: float = 0) -> Array:
    """Intersection over union of each box with each other one, M x N; 0 for those that only touch."""
    return _overlaps(some, areas(some, ends), others, areas(others, ends), ends)


def _overlaps(some: Array, some_areas: Array, others: Array, other_areas: Array, ends: float) -> Array:
    width, height = (
        np.minimum(some[:, None, axis + 2], others[None, :, axis + 2])
        - np.maximum(some[:, None, axis], others[None, :, axis])
        for axis in (0, 1)
    )
    if ends:
        width += ends
        height += ends
    np.maximum(width, 0, out=width)
    np.maximum(height, 0, out=height)
    width *= height
    union = some_areas[:, None] + other_areas[None, :]
    union -= width
    # No intersection is an overlap of 0 even where there is no union.
    np.copyto(union, 1, where=width == 0)
    width /= union
    return width


def decode(code: Array, priors: Array, variances: Array | None, kind: int) -> Array:
    """The boxes that codes stand for.

        CORNER:       corners = prior's corners + v code
        CORNER_SIZE:  corners = prior's corners + v code times the prior's width and height
        CENTER_SIZE:  centre = prior's centre + v code times its size, size = exp(v code) times its size

    Args:
        code, priors, variances (v; None for 1): … x 4.
        kind: CORNER, CENTER_SIZE or CORNER_SIZE; the latter two need priors with a width and height.
    """
    if variances is not None:
        code = code * variances
    if kind == CORNER:
        return priors + code
    size = np.stack(sizes(priors), axis=-1)
    if kind == CORNER_SIZE:
        return priors + code * np.concatenate([size, size], axis=-1)
    centre = (priors[..., :2] + priors[..., 2:]) / 2 + code[..., :2] * size
    half = np.exp(code[..., 2:]) * size / 2
    return np.concatenate([centre - half, centre + half], axis=-1)


def encode(boxes: Array, priors: Array, variances: Array | None, kind: int) -> Array:
    """The codes from which `decode` makes these boxes; with CENTER_SIZE they must have a width and height."""
    if kind == CENTER_SIZE:
        size, prior_size = (np.stack(sizes(each), axis=-1) for each in (boxes, priors))
        centre, prior_centre = ((each[..., :2] + each[..., 2:]) / 2 for each in (boxes, priors))
        code = np.concatenate([(centre - prior_centre) / prior_size, np.log(size / prior_size)], axis=-1)
    else:
        code = boxes - priors
        if kind == CORNER_SIZE:
            size = np.stack(sizes(priors), axis=-1)
            code = code / np.concatenate([size, size], axis=-1)
    return code if variances is None else code / variances


def best_first(scores: Array, most: int = -1) -> Indices:
    """The places of the highest scores, falling; equal ones in the order in which they stand.

    Args:
        scores: one axis.
        most: how many; -1 for all.
    """
    if 0 <= most < len(scores):
        if most == 0:
            return np.zeros(0, np.intp)
        least = np.partition(scores, len(scores) - most)[len(scores) - most]
        chosen = np.flatnonzero(scores >= least)
        surplus = len(chosen) - most
        if surplus > 0:
            equal = np.flatnonzero(scores[chosen] == least)
            chosen = np.delete(chosen, equal[len(equal) - surplus :])
    else:
        chosen = np.arange(len(scores))
    return chosen[np.argsort(-scores[chosen], kind="stable")]


def suppress(boxes: Array, threshold: float, eta: float = 1, most: int = -1, ends: float = 0) -> Indices:
    """Which boxes stay when each that overlaps a better one that stays more than the threshold goes.

    Args:
        boxes: N x 4, the best first.
        threshold: an equal overlap is not more.
        eta: below 1, the threshold is multiplied by it after each box that stays, while it is above 0.5.
        most: how many stay; -1 for any number.

    Returns:
        their places, rising.
    """
    limit = boxes.dtype.type(threshold)
    if most == 0 or not len(boxes):
        return np.zeros(0, np.intp)
    if eta < 1:
        return _suppress_adaptively(boxes, float(limit), eta, most, ends)
    kept: list[int] = []
    area = areas(boxes, ends)
    for begin in range(0, len(boxes), BLOCK):
        block = slice(begin, min(begin + BLOCK, len(boxes)))
        candidates = np.arange(block.start, block.stop)
        if kept:
            above = _overlaps(boxes[kept], area[kept], boxes[block], area[block], ends) > limit
            candidates = candidates[~above.any(axis=0)]
        kept += _suppress_block(boxes[candidates], area[candidates], candidates, limit, ends)
        if 0 <= most <= len(kept):
            return np.array(kept[:most], np.intp)
    return np.array(kept, np.intp)


def _suppress_block(boxes: Array, area: Array, numbers: Indices, limit: np.floating, ends: float) -> list[int]:
    """The numbers of those that stay of a few boxes: each box's victims are the bits of one whole number."""
    above = _overlaps(boxes, area, boxes, area, ends) > limit
    rows = np.packbits(above, axis=1, bitorder="little")
    kept, gone = [], 0
    for i, number in enumerate(numbers.tolist()):
        if not gone >> i & 1:
            kept.append(number)
            gone |= int.from_bytes(rows[i].tobytes(), "little")
    return kept


def _suppress_adaptively(boxes: Array, threshold: float, eta: float, most: int, ends: float) -> Indices:
    """The same with a threshold that falls: one box after the other, each against all that stay."""
    kept: list[int] = []
    for i in range(len(boxes)):
        if kept and (overlaps(boxes[i : i + 1], boxes[kept], ends) > threshold).any():
            continue
        kept.append(i)
        if threshold > 0.5:
            threshold *= eta
        if len(kept) == most:
            break
    return np.array(kept, np.intp)
