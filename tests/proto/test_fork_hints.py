"""What errors say of the names of forks: whose they are, and what one can do; never a near name of Caffe's."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError, ParseError
from pycaffe_lite.layers.registry import MODULES, create
from pycaffe_lite.proto import forks
from pycaffe_lite.proto.caffe_pb2 import LayerParameter, NetParameter
from pycaffe_lite.proto.text import parse
from rigs.net_rig import inputs, layer, make_net

TYPES = [
    "RegionLoss",
    "EvalDetection",
    "BoxData",
    "DetectionLoss",
    "Yolov3",
    "Yolov3DetectionOutput",
    "YoloDetectionOutput",
    "CtcLoss",
    "CTCGreedyDecoder",
    "WarpCTCLoss",
    "ContinuationIndicator",
    "DenseBlock",
    "SpatialTransformer",
    "SoftmaxWithLossOHEM",
    "ImageLabelmapData",
    "MarginInnerProduct",
    "Correlation",
    "FlowWarp",
    "Resample",
    "Downsample",
    "Squeeze",
    "BinaryConvolution",
    "DetectNetTransformation",
    "Reorg",
    "Proposal",
    "Reverse",
    "Transpose",
    "TripletLoss",
    "CenterLoss",
    "L1Loss",
]
V1_TYPES = ["VIDEO_DATA", "CONVOLUTION3D", "POOLING3D", "POOLING_3D"]
FIELDS = [
    "denseblock_param { numTransition: 2 }",
    "st_param { to_compute_dU: false }",
    "convolution_param { pad_l: 1 }",
    "pooling_param { pad_r: 1 }",
    "quantization_param { bw_layer_in: 8 }",
]


def refusal(name: str) -> str:
    with pytest.raises(CaffeError) as caught:
        create(LayerParameter(name="x", type=name))
    return str(caught.value)


@pytest.mark.parametrize("name", [name for name in TYPES if name not in MODULES])
def test_a_type_of_a_fork_is_named_as_one(name: str) -> None:
    sentence = refusal(name)
    assert re.search(
        rf'unknown layer type "{name}"; it is an addition of \w.*, which is not in Caffe; \w.*\.$', sentence
    )
    assert "did you mean" not in sentence


@pytest.mark.parametrize("name", V1_TYPES)
def test_c3d_has_types_of_its_own(name: str) -> None:
    problem = rf'got "{name}"; it is an addition of C3D, which is not in Caffe; \w.*\.\n'
    with pytest.raises(ParseError, match=problem):
        parse(f"layers {{ type: {name} }}", NetParameter)


@pytest.mark.parametrize("text", FIELDS)
@pytest.mark.parametrize("around", ["layer", "layers"])
def test_a_field_of_a_fork_is_named_as_one(text: str, around: str) -> None:
    problem = r'has no field "\w+"; it is an addition of \w.*, which is not in Caffe; \w.*\.\n'
    with pytest.raises(ParseError, match=problem):
        parse(f"{around} {{ {text} }}", NetParameter)


@pytest.mark.parametrize(("name", "kind"), [("CONVOLUTION3D", "Convolution"), ("POOLING_3D", "Pooling")])
def test_c3d_in_layers_of_volumes(name: str, kind: str) -> None:
    with pytest.raises(ParseError, match=rf"; (here|in Caffe), a {kind} of bottoms N x C x L x H x W"):
        parse(f"layers {{ type: {name} }}", NetParameter)


def test_gradients_in_float16() -> None:
    with pytest.raises(ParseError, match=r"addition of NVCaffe, .*; leave it out: it keeps gradients in float16"):
        parse("global_grad_scale: 1000", NetParameter)


def test_every_sentence_ends_with_what_one_can_do() -> None:
    names = {name for names in forks._TYPES.values() for name in names.split()}
    names |= {name for added in forks._FIELDS.values() for text in added.values() for name in text.split()}
    for name in names:
        sentence = forks.addition("A or B", name)
        assert re.search(
            r"not in Caffe; (in Caffe|it is taken|leave it out|it needs code of one of these forks)", sentence
        )


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("SpatialTransformer", "it needs code of that fork, or a Python layer that does the same."),
        ("Correlation", "it needs code of that fork, or a Python layer that does the same."),
        ("MarginInnerProduct", "it needs code of one of these forks, or a Python layer that does the same."),
        ("Squeeze", "in Caffe, a Reshape or a Flatten does it."),
    ],
)
def test_ends(name: str, end: str) -> None:
    assert refusal(name).endswith(end)


@pytest.mark.parametrize(("old", "new"), [("blobs_lr: 1", "lr_mult"), ("weight_decay: 0", "decay_mult")])
def test_rates_of_v1_in_a_new_layer_point_to_param(old: str, new: str) -> None:
    name = old.partition(":")[0]
    with pytest.raises(
        ParseError, match=rf'no field "{name}"; V1 layers have: .*, write param \{{ {new}: … \}}, one for'
    ):
        parse(f'layer {{ name: "x" type: "Convolution" {old} }}', NetParameter)


# -- what the sentences propose computes what the fork's layer does ------------------------------------------


def run(text: str, **values: np.ndarray) -> dict[str, np.ndarray]:
    net = make_net(inputs(**{name: value.shape for name, value in values.items()}) + text)
    for name, value in values.items():
        net.blobs[name].data[...] = value
    net.forward()
    return {name: blob.data.copy() for name, blob in net.blobs.items()}


def test_axpy_in_layers_of_caffe() -> None:
    generator = np.random.default_rng(1)
    a, x, y = (generator.normal(size=shape).astype(np.float32) for shape in ((2, 3, 1, 1), (2, 3, 4, 5), (2, 3, 4, 5)))
    text = layer("f", "Flatten", ["a"], ["flat"]) + layer(
        "s", "Scale", ["x", "flat"], ["ax"], "scale_param { axis: 0 }"
    )
    blobs = run(text + layer("e", "Eltwise", ["ax", "y"], ["sum"]), a=a, x=x, y=y)
    np.testing.assert_allclose(blobs["sum"], a * x + y, rtol=1e-6)


def test_l1_loss_in_layers_of_caffe() -> None:
    generator = np.random.default_rng(2)
    x, y = (generator.normal(size=(2, 3)).astype(np.float32) for _ in range(2))
    text = layer("e", "Eltwise", ["x", "y"], ["d"], "eltwise_param { coeff: 1 coeff: -1 }")
    blobs = run(text + layer("r", "Reduction", ["d"], ["loss"], "reduction_param { operation: ASUM }"), x=x, y=y)
    np.testing.assert_allclose(blobs["loss"], abs(x - y).sum(), rtol=1e-6)


def test_the_continuation_indicator_in_layers_of_caffe() -> None:
    data = "dummy_data_param {{ data_filler {{ value: {} }} shape {{ dim: {} dim: 2 }} }}"
    text = layer("z", "DummyData", [], ["zeros"], data.format(0, 1)) + layer(
        "o", "DummyData", [], ["ones"], data.format(1, 3)
    )
    blobs = run(
        text + layer("c", "Concat", ["zeros", "ones"], ["cont"], "concat_param { axis: 0 }"), x=np.zeros((1, 1))
    )
    np.testing.assert_array_equal(blobs["cont"], [[0, 0], [1, 1], [1, 1], [1, 1]])


def test_a_convolution_over_three_axes() -> None:
    weights = 'weight_filler { type: "constant" value: 1 }'
    fields = f"convolution_param {{ num_output: 1 kernel_size: 2 bias_term: false {weights} }}"
    text = layer("c", "Convolution", ["x"], ["y"], fields)
    blobs = run(text, x=np.arange(27, dtype=np.float32).reshape(1, 1, 3, 3, 3))
    cube = np.arange(27.0).reshape(3, 3, 3)
    expected = [[[cube[i : i + 2, j : j + 2, k : k + 2].sum() for k in (0, 1)] for j in (0, 1)] for i in (0, 1)]
    np.testing.assert_array_equal(blobs["y"][0, 0], expected)
