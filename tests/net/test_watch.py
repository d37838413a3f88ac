"""The lines of `debug_info: true`; golden/cli/logs/debug_info.log has them in their order."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.net import Net
from pycaffe_lite.net.watch import mean_abs
from rigs.net_rig import fill, inner_product, inputs, logged, make_net, messages, softmax_loss

TEXT = (
    "debug_info: true "
    + inputs(x=[4, 3], label=[4])
    + inner_product("a", "x", 2, 'param { name: "w" } param { lr_mult: 0 }')
    + softmax_loss("a")
)


@pytest.fixture
def net(generator: np.random.Generator) -> Net:
    net = make_net(TEXT)
    fill(net, generator, label=2)
    return net


def test_the_mean_of_absolute_values() -> None:
    assert mean_abs(np.array([[1.0, -2.0], [0.0, 6.0]])) == "2.25"
    assert mean_abs(np.zeros((0, 3))) == "0"
    assert mean_abs(np.array([np.nan, 1])) == "nan"


def test_a_pass_forward_and_backward(net: Net) -> None:
    lines = logged()
    net.forward_backward()
    numbers = {name: mean_abs(net.blobs[name].data) for name in net.blobs}
    weight, bias = net.params["a"]

    def norms(order: int) -> str:
        flat = [np.append(weight.data, bias.data), np.append(weight.diff, bias.diff)]
        return ", ".join(f"{np.linalg.norm(values, order):g}" for values in flat)

    assert messages(lines) == [
        f"    [Forward] Layer in, top blob x data: {numbers['x']}",
        f"    [Forward] Layer in, top blob label data: {numbers['label']}",
        f"    [Forward] Layer a, top blob a data: {numbers['a']}",
        f"    [Forward] Layer a, param blob w data: {mean_abs(weight.data)}",
        f"    [Forward] Layer a, param blob 1 data: {mean_abs(bias.data)}",
        f"    [Forward] Layer loss, top blob loss data: {numbers['loss']}",
        f"    [Backward] Layer loss, bottom blob a diff: {mean_abs(net.blobs['a'].diff)}",
        f"    [Backward] Layer a, param blob w diff: {mean_abs(weight.diff)}",
        f"    [Backward] All net params (data, diff): L1 norm = ({norms(1)}); L2 norm = ({norms(2)})",
    ]


def test_nothing_without_it(net: Net) -> None:
    net.debug_info = False
    lines = logged()
    net.forward_backward()
    assert lines == []
