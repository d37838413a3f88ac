"""The contact sheet: where images and labels are on it, and how values become colours."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError, MissingExtra
from pycaffe_lite.tools.contact_sheet import contact_sheet, png_bytes
from pycaffe_lite.tools.summaries import Example


def example(image: np.ndarray | None, label: int | None = None) -> Example:
    return Example("key", None if label is None else [label], "form", image)


def picture(image: np.ndarray, rgb: bool = False) -> np.ndarray:
    """What becomes of one image without a label, without its margin."""
    return contact_sheet([example(image)], rgb)[4:-4, 4:-4]


@pytest.mark.parametrize(("rgb", "colour"), [(False, [3, 2, 1]), (True, [1, 2, 3])])
def test_colours(rgb: bool, colour: list[int]) -> None:
    image = np.broadcast_to(np.array([1, 2, 3], np.uint8).reshape(3, 1, 1), (3, 48, 48))
    assert picture(image, rgb)[7, 9].tolist() == colour


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_gray_is_the_first_channel(channels: int) -> None:
    image = np.arange(channels, dtype=np.uint8).reshape(-1, 1, 1).repeat(48, 1).repeat(48, 2) + 9
    assert np.unique(picture(image)).tolist() == [9]


def test_other_values_are_stretched() -> None:
    image = np.array([[[-5, 0, 5, np.nan, np.inf]]], np.float32).repeat(48, 1)
    assert picture(image)[0, :, 0].tolist() == [0, 127, 255, 127, 127]
    assert np.unique(picture(np.full((1, 48, 48), 7.5, np.float32))).tolist() == [0]


@pytest.mark.parametrize(
    ("shape", "side"),
    [((28, 28), (56, 56)), ((48, 48), (48, 48)), ((1, 1), (48, 48)), ((100, 256), (50, 128)), ((1, 129), (1, 65))],
)
def test_sizes(shape: tuple[int, int], side: tuple[int, int]) -> None:
    assert picture(np.zeros((1, *shape), np.uint8)).shape[:2] == side


def test_labels_below_their_images() -> None:
    images = [np.full((1, 48, 48), 9, np.uint8) for _ in range(3)]
    sheet = contact_sheet([example(images[0], 17), example(images[1], 17), example(images[2], -4)])
    below = sheet[52 + 4 :, :, 0]
    first, second = below[:12, 4:52], below[:12, 56:104]
    assert (first < 128).any()
    np.testing.assert_array_equal(first, second)
    assert sheet.shape[1] == 2 * 52 + 4


def test_several_labels_and_fractions() -> None:
    image = np.zeros((1, 48, 48), np.uint8)
    widths = []
    for labels in ([1], [1, 0.5, float("nan")], [1] * 7, [1] * 100):
        widths.append(contact_sheet([Example("key", labels, "form", image)]).shape[1])
    assert widths[0] < widths[1] < widths[3] <= 16 * 12 + 8


def test_vectors_are_shown_as_squares_or_rows() -> None:
    values = np.arange(9, dtype=np.uint8).reshape(9, 1, 1)
    square = picture(values)
    assert square.shape == (48, 48, 3)
    assert square[::16, ::16, 0].tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert picture(values[:6])[0, ::8, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert np.unique(picture(values[:3], rgb=True)).tolist() == [0, 1, 2]


def test_rows() -> None:
    images = [np.full((1, 48, 48), i, np.uint8) for i in range(5)]
    sheet = contact_sheet([example(image) for image in images])
    assert sheet.shape == (2 * 52 + 4, 3 * 52 + 4, 3)
    assert [int(sheet[30 + 52 * row, 30 + 52 * column, 0]) for row in (0, 1) for column in range(3)] == [
        0,
        1,
        2,
        3,
        4,
        255,
    ]


def test_images_that_could_not_be_decoded_are_passed_over() -> None:
    sheet = contact_sheet([example(None, 1), example(np.zeros((1, 48, 48), np.uint8), 2)])
    assert sheet.shape[1] == 48 + 8
    with pytest.raises(MissingExtra, match=r"pycaffe-lite\[images\]"):
        contact_sheet([example(None)])
    with pytest.raises(CaffeError, match="no image to put on a contact sheet"):
        contact_sheet([])


def test_without_a_package_to_write_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtra, match=r"pycaffe-lite\[images\]"):
        png_bytes(np.zeros((4, 4, 3), np.uint8))
