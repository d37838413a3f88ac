"""Forks: their names are theirs alone, taken where they say what Caffe says or does anyway, else refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pycaffe_lite.errors import CaffeError, ParseError
from pycaffe_lite.layers.contract import Place
from pycaffe_lite.layers.registry import MODULES, create
from pycaffe_lite.proto import caffe_pb2, forks
from pycaffe_lite.proto.caffe_pb2 import LayerParameter, NetParameter, SolverParameter
from pycaffe_lite.proto.read import read_net, read_solver
from pycaffe_lite.proto.schema import fields_of
from pycaffe_lite.proto.text import parse

NAMED = [(fork, message) for fork, added in forks._FIELDS.items() for message in added]


@pytest.mark.parametrize(("fork", "message"), NAMED)
def test_fork_fields_are_not_in_caffe(fork: str, message: str) -> None:
    fields = fields_of(caffe_pb2.DESCRIPTOR.message_types_by_name[message])
    assert not set(forks._FIELDS[fork][message].split()) & set(fields)


def test_fork_types_are_not_computed_here() -> None:
    assert not {name for names in forks._TYPES.values() for name in names.split()} & set(MODULES)


def test_names_all_forks_of_a_field() -> None:
    assert forks.fork_of("SolverParameter", "disabled_update") == "Intel Caffe"
    assert forks.fork_of("LayerParameter", "video_data_param") == "SSD or Intel Caffe"
    assert forks.fork_of("LayerParameter", "disabled_update") is None
    assert forks.fork_of("NoSuchParameter", "name") is None


def test_names_the_forks_of_a_layer_type() -> None:
    assert forks.fork_of_type("VideoData") == "SSD"
    assert forks.fork_of_type("Correlation") == "FlowNet"
    assert forks.fork_of_type("PriorBox") is None
    assert forks.fork_of_type("Convolution") is None


# What is inside of `layer { name: "x" type: "T" … }`, the same in Caffe's words, and what the log says.
LAYERS = [
    ("pooling_param { ceil_mode: false }", "pooling_param { round_mode: FLOOR }", "is taken as round_mode: FLOOR."),
    ("pooling_param { ceil_mode: true }", "pooling_param { round_mode: CEIL }", "is taken as round_mode: CEIL."),
    ("pooling_param { engine: MKL2017 }", "pooling_param { engine: DEFAULT }", "is taken as DEFAULT"),
    ("convolution_param { engine: MKLDNN }", "convolution_param { engine: DEFAULT }", "is taken as DEFAULT"),
    ("relu_param { engine: CUDNN_V5 }", "relu_param { engine: DEFAULT }", "is taken as DEFAULT"),
    ("convolution_param { engine: LIBDNN }", "convolution_param { engine: DEFAULT }", "is taken as DEFAULT"),
    ("batch_norm_param { engine: CUDNN }", "batch_norm_param { }", "the results are the same without it"),
    ("batch_norm_param { scale_bias: false }", "batch_norm_param { }", "it is what Caffe does anyway"),
    ("batch_norm_param { disable_variance: false }", "batch_norm_param { }", "it is what Caffe does anyway"),
    ('engine: "MKLDNN:CPU"', "", "an addition of Intel Caffe, is ignored"),
    ('engine: "CAFFE"', "", "is ignored"),
    (
        "forward_type: FLOAT backward_type: FLOAT forward_math: FLOAT backward_math: FLOAT",
        "",
        "it is what Caffe does anyway",
    ),
    ("debug: true", "", "an addition of NVCaffe, is ignored"),
    ("cudnn_math_override: -1", "", "it is what Caffe does anyway"),
    ("data_param { cache: true }", "data_param { }", "cache: true in DataParameter, an addition of NVCaffe"),
    ("data_param { threads: 4 parser_threads: 2 }", "data_param { }", "the results are the same without it"),
    ("image_data_param { prefetch: 4 }", "image_data_param { }", "the results are the same without it"),
    ("transform_param { use_gpu_transform: true }", "transform_param { }", "the results are the same without it"),
    ("transform_param { crop_h: 0 crop_w: 0 }", "transform_param { }", "it is what Caffe does anyway"),
    ("convolution_param { cudnn_convolution_algo_seeker: FINDEX }", "convolution_param { }", "the same without it"),
    ('convolution_param { conv_algos_override: "1,1,1" }', "convolution_param { }", "the same without it"),
    ("dropout_param { scale_train: true }", "dropout_param { }", "Faster R-CNN, is ignored: it is what Caffe does"),
    ("dropout_param { sample_weights_test: false }", "dropout_param { }", "an addition of SegNet"),
    ("loss_param { weight_by_label_freqs: false }", "loss_param { }", "it is what Caffe does anyway"),
    ("detection_output_param { visualize: true }", "detection_output_param { }", "the same without it"),
    (
        'detection_output_param { visualize_threshold: 0.6 save_file: "a.avi" }',
        "detection_output_param { }",
        "the same without it",
    ),
    ("loss_param { label_smoothing: 0.0 }", "loss_param { }", "label_smoothing: 0 in LossParameter"),
]


@pytest.mark.parametrize(("text", "caffes", "line"), LAYERS)
def test_layers_say_what_caffe_says(text: str, caffes: str, line: str, messages: list[str]) -> None:
    net = parse(f'layer {{\n  name: "x" type: "T"\n  {text}\n}}', NetParameter, "net")
    assert net == parse(f'layer {{ name: "x" type: "T" {caffes} }}', NetParameter)
    assert len(messages) == text.count(": ")
    assert all(message.startswith("Inet:3: ") and line in message for message in messages[:1])


SOLVERS = [
    "per_parameter_reduce: true",
    "solver_data_type: FLOAT store_blobs_in_old_format: false",
    "larc: false larc_turbo: false",
    "local_lr_auto: false local_gw_ratio: 0.001",
    'momentum_policy: "fixed" weight_decay_policy: "fixed"',
    "rampup_interval: 0",
    'disabled_update: false engine: "MKL2017"',
]
NETS = [
    "default_forward_type: FLOAT default_backward_math: FLOAT",
    "default_backward_type: FLOAT default_forward_math: FLOAT",
    "global_grad_scale: 1. global_grad_scale_adaptive: false reduce_buckets: 3",
    'default_conv_algos_override: "0,0,0" default_cudnn_math_override: -1',
    'engine: "MKLDNN" quantize: false',
]


@pytest.mark.parametrize("text", SOLVERS)
def test_solvers_say_what_caffe_says(text: str, messages: list[str]) -> None:
    assert parse(f"base_lr: 1\n{text}", SolverParameter, "solver") == SolverParameter(base_lr=1)
    assert len(messages) == text.count(":")
    assert all(message.startswith("Isolver:2: ") for message in messages)


@pytest.mark.parametrize("text", NETS)
def test_nets_say_what_caffe_says(text: str, messages: list[str]) -> None:
    assert parse(text, NetParameter, "net") == NetParameter()
    assert len(messages) == text.count(":")


def test_every_spelling_is_tried() -> None:
    tried = " ".join([text for text, *_ in LAYERS] + SOLVERS + NETS + [text for text, *_ in REFUSED])
    words = set(tried.replace(":", " ").split())
    known = {name for names in forks._SPELLINGS.values() for name in names}
    assert not known - words


@pytest.mark.parametrize("message", sorted(forks._SPELLINGS))
def test_no_spelling_hides_a_field_of_caffes(message: str) -> None:
    fields = fields_of(caffe_pb2.DESCRIPTOR.message_types_by_name[message])
    spellings = forks._SPELLINGS[message]
    assert not set(spellings) & set(fields)
    assert {spelling.target for spelling in spellings.values()} - {""} <= set(fields)


def test_one_line_tells_of_the_same_spelling_in_many_layers(messages: list[str]) -> None:
    layer = 'layer { name: "x" type: "ReLU" relu_param { engine: MKL2017 } }\n'
    parse(layer * 12, NetParameter, "net")
    (line,) = messages
    assert line.startswith("Inet:1, 2, 3, 4, 5, 6, 7, 8 and 4 more: engine: MKL2017 in ReLUParameter, ")


# -- what is refused -----------------------------------------------------------------------------------------

# What is inside of `layer { name: "x" type: "T" … }`, and what the error says.
REFUSED = [
    ("batch_norm_param { scale_bias: true }", "NVCaffe, .*a Scale layer with bias_term: true .*; only false, "),
    ("batch_norm_param { disable_mean: true }", "caffe-windows, .*; only false, which is what Caffe does, is taken"),
    ("forward_type: FLOAT16", "NVCaffe, .*; only FLOAT, "),
    ("transform_param { crop_h: 224 }", "SSD or Intel Caffe or caffe-windows"),
    ("transform_param { img_rand_resize_lower: 256 img_rand_resize_upper: 480 }", "NVCaffe"),
    ("transform_param { flow: true }", "Intel Caffe"),
    ("dropout_param { scale_train: false }", "Faster R-CNN, .*; only true, "),
    ("loss_param { weight_by_label_freqs: true }", "SegNet or ENet"),
    ("loss_param { label_smoothing: 0.1 }", "Intel Caffe"),
    ("convolution_param { hole: 2 }", 'DeepLab, .*; in Caffe it is "dilation"'),
    ("video_data_param { }", "SSD or Intel Caffe"),
    ("densecrf_param { }", "DeepLab"),
    ("normalize_param { }", "caffe-windows"),
]


@pytest.mark.parametrize(("text", "problem"), REFUSED)
def test_refuses_what_would_change_the_layer(text: str, problem: str, messages: list[str]) -> None:
    place = r'^net:3:\d+: layer "x" \(T\): \w+ has no field "\w+"; it is an addition of .*'
    with pytest.raises(ParseError, match=place + problem):
        parse(f'layer {{\n  name: "x" type: "T"\n  {text}\n}}', NetParameter, "net")
    assert messages == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("larc: true", "NVCaffe"),
        ("rampup_interval: 100", "NVCaffe, .*; only 0, "),
        ('momentum_policy: "poly"', "NVCaffe"),
        ("max_epoch: 5", "NVCaffe"),
        ("disabled_update: true", "Intel Caffe"),
        ('weight_decay_type: "L1"', 'no field "weight_decay_type"'),
        ("larc { }", 'expected ":" and a value after "larc"'),
        ("larc: false larc: false", '"larc" is given a second time'),
    ],
)
def test_refuses_what_would_change_the_training(text: str, problem: str) -> None:
    with pytest.raises(ParseError, match=f"^solver:1:.*{problem}"):
        parse(text, SolverParameter, "solver")


@pytest.mark.parametrize("order", ["ceil_mode: true round_mode: CEIL", "round_mode: FLOOR ceil_mode: true"])
def test_refuses_two_spellings_of_one_thing(order: str) -> None:
    with pytest.raises(ParseError, match='"round_mode" is given a second time'):
        parse(f"layer {{ pooling_param {{ {order} }} }}", NetParameter)


@pytest.mark.parametrize(
    "text",
    [
        "relu_param { engine: MKL2018 }",
        "relu_param { engine: RISTRETTO }",
        'engine: "TURBO"',
        "data_param { engine: 3 }",
    ],
)
def test_refuses_unknown_engines(text: str) -> None:
    with pytest.raises(ParseError, match="engine"):
        parse(f"layer {{ {text} }}", NetParameter)


# -- layer types ---------------------------------------------------------------------------------------------

TYPES = [
    ("VideoData", "SSD"),
    ("BoxAnnotatorOHEM", "R-FCN"),
    ("DenseImageData", "SegNet"),
    ("DenseCRF", "DeepLab"),
    ("Correlation", "FlowNet"),
    ("FocalLoss", "caffe-windows"),
    ("Lstm", "caffe-lstm, which is not in Caffe; in Caffe, an LSTM has a recurrent_param"),
]


@pytest.mark.parametrize(("name", "fork"), TYPES)
def test_refuses_the_types_of_forks(name: str, fork: str) -> None:
    sentence = rf'^net:7: layer "x": unknown layer type "{name}"; it is an addition of {fork}'
    with pytest.raises(CaffeError, match=sentence):
        create(LayerParameter(name="x", type=name), place=Place("net:7: "))


@pytest.mark.parametrize(("name", "fork"), [("DENSE_IMAGE_DATA", "SegNet"), ("IMAGE_SEG_DATA", "DeepLab")])
def test_refuses_the_old_types_of_forks(name: str, fork: str) -> None:
    with pytest.raises(ParseError, match=f'^net:1:16: "type" takes one of its names, got "{name}"; .*{fork}'):
        parse(f"layers {{ type: {name} }}", NetParameter, "net")


V1_TYPES = [
    ("BN", "BN", "bn_param { bn_mode: INFERENCE }"),
    ("INTERP", "Interp", "interp_param { zoom_factor: 2 }"),
    ("L1_LOSS", "L1Loss", "l1_loss_param { l2_per_location: true }"),
    ("NORMALIZE", "Normalize", "norm_param { across_spatial: false }"),
    ("PERMUTE", "Permute", "permute_param { order: 0 }"),
    ("RELU6", "ReLU6", "relu6_param { negative_slope: 0.1 }"),
    ("REVERSE", "Reverse", "reverse_param { axis: 1 }"),
    ("ROI_POOLING", "ROIPooling", "roi_pooling_param { pooled_h: 7 pooled_w: 7 }"),
    ("SEG_ACCURACY", "SegAccuracy", "seg_accuracy_param { ignore_label: 255 }"),
    ("SMOOTH_L1_LOSS", "SmoothL1Loss", "smooth_l1_loss_param { sigma: 3 }"),
    ("TRANSPOSE", "Transpose", "transpose_param { dim: 0 }"),
    ("TRIPLET_LOSS", "TripletLoss", "triplet_loss_param { margin: 2 }"),
    ("UPSAMPLE", "Upsample", "upsample_param { scale: 2 }"),
]


@pytest.mark.parametrize(("old", "present", "param"), V1_TYPES)
def test_old_texts_of_forks_become_the_present_form(old: str, present: str, param: str, tmp_path: Path) -> None:
    path = tmp_path / "net"
    path.write_text(f'layers {{ name: "x" type: {old} bottom: "a" top: "b" {param} }}')
    expected = parse(f'layer {{ name: "x" type: "{present}" bottom: "a" top: "b" {param} }}', NetParameter)
    assert read_net(str(path)).param == expected


# -- mixed spellings, in files -------------------------------------------------------------------------------

NET = """name: "n"
layer {
  name: "p" type: "Pooling" bottom: "a" top: "b"
  include { phase: TEST }
  pooling_param { pool: MAX kernel_size: 2 global_pooling: true }
}
layer { name: "l" type: "EuclideanLoss" loss_weight: 2 propagate_down: false }
"""
SOLVER = 'net: "n.prototxt"\nbase_lr: 1\nmomentum: 0.5\ntest_iter: 3\nsnapshot_prefix: "x"\ndebug_info: true\n'
SPELLINGS = {
    "python booleans": [("true", "True"), ("false", "False")],
    "trailing dots": [("loss_weight: 2", "loss_weight: 2."), ("base_lr: 1", "base_lr: 1."), ("0.5", ".5")],
    "an f behind": [("loss_weight: 2", "loss_weight: 2f"), ("base_lr: 1", "base_lr: 1.0f")],
    "single quotes": [('"', "'")],
    "colons before brackets": [(" {", ": {")],
    "angles": [("{", "<"), ("}", ">")],
    "carriage returns": [("\n", "\r\n")],
    "old line ends": [("\n", "\r")],
    "tabs": [(" ", "\t")],
    "comments in UTF-8": [("\n", " # größer 模型\n")],
    "semicolons": [("\n  inc", ";\n  inc"), (" top", "; top"), ("}\nlayer", "};\nlayer"), ("\nmom", ";\nmom")],
    "commas": [(" top", ", top"), (" kernel", ", kernel"), ("\nmom", ",\nmom")],
    "lists": [("loss_weight: 2", "loss_weight: [2]"), ("test_iter: 3", "test_iter: [ 3 ]")],
    "no spaces": [(": ", ":"), (" {", "{")],
    "no newline at the end": [("false }\n", "false }"), ("true\n", "true")],
    "a byte-order mark": [('name: "n"', '\ufeffname: "n"'), ("net:", "\ufeffnet:")],
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("text", [NET, SOLVER], ids=["net", "solver"])
def test_reads_all_that_people_write(spelling: str, text: str, tmp_path: Path, messages: list[str]) -> None:
    written = text
    for old, new in SPELLINGS[spelling]:
        written = written.replace(old, new)
    path = tmp_path / "file.prototxt"
    path.write_bytes(written.encode())
    found = read_net(str(path)).param if text is NET else read_solver(str(path)).param
    assert found == parse(text, type(found))
    assert messages == []


def test_each_spelling_differs_in_both_files() -> None:
    alone = {spelling for spelling, changes in SPELLINGS.items() if not any(old in SOLVER for old, _ in changes)}
    assert alone == {"colons before brackets", "angles"}  # a solver's text has no brackets
    assert all(any(old in NET for old, _ in changes) for changes in SPELLINGS.values())
