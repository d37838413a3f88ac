"""LSTM and RNN: against plain loops, the state they carry, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite import rng
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.layers.recurrent_base import Recurrent
from pycaffe_lite.net import Net
from pycaffe_lite.proto import caffe_pb2
from pycaffe_lite.proto.text import parse
from rigs.layer_rig import Rig

KINDS = ("LSTM", "RNN")
X = (5, 2, 3)
CONT = np.array([[1, 0], [1, 1], [0.5, 1], [1, 0], [1, 1]])


def text(kind: str, blobs: str = 'top: "y"', fields: str = "") -> str:
    uniform = 'type: "uniform" min: -1 max: 1'
    fillers = f"weight_filler {{ {uniform} }} bias_filler {{ {uniform} }}"
    return f'type: "{kind}" bottom: "x" bottom: "cont" {blobs} recurrent_param {{ num_output: 4 {fillers} {fields} }}'


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def naive(kind: str, params: list[np.ndarray], x: np.ndarray, cont: np.ndarray) -> np.ndarray:
    """y of one layer that begins with a state of 0, step by step."""
    h = c = np.zeros((x.shape[1], 4))
    outputs = []
    for t in range(len(x)):
        scale = cont[t][:, None]
        z = x[t] @ params[0].T + params[1] + (scale * h) @ params[2].T
        if kind == "LSTM":
            i, f, o, g = np.split(z, 4, axis=1)
            c = scale * sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = y = sigmoid(o) * np.tanh(c)
        else:
            h = np.tanh(z)
            y = np.tanh(h @ params[3].T + params[4])
        outputs.append(y)
    return np.stack(outputs)


def layer_of(rig: Rig) -> Recurrent:
    assert isinstance(rig.layer, Recurrent)
    return rig.layer


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_are_those_of_plain_loops(kind: str, generator: np.random.Generator) -> None:
    x = generator.normal(size=X)
    rig = Rig(text(kind), [x, CONT], dtype=np.float64)
    np.testing.assert_allclose(rig.forward()[0], naive(kind, rig.params(), x, CONT), rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_may_come_in_pieces(kind: str, generator: np.random.Generator) -> None:
    x = generator.normal(size=X)
    (whole,) = Rig(text(kind), [x, CONT]).forward()
    rig = Rig(text(kind), [x[:2], CONT[:2]])
    (first,) = rig.forward()
    rig.put([x[2:], CONT[2:]])
    rig.reshape()
    np.testing.assert_allclose(np.concatenate([first, rig.forward()[0]]), whole, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_state_can_be_reset_saved_and_restored(kind: str, generator: np.random.Generator) -> None:
    rig = Rig(text(kind), [generator.normal(size=X), CONT])
    (first,) = rig.forward()
    saved = layer_of(rig).state()
    (second,) = rig.forward()
    assert not np.array_equal(second, first)
    layer_of(rig).restore(saved)
    np.testing.assert_array_equal(rig.forward()[0], second)
    layer_of(rig).reset()
    np.testing.assert_array_equal(rig.forward()[0], first)
    with pytest.raises(CaffeError, match=r"expected a state of shapes .*\(2, 4\)"):
        layer_of(rig).restore({"h": np.zeros((3, 4))})


@pytest.mark.parametrize("kind", KINDS)
def test_other_streams_begin_with_no_state(kind: str, generator: np.random.Generator) -> None:
    x, cont = generator.normal(size=(5, 3, 3)), np.ones((5, 3))
    rig = Rig(text(kind), [x[:, :2], cont[:, :2]])
    rig.forward()
    rig.put([x, cont])
    rig.reshape()
    np.testing.assert_array_equal(rig.forward()[0], Rig(text(kind), [x, cont]).forward()[0])


@pytest.mark.parametrize("kind", KINDS)
def test_exposed_states_come_from_outside_each_time(kind: str, generator: np.random.Generator) -> None:
    states = "hc" if kind == "LSTM" else "h"
    blobs = "".join(f'bottom: "{s}0" ' for s in states) + 'top: "y" ' + "".join(f'top: "{s}T" ' for s in states)
    x, zero = generator.normal(size=X), np.zeros((1, 2, 4))
    rig = Rig(text(kind, blobs, "expose_hidden: true"), [x[:2], CONT[:2], *[zero] * len(states)])
    first, *last = rig.forward()
    np.testing.assert_array_equal(rig.forward()[0], first)
    rig.put([x[2:], CONT[2:], *last])
    rig.reshape()
    (whole,) = Rig(text(kind), [x, CONT]).forward()
    np.testing.assert_allclose(np.concatenate([first, rig.forward()[0]]), whole, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_in_place_behind_it_spoils_nothing(kind: str, generator: np.random.Generator) -> None:
    rig = Rig(text(kind), [generator.normal(size=X), CONT])
    diff = generator.normal(size=(5, 2, 4))
    down = [True, False]
    rig.forward()
    expected = rig.backward([diff], down)[0]
    layer_of(rig).reset()
    rig.forward()
    rig.top[0].data[...] = 7
    np.testing.assert_array_equal(rig.backward([diff], down)[0], expected)


@pytest.mark.parametrize(("kind", "blobs"), [("LSTM", 3), ("RNN", 5)])
def test_fillers_draw_in_the_order_of_the_parameters(kind: str, blobs: int) -> None:
    params = Rig(text(kind), [np.zeros(X), CONT]).params()
    assert len(params) == blobs
    expected = rng.Generator(1).uniform(sum(param.size for param in params), -1, 1)
    np.testing.assert_array_equal(np.concatenate([param.ravel() for param in params]), expected)


def test_a_net_trains_through_time() -> None:
    param = parse(
        f"""
        layer {{ name: "x" type: "DummyData" top: "x" top: "cont" dummy_data_param {{
            shape {{ dim: 5 dim: 2 dim: 3 }} shape {{ dim: 5 dim: 2 }} data_filler {{ type: "gaussian" }}
            data_filler {{ value: 1 }} }} }}
        layer {{ name: "r" {text("LSTM")} }}
        layer {{ name: "loss" type: "Reduction" bottom: "y" top: "loss" loss_weight: 1
            reduction_param {{ operation: SUMSQ }} }}
        """,
        caffe_pb2.NetParameter,
    )
    net = Net(param)
    first = net.forward_backward()
    for blob in net.params["r"]:
        blob.data[...] -= 0.05 * blob.diff
    net.layers[1].reset()
    net.blobs["cont"].data[...] = 1
    assert net.forward_from_to(1, 2) < first


@pytest.mark.parametrize(
    ("blobs", "fields", "arrays", "words"),
    [
        (
            'top: "y"',
            "",
            [(5, 2, 3), (4, 2)],
            r"T x N x … and cont of shape T x N, got shapes \[5, 2, 3\] and \[4, 2\]",
        ),
        ('top: "y"', "", [(5,), (5,)], "expected x of shape"),
        ('bottom: "s" top: "y"', "", [(5, 2, 3), (5, 2), (3, 1)], "a static input of 2 streams"),
        ('bottom: "h" top: "y"', "expose_hidden: true", [(5, 2, 3), (5, 2), (1, 2, 4)], "2 top"),
        ('bottom: "h" top: "y" top: "hT"', "expose_hidden: true", [(5, 2, 3), (5, 2), (2, 4)], r"first h of shape"),
        ('top: "y"', "num_output: 0", [(5, 2, 3), (5, 2)], "num_output of 1 or more"),
    ],
)
def test_what_does_not_fit_is_refused(blobs: str, fields: str, arrays: list[tuple[int, ...]], words: str) -> None:
    layer = text("RNN", blobs, fields)
    if "num_output" in fields:
        layer = layer.replace("num_output: 4", "")
    with pytest.raises(CaffeError, match=rf"\(RNN\): .*{words}"):
        Rig(layer, [np.zeros(shape) for shape in arrays])


def test_another_number_of_inputs_is_refused() -> None:
    rig = Rig(text("LSTM"), [np.zeros(X), CONT])
    rig.put([np.zeros((5, 2, 4)), CONT])
    with pytest.raises(CaffeError, match="expected 3 values in each item of bottom 0"):
        rig.reshape()


def test_cont_gets_no_gradient() -> None:
    rig = Rig(text("LSTM"), [np.zeros(X), CONT])
    rig.forward()
    with pytest.raises(CaffeError, match="cannot propagate to cont"):
        rig.backward([np.zeros((5, 2, 4))])
