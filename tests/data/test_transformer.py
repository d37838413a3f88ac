"""The transformer against its definition; against Caffe's own numbers it is tested with the Data layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite.data.transformer import Transformer
from pycaffe_lite.errors import CaffeError, FileError, ShapeError
from pycaffe_lite.phase import TEST, TRAIN
from pycaffe_lite.proto import caffe_pb2
from rigs.golden_formats import FORMATS

SEED = 7
MEAN_SHAPE = (3, 10, 12)


def transformer(phase: int = TEST, **fields: Any) -> Transformer:
    return Transformer(caffe_pb2.TransformationParameter(**fields), phase, seed=SEED)


def name(i: int) -> str:
    return f"image {i}"


def pixels(n: int, dtype: str = "u1") -> np.ndarray:
    return np.random.default_rng(n).integers(0, 100, (n, *MEAN_SHAPE)).astype(dtype)


def naive(images: np.ndarray, phase: int, mean: np.ndarray, fields: dict[str, Any]) -> np.ndarray:
    """One image after the other, one word after the other."""
    words = iter(np.random.RandomState(SEED).randint(0, 2**32, 100 * len(images), np.uint32).tolist())
    crop = fields.get("crop_size", 0)
    results = []
    for image in images:
        values = (image.astype(np.float32) - mean).astype(np.float32) * np.float32(fields.get("scale", 1))
        flip = bool(fields.get("mirror")) and next(words) % 2
        if crop:
            spare = (image.shape[1] - crop, image.shape[2] - crop)
            row, column = (next(words) % (s + 1) for s in spare) if phase == TRAIN else (s // 2 for s in spare)
            values = values[:, row : row + crop, column : column + crop]
        results.append(values[..., ::-1] if flip else values)
    return np.array(results)


MEANS: tuple[dict[str, Any], ...] = (
    {},
    {"mean_value": [3.5]},
    {"mean_value": [1, 2.5, 7]},
    {"mean_file": str(FORMATS / "mean" / "raw.binaryproto")},
)


def mean_array(fields: dict[str, Any]) -> np.ndarray:
    if "mean_file" in fields:
        return np.load(FORMATS / "mean" / "raw.npz")["mean"].reshape(MEAN_SHAPE)
    return np.array(fields.get("mean_value", [0]), np.float32).reshape(-1, 1, 1)


@pytest.mark.parametrize("phase", [TRAIN, TEST])
@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("other", [{}, {"scale": 0.3}, {"crop_size": 7}, {"crop_size": 6, "mirror": True}])
@pytest.mark.parametrize("dtype", ["u1", ">i2", "<f4", ">f8"])
def test_agrees_with_the_definition(phase: int, mean: dict[str, Any], other: dict[str, Any], dtype: str) -> None:
    images, fields = pixels(9, dtype), {**mean, **other}
    expected = naive(images, phase, mean_array(mean), fields)
    for given in (images, list(images)):
        out = np.full(expected.shape, np.nan, np.float32)
        one = transformer(phase, **fields)
        one.apply(given[:4], out[:4], name)
        one.apply(given[4:], out[4:], name)
        np.testing.assert_array_equal(out, expected)


def test_images_larger_than_the_cache() -> None:
    images = np.random.default_rng(1).integers(0, 255, (3, 3, 200, 210)).astype(np.uint8)
    out = np.empty(images.shape, np.float32)
    transformer(scale=0.5, mean_value=[9]).apply(images, out, name)
    np.testing.assert_array_equal(out, (images - np.float32(9)) * np.float32(0.5))


def test_crop_takes_images_of_several_sizes() -> None:
    images = [np.full((2, *size), i, np.uint8) for i, size in enumerate([(5, 6), (4, 4), (9, 4)])]
    out = np.empty((3, 2, 4, 4), np.float32)
    for phase in (TRAIN, TEST):
        transformer(phase, crop_size=4).apply(images, out, name)
        np.testing.assert_array_equal(out[:, 0, 0, 0], [0, 1, 2])


def test_state_goes_on_in_the_middle() -> None:
    one, other = transformer(TRAIN, crop_size=4, mirror=True), transformer(TRAIN, crop_size=4, mirror=True)
    first, second, again = (np.empty((5, 3, 4, 4), np.float32) for _ in range(3))
    one.apply(pixels(5), first, name)
    other.restore(one.state())
    one.apply(pixels(5), second, name)
    other.apply(pixels(5), again, name)
    np.testing.assert_array_equal(again, second)
    assert (first != second).any()
    assert transformer(TEST, crop_size=4).state() is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"crop_size": 11}, "images of at least crop_size 11, got height 10 and width 12"),
        ({"crop_size": 2**32 - 1}, "at least crop_size 4294967295"),
        ({"mean_value": [1, 2]}, "expected 1 mean_value or one for each of the 3 channels, got 2"),
        (
            {"mean_file": str(FORMATS / "mean" / "float.binaryproto")},
            r"images' shape \[3, 10, 12\], got .*float\.binaryproto of shape \[2, 3, 4\]",
        ),
    ],
)
def test_images_that_do_not_fit(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        transformer(**fields).output_shape(MEAN_SHAPE)


def test_an_image_that_does_not_fit_is_named() -> None:
    images = [np.ones((1, 5, 5)), np.ones((1, 5, 5)), np.ones((1, 3, 5))]
    with pytest.raises(ShapeError, match=r"image 2: expected shape \[1, 5, 5\], .* got \[1, 3, 5\]; .* crop_size"):
        transformer().apply(images, np.empty((3, 1, 5, 5), np.float32), name)
    with pytest.raises(ShapeError, match="image 2: expected images of at least crop_size 4, got height 3"):
        transformer(crop_size=4).apply(images, np.empty((3, 1, 4, 4), np.float32), name)


def test_parameters_that_exclude_one_another(tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match="expected mean_file or mean_value, got both"):
        transformer(mean_file="x", mean_value=[1])
    with pytest.raises(CaffeError, match="expected force_color or force_gray, got both"):
        transformer(force_color=True, force_gray=True)
    with pytest.raises(FileError, match='no mean file "nothing"'):
        transformer(mean_file="nothing")
