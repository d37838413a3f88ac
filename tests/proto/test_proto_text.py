"""Reading prototxt: all that people write, and errors that say where."""

from __future__ import annotations

import math

import pytest
from google.protobuf import text_format

from pycaffe_lite.errors import ParseError
from pycaffe_lite.proto.caffe_pb2 import (
    BlobProto,
    Datum,
    LayerParameter,
    NetParameter,
    PoolingParameter,
    SolverParameter,
)
from pycaffe_lite.proto.text import parse

# -- what is accepted ----------------------------------------------------------------------------------------

SAME_AS_PROTOBUF = [
    "name: 'a' layer { name: \"b\" type: 'ReLU' }",
    "layer: { name: 'a' } layer < name: 'b' > layer: < name: 'c' >",
    "name: 'a'; force_backward: true, debug_info: false;",
    "input_dim: [1, 2, 3] input_dim: 4 input_dim: []",
    "layer: [{ name: 'a' }, < name: 'b' >]",
    "input_dim: 0x1F input_dim: 017 input_dim: -0x10 input_dim: 0",
    "force_backward: t debug_info: 1",
    "force_backward: False debug_info: f",
    "# first\nname: 'a' # last\n#\n",
    "name: 'a'\r\nlayer {\r\n  name: 'b'\r\n}\r\n",
    "name: 'one' \"two\"\n  'three'",
    r"name: 'tab\t quote\' \" octal\101 hex\x41'",
    "name: 'naïve – 模型'",
    "layer{name:'a'bottom:'b'top:'c'}",
    "layer { phase: TEST } layer { phase: 0 }",
    "layer { loss_weight: 1. loss_weight: .5 loss_weight: 1e-3f loss_weight: -2.5E+2 loss_weight: 3f }",
    "layer { loss_weight: inf loss_weight: -inf loss_weight: Infinity loss_weight: -1 loss_weight: 1e30 }",
    "state { }",
    "",
    " \t\n\v\f# nothing\n",
]


@pytest.mark.parametrize("text", SAME_AS_PROTOBUF)
def test_reads_what_protobuf_reads(text: str) -> None:
    assert parse(text, NetParameter) == text_format.Parse(text, NetParameter())


def test_a_byte_order_mark_is_no_text() -> None:
    assert parse("\ufeffname: 'a'", NetParameter).name == "a"


def test_classic_mac_line_ends_are_line_ends() -> None:
    with pytest.raises(ParseError, match=r"^<text>:3:1: "):
        parse("# one\rname: 'a'\rnome: 'b'", NetParameter)


def test_a_minus_may_stand_apart() -> None:
    net = parse("input_dim: - 5 layer { loss_weight: -\n.5 }", NetParameter)
    assert (net.input_dim[0], net.layer[0].loss_weight[0]) == (-5, -0.5)


def test_numbers_beyond_float_become_infinite() -> None:
    layer = parse("loss_weight: [1e999, -1e39, 3.4028235e38, nan]", LayerParameter)
    assert list(layer.loss_weight[:3]) == [math.inf, -math.inf, 2.0**128 - 2.0**104]
    assert math.isnan(layer.loss_weight[3])


def test_ints_at_the_ends_of_their_ranges() -> None:
    solver = parse(f"random_seed: {-(2**63)} max_iter: {2**31 - 1}", SolverParameter)
    assert (solver.random_seed, solver.max_iter) == (-(2**63), 2**31 - 1)


def test_escapes() -> None:
    net = parse(r"name: '\a\b\f\n\r\t\v\\\?\'\"\0\18\x41B\u00e9\U0001F600'", NetParameter)
    assert net.name == "\a\b\f\n\r\t\v\\?'\"\0\x018AB\u00e9\U0001f600"


def test_bytes_take_any_escape() -> None:
    assert parse(r'data: "\x00\377" "\n" label: 3', Datum).data == b"\x00\xff\n"


def test_comments_may_be_in_any_encoding() -> None:
    text = b"name: 'a' # " + "卷积".encode("gbk") + b"\ndebug_info: true"
    net = parse(text.decode("utf-8", "surrogateescape"), NetParameter)
    assert net.debug_info


def test_adds_to_a_message_that_is_there() -> None:
    net = NetParameter(name="old")
    assert parse("layer { name: 'a' }", net) is net
    assert (net.name, net.layer[0].name) == ("old", "a")


def test_a_message_without_fields_is_there() -> None:
    assert parse("pooling_param { }", LayerParameter).HasField("pooling_param")


def test_doubles_keep_their_digits() -> None:
    assert parse("double_data: 0.1", BlobProto).double_data[0] == 0.1


# -- where things stand --------------------------------------------------------------------------------------


def test_tells_the_lines_of_layers() -> None:
    lines: dict[str, list[int]] = {}
    parse("name: 'n'\nlayer {\n name: 'a' }\n\nlayer: [{ },\n{ }]\nlayer\n{ }", NetParameter, "n", lines)
    assert lines == {"name": [1], "layer": [2, 5, 6, 7]}


def test_tells_the_lines_of_a_net_inside_a_solver() -> None:
    lines: dict[str, list[int]] = {}
    text = "net_param {\n layer { bottom: 'x' }\n layer { }\n}\nbase_lr: 1"
    parse(text, SolverParameter, "s", lines)
    assert lines == {"net_param": [1], "net_param.layer": [2, 3], "base_lr": [5]}


# -- errors --------------------------------------------------------------------------------------------------

BAD = [
    ("layer {\n  nam: 'a'\n}", "2:3", ['no field "nam"', 'did you mean "name"?', "  nam: 'a'"]),
    ("layer {\n slope: 1 }", "2:2", ['LayerParameter has no field "slope".']),
    ("layer { num_output: 1 }", "1:9", ["it belongs inside", "convolution_param"]),
    ("net: 'x'", "1:1", ["SolverParameter has: is this a solver, not a net?"]),
    (
        "layer { pooling_param { pool: MAX top: 'a' } }",
        "1:35",
        ['the LayerParameter around it has; is a "}"'],
    ),
    ("layer { pooling_param { pool: MEAN } }", "1:31", ["MAX, AVE, STOCHASTIC", '"MEAN"']),
    ("layer { pooling_param { pool: MA } }", "1:31", ["did you mean MAX?"]),
    ("layer { pooling_param { pool: 'MAX' } }", "1:31", ["write it without quotes"]),
    ("layer { pooling_param { pool: 7 } }", "1:31", ['got "7"']),
    ("layer { pooling_param { pool: - MAX } }", "1:31", ['got "MAX"']),
    ("layers { type: 'Convolution' }", "1:16", ["did you mean CONVOLUTION?"]),
    ("name: relu", "1:7", ['"name" takes a string, got "relu"; put it in quotes.']),
    ("name: 5", "1:7", ["put it in quotes"]),
    ("name 'a'", "1:6", ['expected ":" and a value after "name", got \'a\'']),
    ("name:", "1:6", ["got the end of the text"]),
    ("name: 'a'\nname: 'b'", "2:1", ['"name" is given a second time; the first is on line 1.']),
    ("state { } state { }", "1:11", ["a second time"]),
    ("layer { clip_param { min: 1 } }", "1:29", ['ClipParameter needs "max"']),
    ("input_dim: ten", "1:12", ['takes a whole number, got "ten"']),
    ("input_dim: 1.0", "1:12", ["a whole number"]),
    ("input_dim: 089", "1:12", ["a whole number"]),
    ("input_dim: 10abc", "1:12", ['got "10abc"']),
    ("input_dim: 2147483648", "1:12", ["takes -2147483648 to 2147483647, got 2147483648"]),
    ("layer { slice_param { slice_point: -1 } }", "1:36", ["takes 0 to 4294967295, got -1"]),
    ("layer { loss_weight: 1e }", "1:22", ['takes a number, got "1e"']),
    ("layer { loss_weight: 1_0 }", "1:22", ["a number"]),
    ("layer { loss_weight: --1 }", "1:23", ["a number"]),
    ("layer { loss_weight: + 1 }", "1:22", ['unexpected character "+"']),
    ("force_backward: yes", "1:17", ["takes true or false"]),
    ("layer: 3", "1:8", ['expected "{" after "layer"']),
    ("layer {", "1:7", ['this "{" is never closed']),
    ("layer {\n name: 'a'\n >", "3:2", ['expected a field of LayerParameter or "}", got ">"']),
    ("layer { }\n}", "2:1", ['this "}" closes nothing']),
    ("input_dim: [1, 2", "1:17", ['expected "," or "]"']),
    ("input_dim: [1, ]", "1:16", ["a whole number"]),
    ("name: ['a']", "1:7", ["takes a string"]),
    ("[a.b]: 3", "1:1", ["a field's name"]),
    ("name: 'a\nb'", "1:7", ["does not end on its line"]),
    ('name: "a', "1:7", ['closing "']),
    ("name: 'a\\", "1:7", ["closing '"]),
    ("name: 'a\0'", "1:7", ["does not end"]),
    ("\x01", "1:1", ["control character (code 1)"]),
    ("name: 'a' \0", "1:11", ["control character (code 0)"]),
    ("name: “a”", "1:7", ["U+201C"]),
    ("name:\u00a0'a'", "1:6", ["U+00A0"]),
    (b"name: \xff".decode("utf-8", "surrogateescape"), "1:7", ["not UTF-8"]),
    (b"name: '\xff'".decode("utf-8", "surrogateescape"), "1:7", ["not UTF-8"]),
    ("name: '\\xff'", "1:7", ["not UTF-8"]),
    ("name: 'C:\\data'", "1:7", ["no escape \\d", "write \\\\"]),
    ("name: '\\ud800'", "1:7", ["no escape"]),
    ("name: '\\400'", "1:7", ["no escape"]),
    ("name: '\ud800'", "1:7", ["not UTF-8"]),
]


@pytest.mark.parametrize(("text", "place", "parts"), BAD)
def test_says_what_is_wrong_and_where(text: str, place: str, parts: list[str]) -> None:
    with pytest.raises(ParseError) as caught:
        parse(text, NetParameter, "dir/net.prototxt")
    message = str(caught.value)
    assert message.startswith(f"dir/net.prototxt:{place}: ")
    for part in parts:
        assert part in message


def test_takes_no_net_for_a_solver() -> None:
    with pytest.raises(ParseError, match="NetParameter has: is this a net, not a solver"):
        parse("layer { }", SolverParameter)


def test_shows_the_line_and_the_column() -> None:
    with pytest.raises(ParseError) as caught:
        parse("layer {\n\tnmae: 'a' # odd\n}", NetParameter)
    assert str(caught.value).splitlines()[1:] == ["     nmae: 'a' # odd", "     ^"]


def test_shows_a_part_of_a_long_line() -> None:
    with pytest.raises(ParseError) as caught:
        parse("name: 'a' " + " " * 5000 + "odd: 1" + " " * 5000, NetParameter)
    shown, mark = str(caught.value).splitlines()[1:]
    assert len(shown) < 110
    assert shown[mark.index("^") :].startswith("odd: 1")


FORKS = [
    (SolverParameter, "disabled_update: 5", "Intel Caffe"),
    (SolverParameter, "max_epoch: 5", "NVCaffe"),
    (LayerParameter, "box_annotator_ohem_param { }", "R-FCN"),
    (LayerParameter, "multi_stage_meanfield_param { }", "CRF-RNN"),
    (LayerParameter, "op_transform_param { }", "OpenPose"),
    (LayerParameter, "dense_image_data_param { }", "SegNet"),
    (LayerParameter, "quantization_param { }", "Ristretto"),
    (LayerParameter, "convolution_param { hole: 2 }", "DeepLab"),
]


@pytest.mark.parametrize(("message", "text", "fork"), FORKS)
def test_names_the_fork_of_a_field(message: type, text: str, fork: str) -> None:
    with pytest.raises(ParseError, match=f"an addition of .*{fork}"):
        parse(text, message)


@pytest.mark.parametrize("text", ["{" * 100_000, "layer {" * 100_000, "layer { param <" + "<" * 100_000])
def test_depth_is_no_danger(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text, NetParameter)


@pytest.mark.parametrize("text", ["name: '" + r"\n" * 200_000, "input_dim: " + "1" * 1_000_000, "a" * 1_000_000])
def test_long_words_are_no_danger(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse(text, NetParameter)
    assert len(str(caught.value)) < 400


def test_enums_by_number_are_checked_against_their_own_values() -> None:
    assert parse("pool: 2", PoolingParameter).pool == PoolingParameter.STOCHASTIC
    with pytest.raises(ParseError):
        parse("pool: -1", PoolingParameter)
