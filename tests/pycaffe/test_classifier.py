"""caffe.Classifier, and a published classifier's way to use the API."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.phase import TEST
from pycaffe_lite.pycaffe import io
from pycaffe_lite.pycaffe.classifier import Classifier
from pycaffe_lite.pycaffe.net import Net
from rigs.pycaffe_images import CLASSES, classes_of, photo, write_image, write_image_net

MEAN = np.array([104.0, 117.0, 123.0])
SETTINGS = {"mean": MEAN, "raw_scale": 255, "channel_swap": (2, 1, 0)}


@pytest.fixture
def paths(tmp_path: Path) -> tuple[str, str]:
    return write_image_net(tmp_path)


def prepared(crops: np.ndarray) -> np.ndarray:
    """Crops as the net of SETTINGS takes them."""
    return (crops[:, :, :, ::-1] * 255 - MEAN).transpose(0, 3, 1, 2)


def images() -> list[np.ndarray]:
    """Four, which is more than a batch and no multiple of it, of different sizes."""
    return [photo(20 + 3 * i, 25 - i, seed=i).astype(np.float32) / 255 for i in range(4)]


def test_the_centre_of_resized_images(paths: tuple[str, str]) -> None:
    classifier = Classifier(*paths, image_dims=(17, 15), **SETTINGS)
    got = classifier.predict(images(), oversample=False)
    centres = np.array([io.resize_image(image, (17, 15))[2:14, 2:12] for image in images()])
    assert got.shape == (4, CLASSES)
    np.testing.assert_allclose(got, classes_of(paths, prepared(centres)), atol=1e-5)


def test_ten_crops_are_averaged(paths: tuple[str, str]) -> None:
    classifier = Classifier(*paths, image_dims=[16, 16], **SETTINGS)
    got = classifier.predict(images())
    crops = io.oversample([io.resize_image(image, (16, 16)) for image in images()], (12, 10))
    want = classes_of(paths, prepared(crops)).reshape(4, 10, CLASSES).mean(1)
    np.testing.assert_allclose(got, want, atol=1e-5)
    assert np.ptp(want, axis=0).max() > 1e-3


def test_images_go_to_the_inputs_size_by_themselves(paths: tuple[str, str]) -> None:
    classifier = Classifier(*paths, input_scale=0.5)
    assert list(classifier.image_dims) == list(classifier.crop_dims) == [12, 10]
    got = classifier.predict(iter(images()), oversample=False)
    whole = np.array([io.resize_image(image, (12, 10)) for image in images()]).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(got, classes_of(paths, whole * 0.5), atol=1e-5)


def test_what_a_classifier_does_not_take(paths: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"at least those of the input, \[12, 10\].*got \[11, 10\]"):
        Classifier(*paths, image_dims=(11, 10))
    with pytest.raises(ValueError, match="Expected a mean"):
        Classifier(*paths, mean=np.zeros(2))
    classifier = Classifier(*paths)
    with pytest.raises(ValueError, match="one or more images"):
        classifier.predict([])
    with pytest.raises(ValueError, match="H x W x K, got an array of shape"):
        classifier.predict([np.zeros((4, 4))])
    with pytest.raises(CaffeError, match=r'images of H x W x 3 for input "data", got shape \[12, 10, 1\]'):
        classifier.predict([np.zeros((4, 4, 1))])
    (tmp_path / "flat.prototxt").write_text(
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 } } }'
    )
    with pytest.raises(CaffeError, match=r'N x C x H x W; "data" has shape \[1, 3\]'):
        Classifier(tmp_path / "flat.prototxt", paths[1])
    (tmp_path / "fed.prototxt").write_text(
        'layer { name: "data" type: "DummyData" top: "data" dummy_data_param { shape { dim: 1 } } }'
    )
    with pytest.raises(CaffeError, match="Expected a net with an Input layer"):
        Classifier(tmp_path / "fed.prototxt", paths[1])


def test_a_program_that_crops_and_scores_like_open_nsfws(paths: tuple[str, str], tmp_path: Path) -> None:
    """A Transformer by hand, an image from an open file, its centre and its ten crops, blobs by name."""
    model, weights = paths
    net = Net(model, weights, TEST)
    transformer = io.Transformer({"data": net.blobs["data"].data.shape})
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_mean("data", MEAN)
    transformer.set_raw_scale("data", 255)
    transformer.set_channel_swap("data", (2, 1, 0))
    with open(write_image(tmp_path / "a.png", photo(16, 16)), "rb") as file:
        image = io.load_image(file)
    height, width, _ = image.shape
    _, _, h, w = net.blobs["data"].data.shape
    top, left = max((height - h) // 2, 0), max((width - w) // 2, 0)
    one = transformer.preprocess("data", image[top : top + h, left : left + w, :])[np.newaxis]
    name = net.inputs[0]
    outputs = net.forward_all(blobs=["prob", "conv"], **{name: one})
    assert outputs["conv"].shape == (1, 5, 10, 8)
    crops = np.array([transformer.preprocess("data", crop) for crop in io.oversample([image], (h, w))])
    ten = net.forward_all(blobs=["prob"], **{name: crops})["prob"]
    assert ten.shape == (10, CLASSES)
    np.testing.assert_allclose(ten[4], outputs["prob"][0], atol=1e-6)
    np.testing.assert_allclose(ten, classes_of(paths, crops), atol=1e-5)
