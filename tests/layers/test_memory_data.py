"""The MemoryData layer, and net.set_input_arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net
from pycaffe_lite.proto import caffe_pb2
from pycaffe_lite.proto.text import parse

PARAM = "batch_size: 2 channels: 3 height: 2 width: 1"
DATA = np.arange(24, dtype=np.float32).reshape(4, 3, 2, 1)
LABELS = np.arange(4, dtype=np.float32)


def net_of(param: str = PARAM, more: str = "") -> Net:
    text = f'layer {{ name: "d" type: "MemoryData" top: "data" top: "label" memory_data_param {{ {param} }} {more} }}'
    return Net(parse(text, caffe_pb2.NetParameter))


@pytest.mark.parametrize("labels", [LABELS, LABELS.reshape(4, 1, 1, 1)])
def test_batches_go_round(labels: np.ndarray) -> None:
    net = net_of()
    net.set_input_arrays(DATA, labels)
    for rows in (slice(0, 2), slice(2, 4), slice(0, 2)):
        out = net.forward()
        np.testing.assert_array_equal(out["data"], DATA[rows])
        np.testing.assert_array_equal(out["label"].ravel(), LABELS[rows])


def test_new_arrays_begin_at_their_beginning() -> None:
    net = net_of()
    net.set_input_arrays(DATA, LABELS)
    net.forward()
    net.set_input_arrays(DATA[::-1].astype(np.float64), [7, 8, 9, 10])
    out = net.forward()
    np.testing.assert_array_equal(out["data"], DATA[[3, 2]])
    assert out["label"].ravel().tolist() == [7, 8]


def test_state_and_restore() -> None:
    net = net_of()
    layer: Any = net.layers[0]
    net.set_input_arrays(DATA, LABELS)
    net.forward()
    state = layer.state()
    net.forward()
    layer.restore(state)
    assert net.forward()["label"].ravel().tolist() == [2, 3]
    for wrong in ({}, {"position": 4}, {"position": 1}):
        with pytest.raises(CaffeError, match="a position in its arrays"):
            layer.restore(wrong)


def test_a_forward_without_arrays_says_what_to_call() -> None:
    with pytest.raises(CaffeError, match=r"call net.set_input_arrays\(data, labels\) first"):
        net_of().forward()


@pytest.mark.parametrize(
    ("data", "labels", "words"),
    [
        (DATA[:3], LABELS[:3], r"N a multiple of batch_size 2, got shape \[3, 3, 2, 1\]"),
        (DATA[:0], LABELS[:0], "N a multiple of batch_size 2"),
        (DATA[..., 0], LABELS, "expected data of shape N x 3 x 2 x 1"),
        (DATA, LABELS[:2], r"expected 4 labels, one for each image, got shape \[2\]"),
        (DATA, LABELS[:, None], "expected 4 labels"),
        ("words", LABELS, "an array of numbers for data, got str"),
        (DATA, [[1], [2, 3]], "an array of numbers for labels, got list"),
    ],
)
def test_arrays_that_do_not_fit(data: Any, labels: Any, words: str) -> None:
    net = net_of()
    with pytest.raises(CaffeError, match=rf'layer "d" \(MemoryData\): .*{words}'):
        net.set_input_arrays(data, labels)


@pytest.mark.parametrize("param", ["", "batch_size: 2 channels: 3 height: 2", PARAM + "000000000000"[:9]])
def test_parameters_that_do_not_fit(param: str) -> None:
    with pytest.raises(CaffeError, match=r"\(MemoryData\): "):
        net_of(param)


def test_a_net_without_the_layer_says_so() -> None:
    net = Net(parse('name: "n" layer { name: "i" type: "Input" top: "x" }', caffe_pb2.NetParameter))
    with pytest.raises(CaffeError, match='Net "n" has no MemoryData layer'):
        net.set_input_arrays(DATA, LABELS)
