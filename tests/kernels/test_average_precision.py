"""The average precision, by hand and beside plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.kernels.average_precision import VERSIONS, average_precision

# By falling score right, wrong, wrong, right, right: precision 1, 1/2, 1/3, 1/2, 3/5, and of four objects a recall of
# 1/4, 1/4, 1/4, 1/2, 3/4.
SCORES, RIGHT = np.array([0.5, 0.9, 0.7, 0.8, 0.6], np.float32), np.array([True, True, False, False, True])


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("Integral", (1 + 1 / 2 + 3 / 5) / 4),
        ("MaxIntegral", (1 + 3 / 5 + 3 / 5) / 4),
        ("11point", (3 * 1 + 5 * (3 / 5) + 3 * 0) / 11),
    ],
)
def test_by_hand(version: str, expected: float) -> None:
    assert average_precision(SCORES, RIGHT, 4, version) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("version", VERSIONS)
def test_all_nothing_and_none(version: str) -> None:
    scores = np.array([0.9, 0.8], np.float32)
    assert average_precision(scores, np.array([True, True]), 2, version) == 1
    assert average_precision(scores, np.array([False, False]), 2, version) == 0
    assert average_precision(scores[:0], np.zeros(0, bool), 2, version) == 0
    assert average_precision(scores, np.array([False, False]), 0, version) == 0


def by_loops(right: np.ndarray, objects: int, version: str) -> float:
    """SSD's three ways, one detection after the other; the scores fall already."""
    precision, recall = [], []
    for i in range(len(right)):
        found = int(right[: i + 1].sum())
        precision.append(found / (i + 1))
        recall.append(float(np.float32(found / objects)))
    if version == "11point":
        levels = [max((p for p, r in zip(precision, recall, strict=True) if r >= j / 10), default=0) for j in range(11)]
        return sum(levels) / 11
    total, before = 0.0, 0.0
    for i, here in enumerate(recall):
        total += (here - before) * (precision[i] if version == "Integral" else max(precision[max(i - 1, 0) :]))
        before = here
    return total


@pytest.mark.parametrize("version", VERSIONS)
def test_against_plain_loops(version: str) -> None:
    generator = np.random.default_rng(2)
    for _ in range(50):
        right = generator.random(generator.integers(1, 40)) < 0.6
        objects = int(right.sum()) + int(generator.integers(0, 5))
        scores = np.sort(generator.random(len(right)).astype(np.float32))[::-1]
        order = generator.permutation(len(right))
        if objects:
            given = average_precision(scores[order], right[order], objects, version)
            assert given == pytest.approx(by_loops(right, objects, version), abs=1e-6)
