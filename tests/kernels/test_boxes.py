"""Boxes: codes and back, overlaps, and suppression against loops that say the same in many words."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.kernels.box_matching import LEFT_OUT, UNMATCHED, match
from pycaffe_lite.kernels.boxes import (
    CENTER_SIZE,
    CORNER,
    CORNER_SIZE,
    Suppression,
    best_first,
    decode,
    encode,
    overlaps,
    suppress,
)


def some_boxes(count: int, seed: int = 0, dtype: type = np.float32) -> np.ndarray:
    generator = np.random.default_rng(seed)
    begin = generator.uniform(0, 0.7, (count, 2))
    return np.concatenate([begin, begin + generator.uniform(0.05, 0.4, (count, 2))], axis=1).astype(dtype)


def overlap(a: np.ndarray, b: np.ndarray, ends: float) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0]) + ends
    height = min(a[3], b[3]) - max(a[1], b[1]) + ends
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0] + ends) * (box[3] - box[1] + ends) for box in (a, b)]
    return float(width * height / (sum(areas) - width * height))


def survivors(boxes: np.ndarray, threshold: float, eta: float, most: int, ends: float) -> list[int]:
    kept: list[int] = []
    for i, box in enumerate(boxes):
        if len(kept) == most:
            break
        if all(overlap(box, boxes[k], ends) <= threshold for k in kept):
            kept.append(i)
            if eta < 1 and threshold > 0.5:
                threshold *= eta
    return kept


@pytest.mark.parametrize("kind", [CORNER, CENTER_SIZE, CORNER_SIZE])
@pytest.mark.parametrize("variances", [None, np.array([0.1, 0.1, 0.2, 0.2])])
def test_decode_undoes_encode(kind: int, variances: np.ndarray | None) -> None:
    boxes, priors = some_boxes(40, 1, np.float64), some_boxes(40, 2, np.float64)
    code = encode(boxes, priors, variances, kind)
    np.testing.assert_allclose(decode(code, priors, variances, kind), boxes, rtol=1e-12)


@pytest.mark.parametrize("ends", [0, 1])
def test_overlaps_are_those_of_a_loop(ends: float) -> None:
    some, others = some_boxes(20, 1, np.float64) * 50, some_boxes(30, 2, np.float64) * 50
    expected = [[overlap(a, b, ends) for b in others] for a in some]
    np.testing.assert_allclose(overlaps(some, others, ends), expected, rtol=1e-12)


def test_overlaps_of_boxes_without_an_area_are_zero() -> None:
    boxes = np.array([[0.5, 0.5, 0.5, 0.5], [0.8, 0.8, 0.2, 0.2], [0, 0, 1, 1]], np.float32)
    assert overlaps(boxes, boxes)[:2].max() == 0
    assert overlaps(boxes[2:], boxes[2:]) == 1


@pytest.mark.parametrize("count", [0, 1, 63, 128, 300])
@pytest.mark.parametrize(
    ("threshold", "eta", "most", "ends"),
    [
        (0.3, 1, -1, 0),
        (0.5, 1, -1, 0),
        (0.45, 1, 17, 0),
        (0.7, 1, 20, 1),
        (0.9, 0.9, -1, 0),
        (0.9, 0.9, 9, 0),
        (0, 1, 0, 0),
    ],
)
def test_suppression_leaves_what_a_loop_leaves(
    count: int, threshold: float, eta: float, most: int, ends: float
) -> None:
    boxes = some_boxes(count, 3) * (40 if ends else 1)
    expected = survivors(boxes.astype(np.float64), threshold, eta, most, ends)
    assert suppress(boxes, threshold, eta, most, ends).tolist() == expected


def test_suppression_may_go_on_in_pieces() -> None:
    boxes = some_boxes(200, 4)
    pieces = Suppression(boxes, 0.4)
    for count in (1, 30, 2, 500):
        pieces.go_on(count)
    assert pieces.kept.tolist() == suppress(boxes, 0.4).tolist()
    assert pieces.seen == 200


def test_an_overlap_equal_to_the_threshold_stays() -> None:
    boxes = np.array([[0, 0, 1, 1], [0, 0, 1, 0.5]], np.float32)
    assert suppress(boxes, 0.5).tolist() == [0, 1]
    assert suppress(boxes, 0.499).tolist() == [0]


@pytest.mark.parametrize("most", [-1, 0, 1, 7, 50, 99])
def test_best_first_is_a_stable_sort(most: int) -> None:
    scores = np.random.default_rng(5).integers(0, 9, 50).astype(np.float32)
    expected = sorted(range(50), key=lambda i: -scores[i])
    assert best_first(scores, most).tolist() == (expected if most < 0 else expected[:most])


@pytest.mark.parametrize("most", [-1, 0, 1, 4, 7, 11])
def test_what_is_not_a_number_comes_last(most: int) -> None:
    scores = np.array([np.nan, 2, -np.inf, 2, np.nan, 0, -0.0, np.inf, 3, -1, np.nan], np.float32)
    expected = [7, 8, 1, 3, 5, 6, 9, 2, 0, 4, 10]
    assert best_first(scores, most).tolist() == (expected if most < 0 else expected[:most])


def test_matching_takes_the_largest_pairs_first() -> None:
    boxes = np.array([[0, 0, 1, 1], [0, 0, 0.9, 1], [0, 0, 0.6, 1], [0.95, 0.95, 1, 1]], np.float32)
    objects = np.array([[0, 0, 1, 1], [0, 0, 0.95, 1]], np.float32)
    found, overlap = match(boxes, objects)
    assert found.tolist() == [0, 1, UNMATCHED, UNMATCHED]
    np.testing.assert_allclose(overlap[:3], [1, 0.9 / 0.95, 0.6 / 0.95], rtol=1e-6)
    assert match(boxes, objects, threshold=0.6)[0].tolist() == [0, 1, 1, UNMATCHED]
    assert match(boxes, objects, np.array([False, True]), 0.6)[0].tolist() == [1, 1, 1, UNMATCHED]


def test_matching_leaves_out_what_leaves_the_image() -> None:
    boxes = np.array([[-0.1, 0, 1, 1], [0, 0, 0.5, 1]], np.float32)
    found, overlap = match(boxes, np.array([[0, 0, 1, 1]], np.float32), threshold=0.3, inside_only=True)
    assert found.tolist() == [LEFT_OUT, 0]
    assert overlap[0] == 0


def test_matching_without_objects() -> None:
    found, overlap = match(some_boxes(3), np.zeros((0, 4), np.float32), threshold=0.5)
    assert found.tolist() == [UNMATCHED] * 3
    assert not overlap.any()
