"""Where the backward pass goes: Caffe's analysis of parameters, losses, propagate_down and force_backward."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST
from rigs.net_rig import fill, inner_product, inputs, layer, logged, make_net, messages, softmax_loss

FROZEN = "param { lr_mult: 0 } param { lr_mult: 0 }"


def relu(name: str, bottom: str, more: str = "") -> str:
    return layer(name, "ReLU", [bottom], [name], more)


def runs(net: Net) -> list[str]:
    """The layers that run backward."""
    return [node.name for node in net.nodes if node.goes_backward]


def diffs(net: Net) -> list[str]:
    """The blobs whose diffs the layers are asked for."""
    plans = [zip(node.bottom_names, node.propagate_down, strict=True) for node in net.nodes]
    return [name for plan in plans for name, wanted in plan if wanted]


BASE = inputs(x=[2, 3], label=[2])


def test_backward_goes_from_the_loss_to_the_first_parameter() -> None:
    net = make_net(BASE + relu("r", "x") + inner_product("a", "r", 3) + relu("s", "a") + softmax_loss("s"))
    assert runs(net) == ["a", "s", "loss"]
    assert diffs(net) == ["a", "s"]


def test_the_log_says_which_layers_need_backward() -> None:
    lines = logged()
    make_net(BASE + relu("r", "x") + inner_product("a", "r", 3) + softmax_loss("a"))
    assert [line for line in messages(lines) if "backward" in line] == [
        "loss needs backward computation.",
        "a needs backward computation.",
        "r does not need backward computation.",
        "in does not need backward computation.",
    ]


def test_a_branch_without_a_loss_takes_no_part() -> None:
    text = BASE + inner_product("a", "x", 3) + relu("aside", "a") + inner_product("far", "aside", 2) + softmax_loss("a")
    net = make_net(text)
    assert runs(net) == ["a", "a_a_0_split", "loss"]
    net.forward_backward()
    assert not any(blob.diff.any() for blob in net.params["far"])


def test_a_net_without_a_loss_runs_no_backward() -> None:
    assert runs(make_net(BASE + inner_product("a", "x", 3))) == []


def test_lr_mult_0_means_no_gradient(generator: np.random.Generator) -> None:
    net = make_net(BASE + inner_product("a", "x", 3, FROZEN) + inner_product("b", "a", 3) + softmax_loss("b"))
    fill(net, generator, label=3)
    net.forward_backward()
    assert runs(net) == ["b", "loss"]
    assert not any(blob.diff.any() for blob in net.params["a"])
    assert not net.blobs["a"].has_diff


@pytest.mark.parametrize("kind", ["InnerProduct", "Convolution"])
@pytest.mark.parametrize("frozen", [0, 1])
def test_one_parameter_of_a_layer_may_be_frozen(generator: np.random.Generator, kind: str, frozen: int) -> None:
    rates = " ".join(f"param {{ lr_mult: {int(i != frozen)} }}" for i in range(2))
    size = "num_output: 3" + (" kernel_size: 2" if kind == "Convolution" else "")
    param = {"InnerProduct": "inner_product_param", "Convolution": "convolution_param"}[kind]
    text = inputs(x=[2, 3, 4, 4], label=[2]) + layer("a", kind, ["x"], ["a"], f"{param} {{ {size} }} {rates}")
    net = make_net(text + inner_product("b", "a", 3) + softmax_loss("b"))
    fill(net, generator, label=3)
    net.forward_backward()
    assert [bool(blob.diff.any()) for blob in net.params["a"]] == [frozen != 0, frozen != 1]


def test_a_shared_parameter_counts_where_its_own_user_says_so(generator: np.random.Generator) -> None:
    text = (
        BASE
        + inner_product("a", "x", 3, 'param { name: "w" lr_mult: 0 } param { lr_mult: 0 }')
        + inner_product("b", "a", 3, 'param { name: "w" } param { name: "bias" }')
        + softmax_loss("b")
    )
    net = make_net(text)
    assert runs(net) == ["b", "loss"]


def test_propagate_down_false_cuts_off_what_lies_below(generator: np.random.Generator) -> None:
    net = make_net(
        BASE + inner_product("a", "x", 3) + inner_product("b", "a", 3, "propagate_down: false") + softmax_loss("b")
    )
    assert runs(net) == ["b", "loss"]
    fill(net, generator, label=3)
    net.forward_backward()
    assert not any(blob.diff.any() for blob in net.params["a"])
    assert all(blob.diff.any() for blob in net.params["b"])


def test_propagate_down_false_speaks_of_the_bottom_alone(generator: np.random.Generator) -> None:
    """A layer without parameters still receives the diff that it may not hand on, as in Caffe."""
    net = make_net(BASE + inner_product("a", "x", 3) + relu("r", "a", "propagate_down: false") + softmax_loss("r"))
    assert runs(net) == ["r", "loss"]
    assert diffs(net) == ["r"]
    fill(net, generator, label=3)
    net.forward_backward()
    assert net.blobs["r"].diff.any()
    assert not net.blobs["a"].has_diff


def test_propagate_down_true_asks_for_the_diff_of_data() -> None:
    net = make_net(BASE + inner_product("a", "x", 3, "propagate_down: true") + softmax_loss("a"))
    assert runs(net) == ["a", "loss"]
    assert diffs(net) == ["x", "a"]


def test_propagate_down_true_alone_makes_no_layer_run() -> None:
    net = make_net(BASE + relu("r", "x", "propagate_down: true") + softmax_loss("r"))
    assert runs(net) == []


def test_one_branch_of_two_may_be_cut_off(generator: np.random.Generator) -> None:
    def gradients(more: str) -> list[np.ndarray]:
        net = make_net(
            BASE
            + inner_product("a", "x", 3)
            + softmax_loss("a")
            + inner_product("probe", "a", 3, more)
            + layer("probe_loss", "SoftmaxWithLoss", ["probe", "label"], ["probe_loss"])
        )
        fill(net, np.random.default_rng(1), label=3)
        for blob, values in zip(net.parameters.blobs, generator_values, strict=True):
            blob.data[...] = values
        net.forward_backward()
        return [blob.diff.copy() for name in ("a", "probe") for blob in net.params[name]]

    generator_values = [generator.normal(size=shape) for shape in ((3, 3), (3,), (3, 3), (3,))]
    both, cut = gradients(""), gradients("propagate_down: false")
    assert not np.allclose(both[0], cut[0])
    np.testing.assert_array_equal(both[2], cut[2])


def test_the_probe_alone_leaves_the_gradient_of_the_other_loss(generator: np.random.Generator) -> None:
    plain = BASE + inner_product("a", "x", 3) + softmax_loss("a")
    probe = inner_product("probe", "a", 3, "propagate_down: false") + layer(
        "probe_loss", "SoftmaxWithLoss", ["probe", "label"], ["probe_loss"]
    )
    nets = [make_net(plain), make_net(plain + probe)]
    for name in ("x", "label"):
        values = generator.integers(0, 3, nets[0].blobs[name].shape)
        for net in nets:
            net.blobs[name].data[...] = values
    for blob, other in zip(nets[0].params["a"], nets[1].params["a"], strict=True):
        other.data[...] = blob.data
    for net in nets:
        net.forward_backward()
    for blob, other in zip(nets[0].params["a"], nets[1].params["a"], strict=True):
        np.testing.assert_array_equal(blob.diff, other.diff)


# -- force_backward ----------------------------------------------------------------------------------------


def test_force_backward_reaches_the_data_but_not_the_labels(generator: np.random.Generator) -> None:
    text = BASE + relu("r", "x") + inner_product("a", "r", 3, FROZEN) + softmax_loss("a")
    net = make_net("force_backward: true " + text)
    assert runs(net) == net.layer_names
    assert diffs(net) == ["x", "r", "a"]
    fill(net, generator, label=3)
    net.forward_backward()
    assert net.blobs["x"].diff.any()
    assert not net.blobs["label"].has_diff
    assert all(blob.diff.any() for blob in net.params["a"])


def test_force_backward_needs_no_loss(generator: np.random.Generator) -> None:
    net = make_net("force_backward: true " + inputs(x=[2, 3]) + inner_product("a", "x", 3) + relu("r", "a"))
    net.forward(x=generator.normal(size=(2, 3)))
    out = net.backward(r=1)
    expected = (net.blobs["a"].data > 0) @ net.params["a"][0].data
    np.testing.assert_allclose(out["x"], expected, rtol=1e-5, atol=1e-6)


def test_a_layer_without_derivative_says_what_to_do(generator: np.random.Generator) -> None:
    net = make_net(
        BASE + inner_product("a", "x", 3) + layer("acc", "Accuracy", ["a", "label"], ["acc"], "loss_weight: 1")
    )
    fill(net, generator, label=3)
    with pytest.raises(CaffeError, match=r'layer "acc" \(Accuracy\): has no derivative; put propagate_down: false'):
        net.forward_backward()


def test_labels_have_no_derivative(generator: np.random.Generator) -> None:
    net = make_net(
        inputs(x=[2, 3], y=[2, 1]) + inner_product("a", "x", 3) + inner_product("b", "y", 1) + softmax_loss("a", "b"),
        TEST,
    )
    with pytest.raises(CaffeError, match=r'layer "loss" \(SoftmaxWithLoss\): cannot propagate to its targets'):
        net.forward(x=0, y=0)
        net.params["b"][0].data[...] = 0
        net.params["b"][1].data[...] = 0
        net.forward_backward()
