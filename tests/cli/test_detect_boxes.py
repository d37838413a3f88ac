"""`detect` with nets that find boxes: an image in, a table of boxes out."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST
from rigs.cli_rig import Command

cv2 = pytest.importorskip("cv2")

SSD = """name: "small"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
layer { name: "loc" type: "InnerProduct" bottom: "data" top: "loc" inner_product_param { num_output: 8 } }
layer { name: "conf" type: "InnerProduct" bottom: "data" top: "conf" inner_product_param { num_output: 6 } }
layer { name: "priors" type: "DummyData" top: "priors" dummy_data_param { shape { dim: 1 dim: 2 dim: 8 } } }
layer { name: "found" type: "DetectionOutput" bottom: "loc" bottom: "conf" bottom: "priors" top: "found"
  detection_output_param { num_classes: 3 nms_param { nms_threshold: 0.5 } variance_encoded_in_target: true } }
"""
BOXES = [0.1, 0.25, 0.5, 0.75, 0.6, 0.5, 1.5, 1.0]
"""Where the small net finds something: its biases, since its weights are 0."""

REGIONS = """name: "regions"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
layer { name: "im_info" type: "Input" top: "im_info" input_param { shape { dim: 1 dim: 3 } } }
layer { name: "seen" type: "Reduction" bottom: "data" top: "seen" reduction_param { axis: 1 } }
layer { name: "quiet" type: "Silence" bottom: "seen" }
layer { name: "rois" type: "InnerProduct" bottom: "im_info" top: "raw" inner_product_param { num_output: 15 } }
layer { name: "rows" type: "Reshape" bottom: "raw" top: "rois" reshape_param { shape { dim: 3 dim: 5 } } }
layer { name: "prob" type: "InnerProduct" bottom: "rois" top: "cls_prob" inner_product_param { num_output: 2 } }
layer { name: "shift" type: "InnerProduct" bottom: "rois" top: "bbox_pred" inner_product_param { num_output: 8 } }
"""


def write_net(text: str, **values: object) -> list[str]:
    """The options for a net whose weights are 0 but for these."""
    Path("net.prototxt").write_text(text)
    net = Net("net.prototxt", TEST)
    for blobs in net.params.values():
        for blob in blobs:
            blob.data[...] = 0
    for name, value in values.items():
        net.params[name][1].data[...] = value
    net.save("net.caffemodel")
    net.close()
    return ["--model_def", "net.prototxt", "--pretrained_model", "net.caffemodel"]


@pytest.fixture
def ssd(here: Path) -> list[str]:
    cv2.imwrite("a.png", np.full((40, 80, 3), 90, np.uint8))
    return write_net(SSD, loc=BOXES, conf=[0, 0.9, 0, 0, 0, 0.6])


def test_boxes_are_printed_as_csv_in_pixels(ssd: list[str]) -> None:
    rows = list(csv.reader(Command("detect", "a.png", *ssd, "--format", "csv").output.splitlines()))
    assert rows == [
        ["image", "label", "name", "score", "xmin", "ymin", "xmax", "ymax"],
        ["a.png", "1", "class 1", "0.9000", "8.0", "10.0", "40.0", "30.0"],
        ["a.png", "2", "class 2", "0.6000", "48.0", "20.0", "80.0", "40.0"],
    ]


def test_names_come_from_a_label_map_and_scores_below_the_threshold_go(ssd: list[str]) -> None:
    items = "".join(
        f'item {{ name: "n{i}" label: {i} display_name: "{n}" }}\n' for i, n in enumerate(["none", "a", "b"])
    )
    Path("map.prototxt").write_text(items)
    Path("names.txt").write_text("a\nb\n")
    for names in ("map.prototxt", "names.txt"):
        out = Command("detect", "a.png", *ssd, "--format=json", "--label-map", names, "--threshold", "0.7").output
        assert [(each["name"], each["label"]) for each in json.loads(out)] == [("a", 1)]


def test_voc_xml_counts_pixels_from_1(ssd: list[str]) -> None:
    root = ElementTree.fromstring(Command("detect", "a.png", *ssd, "--format", "xml").output)
    assert [int(each.text or "") for each in root.findall("object/bndbox/*")] == [9, 11, 41, 31, 49, 21, 80, 40]


def test_a_folder_gets_an_xml_for_each_image(ssd: list[str], here: Path) -> None:
    single = Command("detect", "a.png", *ssd, "--format=xml").output
    (here / "many").mkdir()
    for name in ("a.png", "b.bmp", "b.png"):
        cv2.imwrite(f"many/{name}", np.full((40, 80, 3), 90, np.uint8))
    done = Command("detect", "many", *ssd, "--format=xml", "-o", "out")
    assert (done.status, done.output) == (0, "")
    assert sorted(path.name for path in (here / "out").iterdir()) == ["a.xml", "b.bmp.xml", "b.png.xml"]
    assert (here / "out" / "a.xml").read_text() + "\n" == single
    refused = Command("detect", "many", *ssd, "--format=xml")
    assert (refused.status, refused.sentence()) == (
        2, "--format xml makes a file for each image of a folder: give -o, the folder for them.",
    )  # fmt: skip


@pytest.mark.parametrize("batch", [2, 5])
def test_a_net_of_several_images_finds_the_same(batch: int, ssd: list[str], here: Path) -> None:
    (here / "many").mkdir()
    for name, side in (("a", 10), ("b", 20), ("c", 30)):
        cv2.imwrite(f"many/{name}.png", np.full((side, 2 * side, 3), side, np.uint8))
    expected = Command("detect", "many", *ssd, "--format=csv").output
    text = Path("net.prototxt").read_text()
    Path("net.prototxt").write_text(text.replace("dim: 1 dim: 3", f"dim: {batch} dim: 3"))
    assert Command("detect", "many", *ssd, "--format=csv").output == expected
    assert len(expected.splitlines()) == 7


def test_boxes_are_drawn_for_an_image_and_for_a_folder(ssd: list[str], here: Path) -> None:
    assert Command("detect", "a.png", *ssd, "-o", "out.png").status == 0
    picture = cv2.imread("out.png")
    assert picture.shape == (40, 80, 3)
    assert (picture[25, 8] != 90).any() and (picture[35, 5] == 90).all()
    (here / "many").mkdir()
    (here / "a.png").rename(here / "many" / "a.png")
    assert Command("detect", "many", *ssd, "-o", "drawn").status == 0
    np.testing.assert_array_equal(cv2.imread("drawn/a.png"), picture)


def test_mean_and_scale_reach_the_input(ssd: list[str]) -> None:
    net = Net("net.prototxt", TEST, weights="net.caffemodel")
    net.params["conf"][0].data[1] = 1 / 192
    net.save("net.caffemodel")
    out = Command("detect", "a.png", *ssd, "--format=json", "--mean-value", "88,90,92", "--input_scale", "0.5").output
    assert json.loads(out)[0]["score"] == pytest.approx(0.9)
    out = Command("detect", "a.png", *ssd, "--format=json", "--mean-value", "80,80,80", "--input_scale", "0.01").output
    assert json.loads(out)[0]["score"] == pytest.approx(1.0)


def test_faster_rcnn_scales_back_and_suppresses(here: Path) -> None:
    cv2.imwrite("a.png", np.full((40, 80, 3), 90, np.uint8))
    # 40 x 80 becomes 500 x 1000: a scale of 12.5.
    rois = [0, 125, 125, 375, 375, 0, 125, 125, 375, 400, 0, 500, 125, 750, 375]
    net = write_net(REGIONS, rois=rois, prob=[0.2, 0.8], shift=[0] * 4 + [0.1, 0, 0, 0])
    found = json.loads(Command("detect", "a.png", *net, "--format=json").output)
    corners = [[each[key] for key in ("xmin", "ymin", "xmax", "ymax")] for each in found]
    # 10 to 30 is 21 wide; the shift is a tenth of that.
    np.testing.assert_allclose(corners, [[12.1, 10, 33.1, 31], [42.1, 10, 63.1, 31]], atol=1e-4)


def test_rfcn_has_one_box_for_all_classes(here: Path) -> None:
    """8 columns of bbox_pred, whatever the number of classes: the background's, and those of all others."""
    cv2.imwrite("a.png", np.full((40, 80, 3), 90, np.uint8))
    rois = [0, 125, 125, 375, 375, 0, 125, 125, 375, 400, 0, 500, 125, 750, 375]
    text = REGIONS.replace("num_output: 2", "num_output: 4")
    net = write_net(text, rois=rois, prob=[0.1, 0.8, 0.2, 0.7], shift=[9] * 4 + [0.1, 0, 0, 0])
    found = json.loads(Command("detect", "a.png", *net, "--format=json", "--threshold=0.6").output)
    assert [(each["label"], each["score"]) for each in found] == [
        *[(1, pytest.approx(0.8))] * 2, *[(3, pytest.approx(0.7))] * 2,
    ]  # fmt: skip
    corners = [[each[key] for key in ("xmin", "ymin", "xmax", "ymax")] for each in found]
    np.testing.assert_allclose(corners, [[12.1, 10, 33.1, 31], [42.1, 10, 63.1, 31]] * 2, atol=1e-4)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("num_output: 8", "num_output: 12", "bbox_pred R x 4 for each class or R x 8 for all, got rois [3, 5], cls_"),
        ("shape { dim: 1 dim: 3 }", "shape { dim: 1 dim: 4 }", "an im_info of height, width and scale, 1 x 3, got"),
    ],
)
def test_regions_that_do_not_fit_are_refused(old: str, new: str, message: str, here: Path) -> None:
    cv2.imwrite("a.png", np.full((40, 80, 3), 90, np.uint8))
    assert message in Command("detect", "a.png", *write_net(REGIONS.replace(old, new))).sentence()


def test_corners_that_are_no_numbers_are_left_out(ssd: list[str], here: Path) -> None:
    net = write_net(SSD, loc=[np.nan, *BOXES[1:]], conf=[0, 0.9, 0, 0, 0, 0.6])
    out = Command("detect", "a.png", *net, "--format=json", "-o", "a_out.png").output
    assert [each["label"] for each in json.loads(out)] == [2]
    net = write_net(REGIONS, rois=[0, 0, 0, 9, 9] * 3, prob=[0, 1], shift=[0, 0, 999, 999, 0, 0, 999, np.nan])
    assert json.loads(Command("detect", "a.png", *net, "--format=json").output) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list.csv"], "INPUT list.csv is a list, for R-CNN's nets that classify windows, and wants an OUTPUT"),
        (["list.csv", "out.csv", "--mean_file="], "expected a net that classifies the windows of list.csv, got one"),
        (["list.txt", "out.npy", "--mean_file="], "expected a net that classifies the windows of list.txt, got one"),
        (["list.csv", "out.csv"], "there is no python/caffe/imagenet/ilsvrc_2012_mean.npy here"),
        (["list.csv", "out.csv", "--mean-value=1"], "--mean-value is for boxes"),
        (["a.png", "out.csv"], "without one, boxes are found in images"),
        (["a.png", "-o", "a.jpg"], "written as .png for an INPUT that is an image, got a.jpg"),
    ],
)
def test_lists_are_for_nets_that_classify(arguments: list[str], message: str, ssd: list[str]) -> None:
    Path("list.csv").write_text("filename,ymin,xmin,ymax,xmax\na.png,0,0,9,9\n")
    Path("list.txt").write_text("a.png\n")
    done = Command("detect", *arguments, *ssd)
    assert done.status in (1, 2)
    assert message in done.sentence()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["gone.png"], "gone.png"),
        (["empty"], "expected images"),
        (["net.prototxt"], "net.prototxt"),
        (["a.png", "--label-map", "one.txt"], "3 classes, got 1"),
        (["a.png", "--threshold", "1.5"], "1.5"),
        (["a.png", "--model_def", "other.prototxt"], "expected one that finds boxes"),
        (["a.png", "--pretrained_model", "a.png"], "a.png"),
        (["a.png", "--mean-value", "1,2"], "mean of 1 or 3"),
        (["a.png", "--mean-value", "x"], "expected numbers"),
    ],
)
def test_bad_inputs_are_told_in_a_sentence(change: list[str], message: str, ssd: list[str], here: Path) -> None:
    (here / "empty").mkdir()
    Path("one.txt").write_text("only")
    Path("other.prototxt").write_text(SSD[: SSD.index('layer { name: "found"')])
    done = Command("detect", *ssd, *change)
    said = " ".join([done.output, *done.said])
    assert done.status in (1, 2)
    assert message in said and "Traceback" not in said
