"""The WindowData layer: which windows come, where their pixels go, and what can be wrong with their file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite import rng
from pycaffe_lite.blob import Blob
from pycaffe_lite.data.sources.windows import Cutter
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.layers.contract import Place
from pycaffe_lite.layers.registry import create
from pycaffe_lite.layers.window_data import WindowData
from pycaffe_lite.phase import TEST, TRAIN
from pycaffe_lite.proto import caffe_pb2
from rigs.layer_rig import layer_param

cv2 = pytest.importorskip("cv2")

Opened = tuple[WindowData, list[Blob]]
WINDOWS = """
# 0
first.png
3
12
10
4
3 0.75 1 2 4 5
2 0.5 0 0 3 3
1 0.25 5 5 8 8
1 0.5 6 8 9 11
# 1 second.png 3 12 10 2
7 0.1 0 0 9 11   9 0.3 2 2 5 5
"""


@pytest.fixture
def opened(tmp_path: Path, generator: np.random.Generator) -> Iterator[Callable[..., Opened]]:
    """Builds WindowData layers on two images of 12 x 10 pixels, and closes them in the end."""
    made: list[WindowData] = []
    for name in ("first", "second"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), generator.integers(0, 256, (12, 10, 3), np.uint8))

    def build(
        fields: str = "", transform: str = "crop_size: 4", phase: int = TRAIN, windows: str | bytes = WINDOWS
    ) -> Opened:
        text = windows.encode() if isinstance(windows, str) else windows
        (tmp_path / "windows.txt").write_bytes(text)
        batch = "" if "batch_size" in fields else "batch_size: 8"
        param = layer_param(
            f'type: "WindowData" top: "data" top: "label" transform_param {{ {transform} }} '
            f'window_data_param {{ source: "windows.txt" {batch} {fields} }}'
        )
        layer = create(param, phase, Place(folder=str(tmp_path)))
        assert isinstance(layer, WindowData)
        top = [Blob() for _ in param.top]
        made.append(layer)
        layer.build([], top)
        return layer, top

    yield build
    for layer in made:
        layer.close()


def picture(folder: Path, name: str) -> np.ndarray:
    """The pixels of an image, C x H x W."""
    return np.asarray(cv2.imread(str(folder / f"{name}.png"))).transpose(2, 0, 1).astype(np.float32)


def test_background_comes_first_and_each_by_a_word(opened: Callable[..., Opened], tmp_path: Path) -> None:
    layer, top = opened("fg_fraction: 0.5 scale: 0.5", "crop_size: 4 mirror: true mean_value: 100")
    layer.forward([], top)
    words = rng.Generator(1)
    words.word()
    draw = rng.Generator(words.word())
    images = {name: picture(tmp_path, name) for name in ("first", "second")}
    background = [("first", 0, (5, 5, 8, 8)), ("second", 0, (0, 0, 9, 11)), ("second", 0, (2, 2, 5, 5))]
    objects = [("first", 3, (1, 2, 4, 5)), ("first", 2, (0, 0, 3, 3)), ("first", 1, (6, 8, 9, 11))]
    for i, part in enumerate([background] * 4 + [objects] * 4):
        name, label, (x1, y1, x2, y2) = part[draw.word() % 3]
        window = images[name][:, y1 : y2 + 1, x1 : x2 + 1]
        window = cv2.resize(window.transpose(1, 2, 0).astype(np.uint8), (4, 4)).transpose(2, 0, 1)
        if draw.word() % 2:
            window = window[:, :, ::-1]
        assert top[1].data[i] == label
        np.testing.assert_array_equal(top[0].data[i], (window - np.float32(100)) * np.float32(0.5))


@pytest.mark.parametrize(("phase", "transform", "words"), [(TRAIN, "", 4), (TEST, "", 2), (TEST, "mirror: true", 4)])
def test_takes_as_many_words_as_caffe(phase: int, transform: str, words: int, opened: Callable[..., Opened]) -> None:
    opened(transform=f"crop_size: 4 {transform}", phase=phase)
    expected = rng.Generator(1)
    expected.words(words)
    assert rng.word() == expected.word()


def test_state_and_restore(opened: Callable[..., Opened]) -> None:
    layer, top = opened(transform="crop_size: 4 mirror: true")
    layer.forward([], top)
    state = layer.state()
    layer.forward([], top)
    expected = top[0].data.copy()
    layer.forward([], top)
    layer.restore(state)
    layer.forward([], top)
    np.testing.assert_array_equal(top[0].data, expected)


@pytest.mark.parametrize(
    ("cutter", "corners", "mirrored", "place"),
    [
        (Cutter(20), (2, 3, 5, 9), False, ((2, 3, 5, 9), (20, 20), (0, 0))),
        # Half of 10 times 20 / 12 is 8.3, so columns and rows -3 to 13, of which 14 of 17 are in the image.
        (Cutter(20, 4), (0, 0, 9, 9), False, ((0, 0, 13, 13), (16, 16), (4, 4))),
        (Cutter(20, 4), (0, 0, 9, 9), True, ((0, 0, 13, 13), (16, 16), (4, 0))),
        # Columns 17 to 33 of an image of 30, so 13 of 17 are in it, and 4 are behind it.
        (Cutter(20, 4), (20, 5, 29, 14), False, ((17, 2, 29, 18), (20, 15), (0, 0))),
        (Cutter(20, 4), (20, 5, 29, 14), True, ((17, 2, 29, 18), (20, 15), (0, 5))),
        # 4 wide and 12 high: from the centre, at 12, 8, six to each side.
        (Cutter(20, 0, square=True), (10, 2, 13, 13), False, ((6, 2, 18, 14), (20, 20), (0, 0))),
    ],
)
def test_windows_and_their_context_go_where_they_belong(
    cutter: Cutter, corners: tuple[int, int, int, int], mirrored: bool, place: Any
) -> None:
    assert cutter.place(corners, 40, 30, mirrored) == place


def test_context_outside_the_image_is_0(opened: Callable[..., Opened]) -> None:
    windows = "# 0 first.png 3 12 10 1 1 1 0 0 4 4"
    layer, top = opened("batch_size: 1 fg_fraction: 1 context_pad: 2", "crop_size: 10 mean_value: 300", windows=windows)
    layer.forward([], top)
    filled = np.any(top[0].data[0] != 0, axis=0)
    assert filled[2:, 2:].all()
    assert filled.sum() == 64


def test_the_centre_of_a_mean_image_is_subtracted(opened: Callable[..., Opened], tmp_path: Path) -> None:
    mean = np.arange(3 * 8 * 8, dtype=np.float32).reshape(3, 8, 8)
    blob = caffe_pb2.BlobProto(num=1, channels=3, height=8, width=8, data=mean.ravel())
    (tmp_path / "mean.binaryproto").write_bytes(blob.SerializeToString())
    windows = "# 0 first.png 3 12 10 1 1 1 2 3 5 6"
    fields = "batch_size: 1 fg_fraction: 1"
    layer, top = opened(fields, 'crop_size: 4 mean_file: "mean.binaryproto"', windows=windows)
    layer.forward([], top)
    expected = picture(tmp_path, "first")[:, 3:7, 2:6] - mean[:, 2:6, 2:6]
    np.testing.assert_array_equal(top[0].data[0], expected)
    with pytest.raises(CaffeError, match=r"a mean image of 3 x 9 x 9 or more, got \[3, 8, 8\]"):
        opened(fields, 'crop_size: 9 mean_file: "mean.binaryproto"', windows=windows)


@pytest.mark.parametrize(
    ("fields", "transform", "words"),
    [
        ("batch_size: 0", "crop_size: 4", "of 1 or more each, got 0 and 4"),
        ("", "", "of 1 or more each, got 8 and 0"),
        ('crop_mode: "skew"', "crop_size: 4", '"warp" or "square", got "skew"'),
        ("context_pad: 2", "crop_size: 4", "context_pad below half of crop_size 4, got 2"),
        ("fg_fraction: 1.5", "crop_size: 4", "fg_fraction from 0 to 1, got 1.5"),
        ("fg_threshold: 2", "crop_size: 4", "expected foreground windows, of which a batch has 2"),
        ("bg_threshold: 0", "crop_size: 4", "expected background windows, of which a batch has 6"),
        ("", "crop_size: 4 mean_value: 1 mean_value: 2", "1 mean_value or one for each of 3"),
        ("", 'crop_size: 4 mean_value: 1 mean_file: "m"', "mean_file or mean_value, got both"),
    ],
)
def test_parameters_that_do_not_fit(fields: str, transform: str, words: str, opened: Callable[..., Opened]) -> None:
    with pytest.raises(CaffeError, match=rf'layer "layer" \(WindowData\): .*{words}'):
        opened(fields, transform)


@pytest.mark.parametrize(
    ("windows", "words"),
    [
        ("", "expected images and windows in them, got none"),
        ("words of a text", "image 0: expected `# number`, .* got 'words of a text'"),
        ("# 0 a.png 3 10", "image 0: expected `# number`"),
        ("# 0 a.png 3 10 x 0", "image 0: expected `# number`"),
        ("# 0 a.png 1 10 10 0", "3 channels, got 1"),
        ("# 0 a.png 3 10 10", "the number of its windows, got 'nothing'"),
        ("# 0 a.png 3 10 10 2 1 1 0 0 1 1", "for each of 2 windows"),
        ("# 0 a.png 3 10 10 1 1 1 0 0 1 x", "for each of 1 windows"),
        ("# 0 a.png 3 10 10 1 1 1 0 0 1 nan", "for each of 1 windows"),
        ("# 0 a.png 3 10 10 99999999999999999999 1", "for each of 9+ windows"),
        ("# 0 a.png 3 10 10 1 0 1 0 0 1 1", "labels of 1 or more for foreground"),
        (b"\x00\xff\xfe" * 1000, "image 0: expected `# number`"),
        ("# 0 a.png 3 10 10 1 1 1 0 0 1 1 # 1", "image 1: expected `# number`"),
    ],
)
def test_files_that_are_wrong(windows: str | bytes, words: str, opened: Callable[..., Opened]) -> None:
    with pytest.raises(CaffeError, match=rf'layer "layer" \(WindowData\): .*windows.txt.*{words}'):
        opened(windows=windows)


@pytest.mark.parametrize(
    ("windows", "words"),
    [
        (
            "# 0 first.png 3 12 10 1 1 1 0 0 10 5",
            "first.png: expected a window inside its image of height 12 and width 10",
        ),
        ("# 0 first.png 3 12 10 1 1 1 5 5 4 4", "first.png: expected a window inside"),
        ("# 0 third.png 3 12 10 1 1 1 0 0 5 5", "third.png: no such file"),
    ],
)
def test_windows_that_cannot_be_cut_out(windows: str, words: str, opened: Callable[..., Opened]) -> None:
    layer, top = opened("batch_size: 1 fg_fraction: 1", windows=windows)
    with pytest.raises(CaffeError, match=rf"\(WindowData\): .*{words}"):
        layer.forward([], top)
