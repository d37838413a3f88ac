"""`segment`: an image in, a map of its classes out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST
from pycaffe_lite.tools.segmentation import palette
from rigs.cli_rig import Command

cv2 = pytest.importorskip("cv2")

NET = """layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
layer { name: "s" type: "Convolution" bottom: "data" top: "s" convolution_param { num_output: 3 kernel_size: 1 } }
"""


@pytest.fixture
def net(here: Path) -> list[str]:
    """A net whose classes are the brightest of blue, green and red; an image of green and, on its right half, red."""
    Path("net.prototxt").write_text(NET)
    made = Net("net.prototxt", TEST)
    made.params["s"][0].data[...] = np.eye(3).reshape(3, 3, 1, 1)
    made.save("net.caffemodel")
    image = np.zeros((20, 40, 3), np.uint8)
    image[:, :20, 1] = image[:, 20:, 2] = 200
    cv2.imwrite("a.png", image)
    return ["--model_def", "net.prototxt", "--pretrained_model", "net.caffemodel"]


def test_pixels_get_the_colours_of_their_classes(net: list[str]) -> None:
    rows = json.loads(Command("segment", "a.png", "out.png", *net, "--format", "json").output)
    assert [(row["label"], row["pixels"], row["share"]) for row in rows] == [(1, 400, 0.5), (2, 400, 0.5)]
    picture = cv2.imread("out.png")
    assert picture.shape == (20, 40, 3)
    assert (picture[:, :20] == [0, 0, 128]).all() and (picture[:, 20:] == [0, 128, 0]).all()


def test_an_overlay_leaves_a_share_of_the_image(net: list[str]) -> None:
    assert Command("segment", "a.png", "out.png", *net, "--overlay", "0.25", "--palette=cityscapes").status == 0
    assert cv2.imread("out.png")[0, 0].tolist() == [58, 159, 61]


def test_palettes_are_those_published() -> None:
    voc = palette("voc")[[0, 1, 2, 3, 8, 15, 20, 255]].tolist()
    assert voc[:4] == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    assert voc[4:] == [[64, 0, 0], [192, 128, 128], [0, 64, 128], [224, 224, 192]]
    assert palette("cityscapes")[[0, 13, 18, 19]].tolist() == [[128, 64, 128], [0, 0, 142], [119, 11, 32], [0, 0, 0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["gone.png", "o.png"], "gone.png"),
        (["net.prototxt", "o.png"], "net.prototxt: expected an encoded image"),
        (["a.png", "o.png", "--overlay", "2"], "--overlay"),
        (["a.png", "o.jpg"], "written as .png for an INPUT that is an image, got o.jpg"),
        (["a.png", "o.png", "--label-map", "net.prototxt"], "net.prototxt"),
        (["a.png", "o.png", "--model_def", "other.prototxt"], "expected one output of N x 2 to 256 classes"),
    ],
)
def test_bad_inputs_are_told_in_a_sentence(change: list[str], message: str, net: list[str]) -> None:
    Path("other.prototxt").write_text(NET.replace("kernel_size: 1", "kernel_size: 8").replace('name: "s"', 'name: "t"'))
    done = Command("segment", *net, *change)
    said = " ".join([done.output, *done.said])
    assert done.status in (1, 2)
    assert message in said and "Traceback" not in said


def test_a_folder_of_images(net: list[str], here: Path) -> None:
    (here / "in").mkdir()
    for name in ("a.png", "a.bmp", "b.png"):
        cv2.imwrite(f"in/{name}", np.zeros((6, 6, 3), np.uint8))
    assert Command("segment", "in", "out", *net).status == 0
    assert sorted(path.name for path in (here / "out").iterdir()) == ["a.bmp.png", "a.png.png", "b.png"]
    (here / "file").touch()
    command = Command("segment", "in", "file", *net)
    assert (command.status, command.sentence()) == (
        1, "file: expected a folder for what is made of the images, or that one can be made: File exists.",
    )  # fmt: skip
