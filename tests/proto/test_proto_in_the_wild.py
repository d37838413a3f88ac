"""Nets and solvers as people published them: what Caffe reads is read, and what it refuses gets a way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from pycaffe_lite.errors import CaffeError, ParseError
from pycaffe_lite.layers.registry import create
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST, TRAIN
from pycaffe_lite.proto.caffe_pb2 import LayerParameter, NetParameter, SolverParameter
from pycaffe_lite.proto.read import read_net
from pycaffe_lite.proto.text import parse
from pycaffe_lite.solvers.registry import get_solver
from rigs.proto_rig import CLASSES, DATA, LOSS, RATE, write

V1_DATA = """layers {
  name: "data" type: DUMMY_DATA top: "data" top: "label"
  dummy_data_param {
    num: [2, 2] channels: 3 channels: 1 height: 8 height: 1 width: 8 width: 1
    data_filler { type: "gaussian" } data_filler { type: "constant" }
  }
}
"""


# -- nets that run -------------------------------------------------------------------------------------------

# What stands behind the data layer, and the shape of a blob that it makes.
LAYERS = {
    "kernels of two lengths": (
        'layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 4 kernel_h: 1 '
        "kernel_w: 3 stride_h: 1 stride_w: 1 pad_h: 0 pad_w: 1 } }",
        (2, 4, 8, 8),
    ),
    "pad_w alone": (
        'layer { name: "c" type: "Convolution" bottom: "data" top: "c" '
        "convolution_param { num_output: 4 kernel_size: 3 pad_w: 1 } }",
        (2, 4, 6, 8),
    ),
    "a window beyond the image": (
        'layer { name: "p" type: "Pooling" bottom: "data" top: "c" pooling_param { kernel_size: 9 stride: 2 } }',
        (2, 3, 1, 1),
    ),
    "global pooling with a stride": (
        'layer { name: "p" type: "Pooling" bottom: "data" top: "c" '
        "pooling_param { pool: AVE stride: 1 global_pooling: true } }",
        (2, 3, 1, 1),
    ),
    "layers of one name": (
        'layer { name: "r" type: "ReLU" bottom: "data" top: "a" } layer { name: "r" type: "TanH" bottom: "data" '
        'top: "b" } layer { name: "r" type: "Eltwise" bottom: "a" bottom: "b" bottom: "a" top: "c" }',
        (2, 3, 8, 8),
    ),
    "a layer without a name": ('layer { type: "ReLU" bottom: "data" top: "c" }', (2, 3, 8, 8)),
    "a phase in a layer": (
        'layer { phase: TRAIN name: "d" type: "Dropout" bottom: "data" top: "c" dropout_param { dropout_ratio: 0. } }',
        (2, 3, 8, 8),
    ),
    "a bias by xavier": (
        'layer { name: "i" type: "InnerProduct" bottom: "data" top: "c" inner_product_param { num_output: 4 '
        'weight_filler { type: "xavier" } bias_filler { type: "xavier" } } }',
        (2, 4),
    ),
    "octal and hexadecimal sizes": (
        'layer { name: "p" type: "Pooling" bottom: "data" top: "c" pooling_param { kernel_size: 03 stride: 0x2 } }',
        (2, 3, 4, 4),
    ),
    "enums by number": (
        'layer { name: "n" type: "LRN" bottom: "data" top: "c" lrn_param { local_size: 3 norm_region: 1 engine: 2 } }',
        (2, 3, 8, 8),
    ),
    "old names of axes": (
        'layer { name: "s" type: "Slice" bottom: "data" top: "a" top: "b" slice_param { slice_dim: 1 slice_point: 1 } }'
        ' layer { name: "c" type: "Concat" bottom: "b" bottom: "a" top: "c" concat_param { concat_dim: 0x1 } }'
        " # nothing behind it",
        (2, 3, 8, 8),
    ),
    "a crop by default": (
        'layer { name: "p" type: "Pooling" bottom: "data" top: "p" pooling_param { kernel_size: 2 stride: 2 } } '
        'layer { name: "c" type: "Crop" bottom: "data" bottom: "p" top: "c" }',
        (2, 3, 4, 4),
    ),
    "an enlargement": (
        'layer { name: "u" type: "Deconvolution" bottom: "data" top: "c" param { lr_mult: 0 decay_mult: 0 } '
        "convolution_param { num_output: 3 group: 3 kernel_size: 4 stride: 2 pad: 1 bias_term: false "
        'weight_filler: { type: "bilinear" } } }',
        (2, 3, 16, 16),
    ),
    "a normalization in place": (
        'layer { name: "bn" type: "BatchNorm" bottom: "data" top: "data" param [{ lr_mult: 0 }, { lr_mult: 0 }, '
        "{ lr_mult: 0 }] batch_norm_param { use_global_stats: 0 eps: 1e-5f moving_average_fraction: .9 } } "
        'layer { bottom: "data" top: "c" name: "s" type: "Scale" scale_param { bias_term: 1 filler { value: 1 } } }',
        (2, 3, 8, 8),
    ),
    "weights in the text": (
        'layer { name: "r" type: "ReLU" bottom: "data" top: "c" blobs { shape { dim: 1 } data: 1 } }',
        (2, 3, 8, 8),
    ),
    "separate splits and silence": (
        'layer { name: "s" type: "Split" bottom: "data" top: "c" top: "d" } '
        'layer { name: "q" type: "Silence" bottom: "d" bottom: "label" }',
        (2, 3, 8, 8),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_runs_what_caffe_runs(name: str, here: Path) -> None:
    text, shape = LAYERS[name]
    net = Net(write(here / "net.prototxt", DATA + text + "\n"), TRAIN)
    net.forward()
    net.backward()
    assert net.blobs["c"].shape == shape


def test_a_loss_may_have_no_top_and_layers_no_order_of_fields(here: Path) -> None:
    text = (
        "layers{ bottom: 'data' top: 'ip' name: 'ip' type: INNER_PRODUCT blobs_lr: 1. blobs_lr: 2. weight_decay: 250. "
        "weight_decay: 0. param: 'w' param: '' blob_share_mode: PERMISSIVE inner_product_param{ num_output: 4 } }\n"
        "layers{ name: 'ip' type: 18 bottom: 'ip' top: 'ip' include: { phase: TRAIN } }\n"
        "layers{ name: 'loss' type: SOFTMAX_LOSS bottom: 'ip' bottom: 'label' }\n"
    )
    net = Net(write(here / "net.prototxt", V1_DATA + text), TRAIN)
    net.forward()
    specs = net.layers[1].layer_param.param
    assert [layer.layer_param.type for layer in net.layers[1:]] == ["InnerProduct", "ReLU", "SoftmaxWithLoss"]
    assert [(s.name, s.lr_mult, s.decay_mult, s.share_mode) for s in specs] == [("w", 1, 250, 1), ("", 2, 0, 0)]


@pytest.mark.parametrize(
    ("inputs", "shape"),
    [
        ("input_dim: [1, 3, 8, 8, 5]", (1, 3, 8, 8)),
        ("input_shape { dim: 1 dim: 3 } input_shape { dim: 2 }", (1, 3)),
    ],
)
def test_surplus_shapes_of_inputs_are_left_alone_as_in_caffe(
    inputs: str, shape: tuple[int, ...], here: Path, messages: list[str]
) -> None:
    path = write(here / "net.prototxt", f'input: "data"\n{inputs}\nlayer {{ type: "ReLU" bottom: "data" top: "r" }}\n')
    assert Net(path, TEST).blobs["r"].shape == shape
    (warning,) = [line for line in messages if line.startswith("W")]
    assert warning.startswith(f"W{path}:2: expected ")
    assert warning.endswith("count, as in Caffe.")


def test_too_few_shapes_of_inputs_are_refused(here: Path) -> None:
    path = write(here / "net.prototxt", 'input: "a" input: "b"\ninput_shape { dim: 1 }\n')
    with pytest.raises(CaffeError, match=r":2: expected 2 input_shape for the net's inputs, got 1\.$"):
        read_net(path)


# -- layers of forks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "text", "sentence"),
    [
        (SolverParameter, "stagelr: 0.1", 'an addition of caffe-yolo, .*"multistep" goes by gamma and stepvalue'),
        (LayerParameter, "lstm_param { }", "an addition of caffe-lstm.*an LSTM has a recurrent_param"),
    ],
)
def test_says_what_stands_for_a_field_of_a_fork(message: type, text: str, sentence: str) -> None:
    with pytest.raises(ParseError, match=sentence):
        parse(text, message)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Lstm", "an addition of caffe-lstm"),
        ("SoftmaxLoss", 'did you mean "SoftmaxWithLoss"'),
        ("RELU", 'did you mean "ReLU"'),
        ("", 'give the layer one, such as type: "ReLU"\\.$'),
    ],
)
def test_says_what_stands_for_a_type(name: str, sentence: str) -> None:
    with pytest.raises(CaffeError, match=sentence):
        create(LayerParameter(name="x", type=name))


@pytest.mark.parametrize("name", ["PRELU", "CROP", "RESHAPE", "BATCH_NORM", "BATCHNORM", "ELU"])
def test_types_that_came_after_v1_ask_for_the_present_form(name: str) -> None:
    with pytest.raises(ParseError, match=r'V1 layers have no such type: write layer \{ type: "Name" … \}'):
        parse(f"layers {{ type: {name} }}", NetParameter)


@pytest.mark.parametrize(("name", "meant"), [("RELUU", "RELU"), ("INNERPRODUCT", "INNER_PRODUCT"), ('"ReLU"', "RELU")])
def test_types_that_v1_has_are_still_named(name: str, meant: str) -> None:
    with pytest.raises(ParseError, match=f"did you mean {meant}"):
        parse(f"layers {{ type: {name} }}", NetParameter)


# -- slips of the pen ----------------------------------------------------------------------------------------

SLIPS = [
    ("max_iter: 1e5", '"1e5"; write 100000.'),
    ("max_iter: 64.0", '"64.0"; write 64.'),
    ("max_iter: 0.5", '"0.5".'),
    ("max_iter: 1e300", '"1e300".'),
    ('max_iter: "-64"', '"-64"; write it without quotes.'),
    ('max_iter: "many"', '"many".'),
    ('base_lr: "0.01"', '"0.01"; write it without quotes.'),
    ('base_lr: "low"', '"low".'),
    ("debug_info: TRUE", '"TRUE"; write true.'),
    ("debug_info: 'false'", "'false'; write false."),
    ("debug_info: yes", '"yes".'),
    ("// the net", '"/" (U+002F); comments begin with "#".'),
    ("/* the net */", '"/" (U+002F); comments begin with "#".'),
    ("max_iter = 5", '"=" (U+003D); a ":" goes between a name and its value.'),
    ("max_iter：5", "(U+FF1A); write :."),
    ("max_iter:\u30005", "(U+3000); write a space."),
    ("max_iter:\u00a05", "(U+00A0); write a space."),
    ("net: “a”", '(U+201C); write a straight quote, ".'),
    ("net: ‘a’", "(U+2018); write a straight quote, '."),
    ("网: 5", '"网" (U+7F51).'),
    ("base_lr: 0.01%", '"%" (U+0025).'),
    ("device_id: 0,1", 'expected a field\'s name, got "1".'),
]


@pytest.mark.parametrize(("text", "end"), SLIPS)
def test_says_what_to_write(text: str, end: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse(text, SolverParameter, "solver")
    assert str(caught.value).splitlines()[0].endswith(end)


# -- blobs that a rule takes away ----------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["include { phase: TEST }", 'include { stage: "deploy" }', "exclude { }"])
def test_names_the_layer_that_a_rule_left_out(rule: str, here: Path) -> None:
    path = write(here / "net.prototxt", DATA.replace("top:", f"{rule} top:", 1) + CLASSES)
    with pytest.raises(CaffeError) as caught:
        Net(path, TRAIN)
    assert str(caught.value).endswith(
        'bottom 0, "data", is no top of a layer before it; layer "data" (DummyData) makes it, but the phase, level or '
        "stage in its include or exclude rules leaves it out here."
    )


def test_of_many_tops_names_the_one_that_is_meant_or_the_last(here: Path) -> None:
    many = "".join(f'layer {{ name: "r{i}" type: "ReLU" bottom: "data" top: "blob{i}" }}\n' for i in range(20))
    for name, end in (("blo7", 'did you mean "blob7"?'), ("x", "of 22 tops so far are blob8, ")):
        text = DATA + many + f'layer {{ name: "z" type: "ReLU" bottom: "{name}" top: "z" }}\n'
        with pytest.raises(CaffeError) as caught:
            Net(write(here / "net.prototxt", text), TRAIN)
        assert end in str(caught.value)
        assert len(str(caught.value)) < 400


# -- solvers -------------------------------------------------------------------------------------------------

SOLVERS = {
    "modes and types by number": ("solver_mode: 1 solver_type: 1 momentum: 0.9 snapshot_format: 1", "Nesterov"),
    "the older enum": ("solver_type: ADAM momentum: 0. momentum2: .999 delta: 0.00000001", "Adam"),
    "another device": ("solver_mode: GPU device_id: 2 debug_info: false", "SGD"),
    "no batch in a test": ("test_iter: 0 test_interval: 100000", "SGD"),
    "a test that never comes": ("test_iter: 2 test_interval: 1000000 test_initialization: false", "SGD"),
    "an interval and no test": ("test_interval: 100", "SGD"),
    "fields of other policies": ("gamma: 0.5 power: 0.75 stepsize: 300 stepvalue: 200", "SGD"),
    "tests in two states": (
        "train_state: { stage: 'a' } test_iter: 1 test_state: { stage: 'b' } test_iter: [1] "
        "test_state: { stage: 'c' } test_interval: 1",
        "SGD",
    ),
    "what SSD's scripts write": (
        'snapshot_after_train: true average_loss: 10 iter_size: 1 type: "SGD" eval_type: "classification"',
        "SGD",
    ),
}


@pytest.mark.parametrize("name", SOLVERS)
def test_trains_as_solvers_say(name: str, here: Path) -> None:
    text, kind = SOLVERS[name]
    write(here / "net.prototxt", DATA + CLASSES + LOSS)
    solver = get_solver(write(here / "solver.prototxt", f'net: "net.prototxt"\n{RATE}{text}'))
    solver.solve()
    solver.close()
    assert (solver.iter, solver.param.type) == (1, kind)
