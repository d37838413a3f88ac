"""DetectionEvaluate: which detections belong to an object, by hand and beside a plain loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import Rig
from rigs.net_rig import logged

TEXT = 'type: "DetectionEvaluate" bottom: "a" bottom: "b" top: "y" detection_evaluate_param {{ num_classes: 3 {} }}'
NONE = [-1.0] * 8
OBJECTS = [
    [0, 1, 0, 0.0, 0.0, 0.4, 0.4, 0],
    [0, 1, 1, 0.5, 0.5, 0.9, 0.9, 1],
    NONE,
    [0, 2, 0, 0.0, 0.5, 0.2, 0.9, 0],
    [2, 2, 0, 0.1, 0.1, 0.3, 0.3, 0],
]
FOUND = [
    [0, 1, 0.6, 0.0, 0.0, 0.4, 0.4],  # exactly there, but a better one is there too
    [0, 1, 0.9, 0.0, 0.0, 0.4, 0.3],  # overlaps 0.75
    [0, 1, 0.8, 0.5, 0.5, 0.9, 0.9],  # the difficult one
    [0, 2, 0.7, 0.5, 0.5, 0.9, 0.9],  # where the class has none
    [1, 1, 0.5, 0.0, 0.0, 0.4, 0.4],  # in an image without objects
    [2, 2, 0.4, 0.1, 0.1, 0.3, 0.2],  # overlaps 0.5 exactly but for rounding
]
COUNTS = [[-1, 1, 2, -1, -1], [-1, 2, 2, -1, -1]]
JUDGED = [
    [0, 1, 0.9, 1, 0],
    [0, 1, 0.8, 1, 0],
    [0, 1, 0.6, 0, 1],
    [0, 2, 0.7, 0, 1],
    [1, 1, 0.5, 0, 1],
    [2, 2, 0.4, 1, 0],
]


def rows(found: object, objects: object, fields: str = "", folder: Path | None = None) -> np.ndarray:
    arrays = [np.array(found, np.float64).reshape(1, 1, -1, 7), np.array(objects, np.float64).reshape(1, 1, -1, 8)]
    return Rig(TEXT.format(fields), arrays, folder=str(folder or "")).forward()[0][0, 0]


def test_right_and_wrong_ones() -> None:
    given = rows(FOUND, OBJECTS, "overlap_threshold: 0.49")
    np.testing.assert_allclose(given, COUNTS + JUDGED, rtol=1e-6)
    assert rows(FOUND, OBJECTS, "overlap_threshold: 0.51")[-1].tolist()[3:] == [0, 1]


def test_difficult_objects_may_be_left_out() -> None:
    given = rows(FOUND, OBJECTS, "overlap_threshold: 0.49 evaluate_difficult_gt: false")
    assert given[0].tolist() == [-1, 1, 1, -1, -1]
    assert given[3, 3:].tolist() == [0, 0]
    np.testing.assert_allclose(np.delete(given, [0, 3], 0), COUNTS[1:] + JUDGED[:1] + JUDGED[2:], rtol=1e-6)


def test_the_rows_of_images_where_nothing_was_found() -> None:
    """DetectionOutput's rows then have class -1, and count for no class; those of no image leave zeros."""
    given = rows([[0, *[-1] * 6], [-1] * 7], [NONE])
    np.testing.assert_array_equal(given, [[-1, 1, 0, -1, -1], [-1, 2, 0, -1, -1], [0, -1, -1, 0, 1], [0] * 5])


def test_another_background() -> None:
    given = rows([[0, 0, 0.5, 0, 0, 1, 1]], [[0, 0, 0, 0, 0, 1, 1, 0]], "background_label_id: 2")
    np.testing.assert_array_equal(given, [[-1, 0, 1, -1, -1], [-1, 1, 0, -1, -1], [0, 0, 0.5, 1, 0]])


def test_in_pixels_both_ends_count(tmp_path: Path) -> None:
    """0.1 x 0.1 of 20 x 10 pixels are 3 x 2 with their ends; 0.05 apart they share 2 x 2 of 8."""
    (tmp_path / "sizes.txt").write_text("a 10 20\n\nb 1000 1000\n")
    fields = 'name_size_file: "sizes.txt" overlap_threshold: 0.45'
    shifted = [[image, 1, 0.5, 0.05, 0, 0.15, 0.1] for image in range(3)]
    objects = [[image, 1, 0, 0, 0, 0.1, 0.1, 0] for image in range(3)]
    given = rows(shifted, objects, fields, tmp_path)
    assert given[2:, 3].tolist() == [1, 0, 1]  # of the second one's pixels, half as many are shared; then round again
    assert not rows(shifted, objects, "overlap_threshold: 0.45")[2:, 3].any()


def test_sizes_go_on_where_a_state_says(tmp_path: Path) -> None:
    (tmp_path / "sizes.txt").write_text("a 10 20\nb 1000 1000\n")
    text = TEXT.format('name_size_file: "sizes.txt" overlap_threshold: 0.45')
    arrays = [
        np.array([[[[0, 1, 0.5, 0.05, 0, 0.15, 0.1]]]]),
        np.array([[[[0, 1, 0, 0, 0, 0.1, 0.1, 0]]]]),
    ]
    rig = Rig(text, arrays, folder=str(tmp_path))
    right = []
    for _ in range(3):
        right.append(float(rig.forward()[0][0, 0, 2, 3]))
    assert right == [1, 0, 1]
    other = Rig(text, arrays, folder=str(tmp_path))
    other.layer.restore(rig.layer.state())
    assert other.forward()[0][0, 0, 2, 3] == 0


def test_a_file_of_sizes_that_is_missing_is_told_of(tmp_path: Path) -> None:
    log = logged()
    given = rows(FOUND, OBJECTS, 'overlap_threshold: 0.49 name_size_file: "VOC0712/sizes.txt"', tmp_path)
    np.testing.assert_allclose(given, COUNTS + JUDGED, rtol=1e-6)
    (line,) = log
    assert line.startswith("W")
    assert 'layer "layer" (DetectionEvaluate): shares of the sides are compared. There is no list of sizes' in line


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    sides = [max(0.0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in range(2)]
    shared = sides[0] * sides[1]
    area = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return float(shared / (sum(area) - shared))


def test_against_a_plain_loop() -> None:
    generator = np.random.default_rng(5)
    objects = np.zeros((60, 8))
    objects[:, 0], objects[:, 1] = generator.integers(0, 5, 60), generator.integers(1, 3, 60)
    objects[:, 3:5] = generator.uniform(0, 0.6, (60, 2))
    objects[:, 5:7] = objects[:, 3:5] + generator.uniform(0.1, 0.4, (60, 2))
    found = np.concatenate([objects, objects])[:, [0, 1, 2, 3, 4, 5, 6]]
    found[:, 2] = generator.permutation(len(found)) / len(found)
    found[:, 3:] += generator.uniform(-0.06, 0.06, found[:, 3:].shape)
    given = rows(found, objects)[2:]
    seen: set[int] = set()
    expected = []
    for row in sorted(found.tolist(), key=lambda row: (row[0], row[1], -row[2])):
        shares = [overlap(row[3:], each[3:7]) * (each[:2].tolist() == row[:2]) for each in objects]
        best = int(np.argmax(shares))
        right = shares[best] >= 0.5 and best not in seen
        seen |= {best} if right else set()
        expected.append([*row[:3], right, not right])
    np.testing.assert_allclose(given, expected, rtol=1e-6)
    assert 20 < given[:, 3].sum() < 60


CLASSES = "images from 0 on and of classes from 0 to 2 other than the background 0"


@pytest.mark.parametrize(
    ("found", "objects", "fields", "sentence"),
    [
        ([[3, 0, 0.5, 0, 0, 1, 1]], [NONE], "", f"expected detections of {CLASSES}, got image 3 and class 0"),
        ([[3, 3, 0.5, 0, 0, 1, 1]], [NONE], "", f"expected detections of {CLASSES}, got image 3 and class 3"),
        ([[0, 1, 0.5, 0, 0, 1, 1]], [[0] * 8], "", f"expected objects of {CLASSES}, got image 0 and class 0"),
        ([[0, 1, 0.5, 0, 0, 1, 1]], [[0, -1] * 4], "", f"expected objects of {CLASSES}, got image 0 and class -1"),
        ([[0, 1, 0.5, 0, 0, 1, 1]], [[np.nan, 1] * 4], "", f"expected objects of {CLASSES}, got image nan and class 1"),
        ([[0, 1, 0.5, 0, 0, 1, 1]], [NONE], "overlap_threshold: 0", "expected an overlap_threshold above 0, got 0"),
    ],
)
def test_what_cannot_be_judged(found: object, objects: object, fields: str, sentence: str) -> None:
    with pytest.raises(CaffeError, match=sentence):
        rows(found, objects, fields)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("\n \n", "sizes.txt is blank"),
        ("a 10", 'sizes.txt:1: expected a name, a height and a width, got "a 10"'),
        ("\0\0", "sizes.txt"),
    ],
)
def test_a_file_that_has_no_sizes(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "sizes.txt").write_text(text)
    with pytest.raises(CaffeError, match=sentence):
        rows(FOUND, OBJECTS, 'name_size_file: "sizes.txt"', tmp_path)


def test_shapes_and_classes_that_do_not_fit() -> None:
    text = 'type: "DetectionEvaluate" bottom: "a" bottom: "b" top: "y" '
    arrays = [np.zeros((1, 1, 3, 7)), np.zeros((1, 1, 2, 8))]
    with pytest.raises(CaffeError, match="num_classes: … } of 1 or more, got none"):
        Rig(text, arrays)
    with pytest.raises(CaffeError, match="1 x 1 x n x 7 and objects 1 x 1 x n x 8, got shapes"):
        Rig(text + "detection_evaluate_param { num_classes: 21 }", [arrays[0], arrays[0]])
