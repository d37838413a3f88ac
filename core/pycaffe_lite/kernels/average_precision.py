"""How good detections of one class are, as one number: the area under their curve of precision over recall."""

from __future__ import annotations

import numpy as np

from pycaffe_lite.blob import Array

VERSIONS = ("11point", "MaxIntegral", "Integral")
"""SSD's ways to compute it, see `average_precision`."""

LEAST = 1e-6
"""Steps of the recall up to it do not count."""


def average_precision(scores: Array, right: np.ndarray, objects: int, version: str = "Integral") -> float:
    """The average precision of the detections of one class, 0 to 1.

    Precision is the share of the detections so far, by falling score, that are right; recall the share of the objects
    that those have found.

        11point:      the mean, over recalls of 0, 0.1 … 1, of the highest precision at that recall or a higher one
        MaxIntegral:  the sum over all steps of the recall of the step times the highest precision from there on
        Integral:     the same with the precision right there

    Args:
        scores: one of each detection; equal ones count in their order.
        right: whether it is right.
        objects: how many there are to be found; 0 gives 0.
        version: one of VERSIONS.

    Source: SSD; 11point is PASCAL VOC's up to 2007, MaxIntegral its later one.
    """
    if not len(scores) or not objects:
        return 0.0
    found = np.cumsum(right[np.argsort(-scores, kind="stable")])
    precision = (found / np.arange(1, len(found) + 1)).astype(np.float32)
    recall = (found / objects).astype(np.float32)
    # The highest precision at each place or later, where the recall is no lower.
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    if version == "11point":
        # Recalls rise, so that those of a level or more are the last ones.
        begins = np.searchsorted(recall.astype(np.float64), np.arange(11) / 10)
        return float(np.append(highest, np.float32(0))[begins].mean())
    steps = np.diff(recall, prepend=np.float32(0))
    steps[steps <= LEAST] = 0
    return float((steps * (precision if version == "Integral" else highest)).sum())
