"""caffe.Detector: windows of images, with what lies around them and without."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.pycaffe import detector as module
from pycaffe_lite.pycaffe import io
from pycaffe_lite.pycaffe.detector import Detector
from rigs.pycaffe_images import CLASSES, classes_of, photo, write_image, write_image_net

MEAN = np.array([104.0, 117.0, 123.0])
SETTINGS: dict[str, Any] = {"mean": MEAN, "raw_scale": 255, "channel_swap": (2, 1, 0)}
WINDOWS = [np.array([2, 3, 20, 17]), np.array([0, 0, 30, 40]), np.array([10, 30, 31, 44]), np.array([5, 5, 6, 7])]


@pytest.fixture
def paths(tmp_path: Path) -> tuple[str, str]:
    return write_image_net(tmp_path, height=12, width=12)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    return [write_image(tmp_path / f"{name}.png", photo(30, 40, seed=n)) for n, name in enumerate("ab")]


def prepared(crop: np.ndarray) -> np.ndarray:
    """A crop as the net of SETTINGS takes it."""
    return (io.resize_image(crop, (12, 12))[:, :, ::-1] * 255 - MEAN).transpose(2, 0, 1)


@pytest.mark.parametrize("at_once", [1, 4, 256])
def test_windows_are_classified(
    at_once: int, paths: tuple[str, str], files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CROPS_AT_ONCE", at_once)
    found = Detector(*paths, **SETTINGS).detect_windows((file, WINDOWS) for file in files)
    assert [one["filename"] for one in found] == [files[0]] * 4 + [files[1]] * 4
    assert all(one["window"] is window for one, window in zip(found, WINDOWS * 2, strict=True))
    crops = []
    for file in files:
        image = io.load_image(file)
        crops += [prepared(image[top:bottom, left:right]) for top, left, bottom, right in WINDOWS]
    want = classes_of(paths, np.array(crops))
    np.testing.assert_allclose([one["prediction"] for one in found], want, atol=1e-5)
    assert found[0]["prediction"].shape == (CLASSES,)


def test_a_window_in_the_midst_shows_what_lies_around_it(paths: tuple[str, str], files: list[str]) -> None:
    """With 3 of 12 pixels at each edge for the context, half of the input is the window: it reaches twice as far."""
    detector = Detector(*paths, **SETTINGS, context_pad=3)
    image = io.load_image(files[0])
    crop = detector.crop(image, np.array([10, 15, 19, 24]))
    assert crop.shape == (12, 12, 3)
    np.testing.assert_allclose(crop, io.resize_image(image[5:25, 10:30], (12, 12)), atol=1e-5)


def test_beyond_the_edge_there_is_the_mean(paths: tuple[str, str], files: list[str]) -> None:
    detector = Detector(*paths, **SETTINGS, context_pad=3)
    image = io.load_image(files[0])
    crop = detector.crop(image, [0, 0, 9, 9])
    mean = MEAN[::-1] / 255  # in the image's order and range
    np.testing.assert_allclose(crop[:3, :], np.broadcast_to(mean, (3, 12, 3)), atol=1e-6)
    np.testing.assert_allclose(crop[:, :3], np.broadcast_to(mean, (12, 3, 3)), atol=1e-6)
    np.testing.assert_allclose(crop[3:, 3:], io.resize_image(image[:15, :15], (9, 9)), atol=1e-5)
    data = detector.transformer.preprocess("data", crop)
    np.testing.assert_allclose(data[:, 0, 0], 0, atol=1e-4)


def test_a_mean_image_is_in_its_place(paths: tuple[str, str], files: list[str]) -> None:
    mean = np.arange(3 * 12 * 12, dtype=float).reshape(3, 12, 12)
    detector = Detector(*paths, mean=mean, raw_scale=2, channel_swap=(1, 2, 0), context_pad=2)
    inside = detector.transformer.preprocess("data", np.array(detector.crop_mean))
    np.testing.assert_allclose(inside, 0, atol=1e-4)
    detector.configure_crop(None)
    assert detector.crop(io.load_image(files[0]), [1, 2, 5, 9]).shape == (4, 7, 3)


def test_without_a_mean_the_edge_is_black(paths: tuple[str, str], files: list[str]) -> None:
    crop = Detector(*paths, context_pad=4).crop(io.load_image(files[0]), [0, 0, 6, 6])
    assert crop[0].max() == 0 < crop[6:, 6:].min()


def test_a_window_far_larger_than_the_image(paths: tuple[str, str], files: list[str]) -> None:
    crop = Detector(*paths, context_pad=4).crop(io.load_image(files[0]), [29, 39, 5000, 5000])
    assert crop.shape == (12, 12, 3)


def test_gray_images_for_a_gray_net(tmp_path: Path, files: list[str]) -> None:
    paths = write_image_net(tmp_path, channels=1, height=12, width=12)
    found = Detector(*paths).detect_windows([(files[0], [[0, 0, 12, 12]])])
    image = io.load_image(files[0], color=False)[:12, :12].transpose(2, 0, 1)
    np.testing.assert_allclose(found[0]["prediction"], classes_of(paths, image[np.newaxis])[0], atol=1e-5)


def test_selective_search_is_asked_for_windows(
    paths: tuple[str, str], files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = Detector(*paths)
    monkeypatch.setitem(sys.modules, "selective_search_ijcv_with_python", None)
    with pytest.raises(CaffeError, match="needs the package selective_search_ijcv_with_python"):
        detector.detect_selective_search(files)
    searcher = ModuleType("selective_search_ijcv_with_python")
    asked: list[Any] = []

    def get_windows(names: list[str], cmd: str) -> list[list[np.ndarray]]:
        asked.extend([*names, cmd])
        return [WINDOWS[:2], WINDOWS[2:3]]

    monkeypatch.setattr(searcher, "get_windows", get_windows, raising=False)
    monkeypatch.setitem(sys.modules, "selective_search_ijcv_with_python", searcher)
    found = detector.detect_selective_search(files)
    assert asked == [*files, "selective_search_rcnn"]
    assert [one["filename"] for one in found] == [files[0], files[0], files[1]]


def test_what_a_detector_does_not_take(paths: tuple[str, str], files: list[str], tmp_path: Path) -> None:
    detector = Detector(*paths)
    assert detector.detect_windows([]) == detector.detect_windows([(files[0], [])]) == []
    for window in ([5, 5, 5, 9], [40, 0, 50, 9], [9, 9, 2, 12], [-9, 0, 0, 5]):
        with pytest.raises(ValueError, match=r"a.png: The window .* has no pixels in an image of 30 x 40"):
            detector.detect_windows([(files[0], [window])])
    with pytest.raises(ValueError, match="ymin, xmin, ymax and xmax"):
        detector.detect_windows([(files[0], [[1, 2, 3]])])
    with pytest.raises(OSError, match=r"none.png"):
        detector.detect_windows([(str(tmp_path / "none.png"), [[0, 0, 3, 3]])])
    for pad in (6, -1):
        with pytest.raises(ValueError, match=f"below half of the input's 12 x 12, got {pad}"):
            Detector(*paths, context_pad=pad)
