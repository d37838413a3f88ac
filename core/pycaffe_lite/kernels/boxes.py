"""Boxes: how they are coded, how much they overlap, and which of those that overlap stay.

A box is xmin, ymin, xmax, ymax along the last axis. In pixels with both ends inside, as Faster R-CNN counts, a box is
one wider and higher than the difference of its corners: `ends` is 1 for those and 0 for all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.blob import Array
from pycaffe_lite.kernels.choice import compiled

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
    table = _shares(some, areas(some, ends), others, areas(others, ends), ends)
    # Two boxes without an area have no union either.
    return np.nan_to_num(table, copy=False, nan=0)


def _shares(some: Array, some_areas: Array, others: Array, other_areas: Array, ends: float) -> Array:
    """Intersection over union of each box with each other one; not a number where there is no union."""
    shared = None
    for axis in (0, 1):
        side = np.minimum(some[:, axis + 2, None], others[:, axis + 2])
        side -= np.maximum(some[:, axis, None], others[:, axis])
        if ends:
            side += ends
        np.maximum(side, 0, out=side)
        shared = side if shared is None else np.multiply(shared, side, out=shared)
    assert shared is not None
    union = some_areas[:, None] + other_areas
    union -= shared
    with np.errstate(invalid="ignore"):
        return np.divide(shared, union, out=shared)


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
    """The places of the highest scores, falling; equal ones in the order in which they stand, and what is not a number
    last.

    Args:
        scores: one axis.
        most: how many; -1 for all.
    """
    if 0 <= most < len(scores):
        if most == 0:
            return np.zeros(0, np.intp)
        least = -np.partition(-scores, most - 1)[most - 1]
        if np.isnan(least):
            return _falling(scores)[:most]
        chosen = np.flatnonzero(scores >= least)
        surplus = len(chosen) - most
        if surplus > 0:
            equal = np.flatnonzero(scores[chosen] == least)
            chosen = np.delete(chosen, equal[len(equal) - surplus :])
    else:
        chosen = np.arange(len(scores))
    return chosen[_falling(scores[chosen])]


def _falling(scores: Array) -> Indices:
    """A stable sort by way of those that are not, which take a third of the time; see `best_first`."""
    order = np.argsort(-scores)
    found = scores[order]
    if len(scores) and np.isnan(found[-1]):
        return np.argsort(-scores, kind="stable")
    differ = found[1:] != found[:-1]
    if differ.all():
        return order
    rank = np.concatenate([[0], np.cumsum(differ)])
    return np.sort(rank * len(scores) + order) % len(scores)


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
    suppression = Suppression(boxes, threshold, eta, ends)
    while suppression.seen < len(boxes) and not 0 <= most <= len(suppression.kept):
        suppression.go_on(BLOCK)
    return suppression.kept[:most] if most >= 0 else suppression.kept


class Suppression:
    """`suppress`, some boxes at a time, for those who may not need all of them.

    Two boxes of which a corner is not a number do not overlap.

    Attributes:
        seen: how many have been looked at.
    """

    def __init__(self, boxes: Array, threshold: float, eta: float = 1, ends: float = 0) -> None:
        self.boxes, self.ends, self.eta = np.ascontiguousarray(boxes), ends, eta
        self.limit = boxes.dtype.type(threshold)
        self.areas = areas(self.boxes, ends)
        self.places = np.empty(len(boxes), np.int64)
        self.count = self.seen = 0

    @property
    def kept(self) -> Indices:
        """The places of those that stay, rising."""
        return self.places[: self.count]

    def go_on(self, count: int) -> None:
        """Looks at the next boxes."""
        begin, self.seen = self.seen, min(self.seen + count, len(self.boxes))
        if loops := compiled(self.boxes.dtype):
            self._by_loop(loops, begin)
            return
        numbers = np.arange(begin, self.seen)
        if self.eta < 1:
            self._one_by_one(numbers)
            return
        if self.count:
            numbers = numbers[~self._above(self.kept, numbers).any(axis=0)]
        # Each box's victims are the bits of one whole number.
        rows = np.packbits(self._above(numbers, numbers), axis=1, bitorder="little")
        width, victims, gone = rows.shape[1], rows.tobytes(), 0
        for i, number in enumerate(numbers.tolist()):
            if not gone >> i & 1:
                self._keep(number)
                gone |= int.from_bytes(victims[i * width : (i + 1) * width], "little")

    def _by_loop(self, loops: Any, begin: int) -> None:
        limit, counts = np.array([self.limit]), np.array([self.count, begin], np.int64)
        loops.suppress(self.boxes, self.areas, limit, self.places, counts, self.seen, self.eta, self.ends)
        self.count, self.limit = int(counts[0]), limit[0]

    def _keep(self, number: int) -> None:
        self.places[self.count] = number
        self.count += 1

    def _one_by_one(self, numbers: Indices) -> None:
        """With a threshold that falls: each box against all that stay."""
        for number in numbers.tolist():
            if self.count and self._above(self.kept, [number]).any():
                continue
            self._keep(number)
            if self.limit > 0.5:
                self.limit = self.limit * self.boxes.dtype.type(self.eta)

    def _above(self, some: Sequence[int] | Indices, others: Sequence[int] | Indices) -> NDArray[np.bool_]:
        """Which of some boxes overlap which others more than the threshold."""
        boxes, area = self.boxes, self.areas
        return _shares(boxes[some], area[some], boxes[others], area[others], self.ends) > self.limit
