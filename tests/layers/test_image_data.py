"""The ImageData layer: Caffe's batches, Caffe's words of the random generator, and what can be wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite import rng
from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.layers.contract import Place
from pycaffe_lite.layers.image_data import ImageData
from pycaffe_lite.layers.registry import create
from pycaffe_lite.phase import TEST, TRAIN
from pycaffe_lite.proto import caffe_pb2
from pycaffe_lite.proto.text import parse
from rigs.golden_formats import FORMATS, table
from rigs.layer_rig import layer_param

cv2 = pytest.importorskip("cv2")

Opened = tuple[ImageData, list[Blob]]
CASES = {
    name: case for name, case in {**table("transform.json"), **table("transform_train.json")}.items() if "image" in name
}

JPEGS = (1, 2, 4)
"""The passes of the cases with images of all kinds whose image is a JPEG, which libraries decode a bit differently."""


@pytest.fixture
def opened() -> Iterator[Callable[..., Opened]]:
    """Builds ImageData layers, and closes them in the end."""
    made: list[ImageData] = []

    def build(param: Any, phase: int = TRAIN, folder: Path | str = FORMATS) -> Opened:
        layer = create(param, phase, Place(folder=str(folder)))
        assert isinstance(layer, ImageData)
        top = [Blob() for _ in param.top]
        made.append(layer)
        layer.build([], top)
        return layer, top

    yield build
    for layer in made:
        layer.close()


def param_of(fields: str = 'source: "images.txt" root_folder: "images/"', transform: str = "") -> Any:
    batch = "" if "batch_size" in fields else "batch_size: 6"
    return layer_param(
        f'type: "ImageData" top: "data" top: "label" transform_param {{ {transform} }} '
        f"image_data_param {{ {batch} {fields} }}"
    )


def labels(layer: ImageData, top: list[Blob], passes: int) -> list[float]:
    seen = []
    for _ in range(passes):
        layer.forward([], top)
        seen += top[1].data.tolist()
    return seen


@pytest.mark.parametrize("name", CASES)
def test_batches_are_those_of_caffe(name: str, opened: Callable[..., Opened]) -> None:
    case = CASES[name]
    net = parse((FORMATS / case["prototxt"]).read_text(), caffe_pb2.NetParameter)
    rng.set_random_seed(case.get("random_seed", 1))
    layer, top = opened(net.layer[0], TRAIN if case.get("phase") == "TRAIN" else TEST)
    with np.load(FORMATS / case["arrays"]) as arrays:
        expected = dict(arrays)
    for i in range(case["passes"]):
        layer.forward([], top)
        jpeg = "kinds" in name and i in JPEGS
        np.testing.assert_allclose(top[0].data, expected["data"][i], rtol=0, atol=2 if jpeg else 1e-6)
        np.testing.assert_array_equal(top[1].data, expected["label"][i])
    if "after" in expected:
        after = expected["after"]
        np.testing.assert_array_equal(rng.uniform(after.size).reshape(after.shape), after)


@pytest.mark.parametrize(
    ("phase", "fields", "transform", "words"),
    [
        (TRAIN, "", "", 1),
        (TEST, "", "crop_size: 5", 1),
        (TRAIN, "", "crop_size: 5", 3),
        (TRAIN, "shuffle: true rand_skip: 3", "mirror: true", 5),
    ],
)
def test_takes_as_many_words_as_caffe(
    phase: int, fields: str, transform: str, words: int, opened: Callable[..., Opened]
) -> None:
    opened(param_of(f'source: "images.txt" root_folder: "images/" {fields}', transform), phase)
    expected = rng.Generator(1)
    expected.words(words)
    assert rng.word() == expected.word()


@pytest.mark.parametrize("more", ["", "shuffle: true", "shuffle: true rand_skip: 7"])
def test_state_and_restore(more: str, opened: Callable[..., Opened]) -> None:
    param = param_of(f'source: "images.txt" root_folder: "images/" {more}', "crop_size: 5 mirror: true")
    layer, top = opened(param)
    labels(layer, top, 8)
    state = layer.state()
    layer.forward([], top)
    expected = top[0].data.copy(), labels(layer, top, 7)
    rng.set_random_seed(99)
    other, other_top = opened(param)
    other.restore(state)
    other.forward([], other_top)
    np.testing.assert_array_equal(other_top[0].data, expected[0])
    assert labels(other, other_top, 7) == expected[1]


def test_shuffled_epochs_have_each_image_once_and_new_orders(tmp_path: Path, opened: Callable[..., Opened]) -> None:
    (tmp_path / "list.txt").write_text("".join(f"img{i:02}.png {i}\n" for i in range(20)))
    layer, top = opened(param_of(f'source: "list.txt" root_folder: "{FORMATS}/images/" shuffle: true'), folder=tmp_path)
    seen = labels(layer, top, 10)
    epochs = [seen[i : i + 20] for i in range(0, 60, 20)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


@pytest.mark.parametrize(
    ("fields", "transform", "words"),
    [
        ('source: "none.txt"', "", 'no list of images "none.txt"'),
        ("", "", "Expected the path of a list of images"),
        ('source: "images/img00.png"', "", "expected the name of an image"),
        (
            'source: "images.txt" root_folder: "elsewhere/"',
            "",
            "images.txt, record 0: elsewhere/img00.png: no such file",
        ),
        ('source: "images.txt" root_folder: "images/" batch_size: 0', "", "batch_size: … } of 1 or more"),
        ('source: "images.txt" root_folder: "images/" new_height: 3', "", "expected new_height and new_width"),
        ('source: "images.txt" root_folder: "images/" new_height: 3 new_width: 4000000000', "", "2147483647 values"),
        ('source: "images.txt" root_folder: "images/"', "crop_size: 99", "at least crop_size 99"),
        ('source: "images.txt" root_folder: "images/"', "mean_file: 'none'", 'no mean file "none"'),
        (
            'source: "broken.txt" root_folder: "./"',
            "",
            r"broken.txt, record 0: \./broken.txt: expected an encoded image",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    fields: str,
    transform: str,
    words: str,
    tmp_path: Path,
    opened: Callable[..., Opened],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "broken.txt").write_text("broken.txt 3\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CaffeError, match=rf'layer "layer" \(ImageData\): .*{words}'):
        opened(param_of(fields, transform))


def test_skipping_all_images_is_refused(tmp_path: Path, opened: Callable[..., Opened]) -> None:
    with pytest.raises(CaffeError, match=r"more images than the .* to be skipped, got 20"):
        opened(param_of('source: "images.txt" root_folder: "images/" rand_skip: 4000000000'))


def test_images_of_two_sizes_are_refused_when_they_come(tmp_path: Path, opened: Callable[..., Opened]) -> None:
    (tmp_path / "list.txt").write_text("img00.png 0\nother_size.png 1\n")
    layer, top = opened(param_of(f'source: "list.txt" root_folder: "{FORMATS}/images/"'), folder=tmp_path)
    with pytest.raises(CaffeError, match=r"list.txt, record 1: expected shape \[3, 10, 12\]"):
        layer.forward([], top)
