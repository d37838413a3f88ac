"""Which box is matched with which object."""

from __future__ import annotations

import numpy as np

from pycaffe_lite.blob import Array
from pycaffe_lite.kernels.boxes import overlaps

UNMATCHED, LEFT_OUT = -1, -2
"""What `match` gives a box without an object, and one that takes no part."""

LEAST = 1e-6
"""Overlaps up to it do not count."""


def match(
    boxes: Array,
    objects: Array,
    among: np.ndarray | None = None,
    threshold: float | None = None,
    inside_only: bool = False,
) -> tuple[np.ndarray, Array]:
    """Matches boxes with objects by their overlap (intersection over union).

    First, again and again, the box and the object that overlap most, of those not matched yet; of equal pairs the first
    box, then the first object. Then, with a threshold, each other box with the object that it overlaps most, if that is
    the threshold at least.

    Args:
        boxes, objects: P x 4 and n x 4.
        among: a mask of the objects that may be matched; None: all.
        threshold: None: objects are matched once.
        inside_only: whether boxes that leave the image, 0 to 1, take no part.

    Returns:
        for each box the number of its object, UNMATCHED or LEFT_OUT; and how much it overlaps any object.
    """
    found = np.full(len(boxes), UNMATCHED, np.intp)
    numbers = np.arange(len(objects)) if among is None else np.flatnonzero(among)
    if inside_only:
        found[((boxes < 0) | (boxes > 1)).any(axis=1)] = LEFT_OUT
    if not len(numbers) or not len(boxes):
        return found, np.zeros(len(boxes), boxes.dtype)
    table = overlaps(boxes, objects[numbers])
    table[~(table > LEAST)] = 0
    table[found == LEFT_OUT] = 0
    best, first = table.max(axis=1), table.argmax(axis=1)
    open_pairs = table.copy()
    for _ in numbers:
        box, place = np.unravel_index(int(open_pairs.argmax()), table.shape)
        if not open_pairs[box, place] > 0:
            break
        found[box] = numbers[place]
        open_pairs[box] = open_pairs[:, place] = 0
    if threshold is not None:
        more = (found == UNMATCHED) & (best > 0) & (best >= np.float32(threshold))
        found[more] = numbers[first[more]]
    return found, best
