"""Printing messages as Caffe's logs show them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from pycaffe_lite.proto.caffe_pb2 import (
    BlobProto,
    Datum,
    LayerParameter,
    LossParameter,
    NetParameter,
    PowerParameter,
    SolverParameter,
)
from pycaffe_lite.proto.printer import float_text, to_text
from pycaffe_lite.proto.text import parse
from rigs import GOLDEN

LEGACY = GOLDEN / "formats" / "legacy"
UPGRADED = sorted(LEGACY.glob("*.upgraded.prototxt"))


@pytest.mark.parametrize("path", UPGRADED, ids=lambda path: path.name)
def test_prints_as_caffes_tools_do(path: Path) -> None:
    text = path.read_text()
    message = SolverParameter if path.name.startswith("solver") else NetParameter
    assert to_text(parse(text, message)) == text


FLOATS = [
    (0.1, "0.1"),
    (1 / 3, "0.333333343"),
    (1e-10, "1e-10"),
    (123456789, "123456792"),
    (1e10, "1e+10"),
    (16777216, "16777216"),
    (3.4028234663852886e38, "3.40282347e+38"),
    (1e-45, "1.4013e-45"),
    (-0.0, "-0"),
    (0.00005, "5e-05"),
    (math.inf, "inf"),
    (-math.inf, "-inf"),
    (math.nan, "nan"),
]


@pytest.mark.parametrize(("value", "text"), FLOATS)
def test_floats(value: float, text: str) -> None:
    stored = PowerParameter(shift=value).shift
    assert float_text(stored) == text
    again = parse(f"shift: {text}", PowerParameter).shift
    assert again == stored or math.isnan(stored)


def test_every_float32_reads_back() -> None:
    values = [1.1, 2.2e-20, 3.3e20, 0.7, 1 / 7, 8388609.5, 1.00000012, 6.25e-3]
    layer = LayerParameter(loss_weight=values)
    assert parse(to_text(layer), LayerParameter) == layer


def test_doubles_have_their_own_digits() -> None:
    assert to_text(BlobProto(double_data=[0.1, 1 / 3])) == "double_data: 0.1\ndouble_data: 0.33333333333333331\n"


def test_strings_are_escaped() -> None:
    net = NetParameter(name="a\"b'c\\d\n\r\té\x01")
    assert to_text(net) == 'name: "a\\"b\\\'c\\\\d\\n\\r\\t\\303\\251\\001"\n'
    assert parse(to_text(net), NetParameter) == net


def test_bytes_are_escaped() -> None:
    datum = Datum(data=bytes(range(256)))
    assert parse(to_text(datum), Datum) == datum


def test_messages_nest_and_bools_are_words() -> None:
    layer = LayerParameter(propagate_down=[True, False])
    layer.loss_param.normalization = LossParameter.NONE
    layer.input_param.shape.add()
    assert to_text(layer).splitlines() == [
        "propagate_down: true",
        "propagate_down: false",
        "loss_param {",
        "  normalization: NONE",
        "}",
        "input_param {",
        "  shape {",
        "  }",
        "}",
    ]


def test_nothing_prints_as_nothing() -> None:
    assert to_text(NetParameter()) == ""
