"""ONNX models of detectors: as many rows as the net has, in the same order, at any batch size; and what is said where
an operator is missing."""

from __future__ import annotations

import re

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST
from pycaffe_lite.tools.export_onnx import compare, export
from pycaffe_lite.tools.export_onnx.compare import run
from rigs.net_rig import inputs, layer, net_param

MSRA = 'weight_filler { type: "msra" } bias_filler { type: "uniform" min: -0.1 max: 0.1 }'
CLASSES = 4


def conv(name: str, bottom: str, outputs: int, more: str = "kernel_size: 3 pad: 1") -> str:
    return layer(name, "Convolution", [bottom], [name], f"convolution_param {{ num_output: {outputs} {more} {MSRA} }}")


# -- one shot -----------------------------------------------------------------------------------------------


def predictions(name: str, bottom: str, outputs: int) -> str:
    """A map of predictions, as rows."""
    text = conv(name, bottom, outputs) + layer(f"{name}_perm", "Permute", [name], [f"{name}_perm"],
                                               "permute_param { order: 0 order: 2 order: 3 order: 1 }")  # fmt: skip
    return text + layer(f"{name}_flat", "Flatten", [f"{name}_perm"], [f"{name}_flat"])


def one_shot(batch: int = 2, locations: int = 4, detection: str = "") -> Net:
    """A net as SSD's: predictions from two maps, the first of them normalized."""
    text = inputs(data=[batch, 3, 33, 33]) + conv("c1", "data", 8, "kernel_size: 3 stride: 4 pad: 1")
    text += layer("r1", "ReLU", ["c1"], ["c1"])
    normal = "norm_param { across_spatial: false channel_shared: false scale_filler { value: 5 } }"
    text += layer("n1", "Normalize", ["c1"], ["n1"], normal) + conv("c2", "c1", 8, "kernel_size: 3 stride: 2 pad: 1")
    for i, (below, size) in enumerate([("n1", 8), ("c2", 16)]):
        text += predictions(f"loc{i}", below, 4 * locations) + predictions(f"conf{i}", below, 4 * CLASSES)
        prior = f"min_size: {size} max_size: {2 * size} aspect_ratio: 2 variance: 0.1 variance: 0.1 variance: 0.2"
        text += layer(f"prior{i}", "PriorBox", [below, "data"], [f"prior{i}"],
                      f"prior_box_param {{ {prior} variance: 0.2 }}")  # fmt: skip
    for name, axis in (("loc", 1), ("conf", 1), ("prior", 2)):
        end = "_flat" if name != "prior" else ""
        text += layer(name, "Concat", [f"{name}0{end}", f"{name}1{end}"], [name], f"concat_param {{ axis: {axis} }}")
    shape = f"reshape_param {{ shape {{ dim: 0 dim: -1 dim: {CLASSES} }} }}"
    text += layer("rows", "Reshape", ["conf"], ["rows"], shape)
    text += layer("prob", "Softmax", ["rows"], ["prob"], "softmax_param { axis: 2 }")
    text += layer("flat", "Flatten", ["prob"], ["flat"])
    how = detection or "share_location: true confidence_threshold: 0.3 code_type: CENTER_SIZE keep_top_k: 30"
    nms = "" if "nms_param" in how else "nms_param { nms_threshold: 0.45 top_k: 20 }"
    text += layer("found", "DetectionOutput", ["loc", "flat", "prior"], ["found"],
                  f"detection_output_param {{ num_classes: {CLASSES} {how} {nms} }}")  # fmt: skip
    return Net(net_param(text), TEST)


def feed(net: Net, batch: int) -> dict[str, np.ndarray]:
    net.blobs["data"].reshape(batch, *net.blobs["data"].shape[1:])
    net.blobs["data"].data[...] = np.random.default_rng(batch).normal(size=net.blobs["data"].shape)
    return {"data": np.ascontiguousarray(net.blobs["data"].data)}


@pytest.mark.parametrize("opset", [13, 21])
def test_the_same_rows_at_any_batch_size(opset: int) -> None:
    net = one_shot()
    exported = export(net, opset)
    assert exported.dynamic
    shape = exported.model.graph.output[0].type.tensor_type.shape
    assert [dim.dim_param or dim.dim_value for dim in shape.dim] == [1, 1, "found_2", 7]
    for batch in (1, 2, 5):
        given = feed(net, batch)
        ours = net.forward()["found"]
        theirs = run(exported.model, given, ["found"])["found"]
        assert len(set(ours[0, 0, :, 0])) == batch
        assert theirs.shape == ours.shape
        np.testing.assert_array_equal(theirs[0, 0, :, :2], ours[0, 0, :, :2])
        np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "detection",
    [
        "share_location: true confidence_threshold: 0.9999 code_type: CENTER_SIZE",  # nothing is found
        "share_location: true code_type: CENTER_SIZE keep_top_k: 7 nms_param { nms_threshold: 0.3 }",
        "share_location: true code_type: CORNER variance_encoded_in_target: true confidence_threshold: 0.2",
        "share_location: true code_type: CORNER_SIZE background_label_id: 2 confidence_threshold: 0.2",
        "share_location: false background_label_id: -1 code_type: CENTER_SIZE confidence_threshold: 0.2",
        "share_location: true code_type: CENTER_SIZE nms_param { nms_threshold: 1.5 top_k: 5 }",
        "share_location: true code_type: CENTER_SIZE clip: true confidence_threshold: 0.2",
    ],
)
def test_ways_to_choose(detection: str) -> None:
    net = one_shot(locations=4 if "share_location: true" in detection else 4 * CLASSES, detection=detection)
    exported = export(net)
    given = feed(net, 3)
    ours = net.forward()["found"]
    theirs = run(exported.model, given, ["found"])["found"]
    assert theirs.shape == ours.shape
    np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5)


def test_the_check_finds_no_fault_where_scores_are_nearly_equal() -> None:
    """All places see the same, so that rounding alone decides which box comes first."""
    net = one_shot(detection="share_location: true code_type: CENTER_SIZE keep_top_k: 9")
    for name in ("conf0", "conf1"):
        net.params[name][0].data[...] *= 1e-6
    found = compare(net, export(net))
    assert found.agrees, found


def test_opencv_finds_the_same_rows(tmp_path) -> None:  # type: ignore[no-untyped-def]
    cv2 = pytest.importorskip("cv2", minversion="5")
    net = one_shot(1)
    exported = export(net)
    path = str(tmp_path / "m.onnx")
    (tmp_path / "m.onnx").write_bytes(exported.model.SerializeToString())
    given = feed(net, 1)
    reader = cv2.dnn.readNetFromONNX(path)
    reader.setInput(given["data"], "data")
    np.testing.assert_allclose(reader.forward("found"), net.forward()["found"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("detection", "sentence"),
    [
        ("nms_param { eta: 0.9 nms_threshold: 0.6 }", "has no threshold that falls; leave out eta."),
        ("keep_top_k: 0", "it finds nothing, with its top_k, keep_top_k or num_classes."),
        ("nms_param { top_k: 0 }", "it finds nothing, with its top_k, keep_top_k or num_classes."),
    ],
)
def test_what_cannot_be_chosen(detection: str, sentence: str) -> None:
    with pytest.raises(CaffeError, match=r'layer "found" \(DetectionOutput\): .*' + re.escape(sentence)):
        export(one_shot(detection=detection))


# -- in two stages ------------------------------------------------------------------------------------------


def two_stages(proposals: str, pooling: str, more: str = "") -> Net:
    text = inputs(data=[1, 3, 48, 64], im_info=[1, 3]) + conv("map", "data", 8, "kernel_size: 5 stride: 8 pad: 2")
    text += conv("scores", "map", 18) + conv("shifts", "map", 36) + proposals + pooling
    text += layer("fc", "InnerProduct", ["part"], ["fc"], f"inner_product_param {{ num_output: 5 {MSRA} }}")
    return Net(net_param(text + more), TEST)


PYTHON = layer("rois", "Python", ["scores", "shifts", "im_info"], ["rois"],
               "python_param { module: 'rpn.proposal_layer' layer: 'ProposalLayer' "
               "param_str: \"{'feat_stride': 8, 'scales': [2, 4, 6]}\" }")  # fmt: skip
FORK = layer("rois", "Proposal", ["scores", "shifts", "im_info"], ["rois", "of_rois"],
             "proposal_param { feat_stride: 8 scale: 2 scale: 4 scale: 6 pre_nms_topn: 200 post_nms_topn: 20 "
             "nms_thresh: 0.5 min_size: 4 }")  # fmt: skip
LARGEST = layer("part", "ROIPooling", ["map", "rois"], ["part"],
                "roi_pooling_param { pooled_h: 3 pooled_w: 2 spatial_scale: 0.125 }")  # fmt: skip
BY_PLACE = layer("part", "PSROIPooling", ["map", "rois"], ["part"],
                 "psroi_pooling_param { group_size: 2 output_dim: 2 spatial_scale: 0.125 }")  # fmt: skip


@pytest.mark.parametrize("parts", [LARGEST, BY_PLACE], ids=["ROIPooling", "PSROIPooling"])
@pytest.mark.parametrize("proposals", [PYTHON, FORK], ids=["stand-in", "Proposal"])
def test_proposals_and_their_parts(proposals: str, parts: str) -> None:
    net = two_stages(proposals, parts)
    exported = export(net)
    assert exported.dynamic == (proposals == FORK)  # the stand-in takes one image
    found = compare(net, exported)
    assert found.agrees, found
    assert net.blobs["rois"].shape[0] > 5
    shape = exported.model.graph.output[-1].type.tensor_type.shape
    assert shape.dim[0].dim_param
    if proposals == FORK:
        net.blobs["data"].reshape(2, 3, 48, 64)
        assert compare(net, exported).agrees
        assert set(net.blobs["rois"].data[:, 0]) == {0, 1}


def test_a_length_that_would_have_to_be_known_before() -> None:
    cut = layer("cut", "Slice", ["fc"], ["some", "others"], "slice_param { axis: 0 slice_point: 4 }")
    with pytest.raises(CaffeError, match=r'layer "cut" \(Slice\): it needs a length that is known only when the net'):
        export(two_stages(FORK, LARGEST, cut))


def test_boxes_that_are_an_input() -> None:
    text = inputs(map=[2, 8, 6, 8], rois=[5, 5])
    net = Net(net_param(text + BY_PLACE), TEST)
    assert compare(net, export(net)).agrees
    assert np.ptp(net.blobs["rois"].data[:, 1:]) > 10  # the check made boxes for it


def test_a_users_python_layer_is_named(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "of_a_user.py").write_text(
        "import caffe\nclass Twice(caffe.Layer):\n"
        "    def setup(self, bottom, top): pass\n"
        "    def reshape(self, bottom, top): top[0].reshape(*bottom[0].shape)\n"
        "    def forward(self, bottom, top): top[0].data[...] = 2 * bottom[0].data\n"
    )
    monkeypatch.chdir(tmp_path)
    text = inputs(x=[2, 3]) + layer(
        "twice", "Python", ["x"], ["y"], 'python_param { module: "of_a_user" layer: "Twice" }'
    )
    with pytest.raises(CaffeError, match=r'layer "twice" \(Python\): ONNX has nothing for what a user'):
        export(Net(net_param(text), TEST))
