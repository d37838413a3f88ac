"""Which layers a net has: include and exclude rules, and the Splits that come in."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net
from pycaffe_lite.net.rules import filter_layers, insert_splits
from pycaffe_lite.phase import TEST, TRAIN
from pycaffe_lite.proto.caffe_pb2 import NetState
from pycaffe_lite.proto.text import parse
from rigs.net_rig import inner_product, inputs, layer, logged, make_net, messages, net_param, softmax_loss


def is_in(rules: str, state: str) -> bool:
    param = net_param(layer("a", "Input", top=["x"], more=rules))
    return bool(filter_layers(param.layer, parse(state, NetState), ["here: "])[0])


@pytest.mark.parametrize(
    ("rules", "state", "expected"),
    [
        ("", "phase: TEST", True),
        ("include { phase: TEST }", "phase: TEST", True),
        ("include { phase: TEST }", "phase: TRAIN", False),
        ("include { phase: TEST } include { phase: TRAIN }", "phase: TRAIN", True),
        ("exclude { phase: TEST }", "phase: TEST", False),
        ("exclude { phase: TEST }", "phase: TRAIN", True),
        ("exclude { phase: TEST } exclude { phase: TRAIN }", "phase: TRAIN", False),
        ("include { }", "phase: TRAIN", True),
        ("exclude { }", "phase: TRAIN", False),
        ("include { min_level: 2 }", "level: 1", False),
        ("include { min_level: 2 }", "level: 2", True),
        ("include { max_level: 2 }", "level: 2", True),
        ("include { max_level: 2 }", "level: 3", False),
        ("include { min_level: -1 max_level: 1 }", "", True),
        ("exclude { min_level: 1 }", "level: 1", False),
        ('include { stage: "a" }', "", False),
        ('include { stage: "a" }', 'stage: "b" stage: "a"', True),
        ('include { stage: "a" stage: "b" }', 'stage: "a"', False),
        ('include { stage: "a" stage: "b" }', 'stage: "a" stage: "b" stage: "c"', True),
        ('include { stage: "a" } include { stage: "b" }', 'stage: "b"', True),
        ('include { not_stage: "a" }', 'stage: "a"', False),
        ('include { not_stage: "a" }', 'stage: "b"', True),
        ('include { stage: "b" not_stage: "a" }', 'stage: "a" stage: "b"', False),
        ('include { phase: TEST stage: "a" }', 'phase: TRAIN stage: "a"', False),
        ('exclude { phase: TEST stage: "a" }', 'phase: TRAIN stage: "a"', True),
    ],
)
def test_rules(rules: str, state: str, expected: bool) -> None:
    assert is_in(rules, state) is expected


def test_include_and_exclude_together_are_refused() -> None:
    with pytest.raises(CaffeError, match=r'^here: layer "a" \(Input\): expected include rules or exclude'):
        is_in("include { phase: TEST } exclude { phase: TRAIN }", "phase: TEST")


@pytest.mark.parametrize(
    ("rules", "line"),
    [
        (
            "include { phase: TEST }",
            "The NetState phase (0) differed from the phase (1) specified by a rule in layer a",
        ),
        (
            "include { min_level: 5 }",
            "The NetState level (3) is under the min_level (5) specified by a rule in layer a",
        ),
        (
            "include { max_level: 1 }",
            "The NetState level (3) is above the max_level (1) specified by a rule in layer a",
        ),
        ('include { stage: "b" }', "The NetState did not contain stage 'b' specified by a rule in layer a"),
        ('include { not_stage: "s" }', "The NetState contained a not_stage 's' specified by a rule in layer a"),
    ],
)
def test_the_log_says_why_a_layer_is_left_out(rules: str, line: str) -> None:
    lines = logged()
    is_in(rules, 'phase: TRAIN level: 3 stage: "s"')
    assert messages(lines) == [line]


def test_the_rules_of_a_net_see_what_it_was_made_with() -> None:
    text = (
        'state { phase: TEST level: 5 stage: "of the text" }'
        + layer("train", "Input", top=["a"], more="include { phase: TRAIN }")
        + layer("level", "Input", top=["b"], more="include { max_level: 2 min_level: 2 }")
        + layer("text", "Input", top=["c"], more='include { stage: "of the text" }')
        + layer("call", "Input", top=["d"], more='include { stage: "of the call" }')
    )
    assert make_net(text, TRAIN, level=2, stages=["of the call"]).layer_names == ["train", "level", "text", "call"]
    assert make_net(text, TEST).layer_names == ["text"]
    assert Net(net_param(text)).layer_names == ["text"]


# -- Splits ------------------------------------------------------------------------------------------------


def split_net(text: str) -> dict[str, tuple[list[str], list[str], list[float]]]:
    """The layers after Splits have come in: name -> bottoms, tops, loss weights."""
    layers = net_param(text).layer
    result, _ = insert_splits(layers, [""] * len(layers))
    return {param.name: (list(param.bottom), list(param.top), list(param.loss_weight)) for param in result}


def test_a_blob_with_one_user_or_none_has_no_split() -> None:
    text = inputs(x=[2, 3], y=[2]) + inner_product("fc", "x", 2)
    assert list(split_net(text)) == ["in", "fc"]


def test_names_and_places_of_splits() -> None:
    text = (
        inputs(x=[2, 3], label=[2])
        + inner_product("a", "x", 2)
        + inner_product("b", "x", 2)
        + inner_product("c", "x", 2)
        + softmax_loss("a")
        + layer("accuracy", "Accuracy", ["b", "label"], ["accuracy"])
    )
    layers = split_net(text)
    order = ["in", "x_in_0_split", "label_in_1_split", "a", "b", "c", "loss", "accuracy"]
    assert list(layers) == order
    assert layers["x_in_0_split"][:2] == (["x"], [f"x_in_0_split_{k}" for k in range(3)])
    assert [layers[name][0] for name in "abc"] == [[f"x_in_0_split_{k}"] for k in range(3)]
    assert layers["loss"][0] == ["a", "label_in_1_split_0"]
    assert layers["accuracy"][0] == ["b", "label_in_1_split_1"]


def test_a_layer_may_read_a_blob_twice() -> None:
    layers = split_net(inputs(x=[2]) + layer("loss", "SoftmaxWithLoss", ["x", "x"], ["loss"]))
    assert layers["loss"][0] == ["x_in_0_split_0", "x_in_0_split_1"]


def test_after_a_layer_in_place_the_split_bears_its_name() -> None:
    text = (
        inputs(x=[2, 3])
        + inner_product("fc", "x", 2)
        + layer("relu", "ReLU", ["fc"], ["fc"])
        + inner_product("a", "fc", 2)
        + inner_product("b", "fc", 2)
    )
    layers = split_net(text)
    assert list(layers) == ["in", "fc", "relu", "fc_relu_0_split", "a", "b"]
    assert layers["relu"][:2] == (["fc"], ["fc"])
    assert layers["b"][0] == ["fc_relu_0_split_1"]


def test_a_loss_weight_on_a_blob_that_is_read_on_goes_into_the_first_branch() -> None:
    text = (
        inputs(x=[2, 3])
        + inner_product("fc", "x", 2, more="loss_weight: 0.5")
        + inner_product("next", "fc", 2)
        + inner_product("last", "next", 2, more="loss_weight: 3")
    )
    layers = split_net(text)
    assert list(layers) == ["in", "fc", "fc_fc_0_split", "next", "last"]
    assert layers["fc"][2] == [0]
    assert layers["fc_fc_0_split"] == (["fc"], ["fc_fc_0_split_0", "fc_fc_0_split_1"], [0.5, 0])
    assert layers["next"][0] == ["fc_fc_0_split_1"]
    assert layers["last"][2] == [3]


def test_the_split_of_a_weighted_blob_is_an_output_and_counts_once() -> None:
    text = (
        inputs(x=[2, 3])
        + inner_product("fc", "x", 2, more="loss_weight: 0.5")
        + inner_product("next", "fc", 1, more="loss_weight: 2")
    )
    net = make_net(text)
    net.blobs["x"].data[...] = 1
    loss = net.forward_backward()
    fc, last = net.blobs["fc"].data, net.blobs["next"].data
    assert loss == pytest.approx(0.5 * fc.sum() + 2 * last.sum(), rel=1e-6)
    assert net.outputs == ["fc_fc_0_split_0", "next"]
    expected = 0.5 + 2 * net.params["next"][0].data[0]
    np.testing.assert_allclose(net.blobs["fc"].diff, [expected, expected], rtol=1e-6)


def test_an_unknown_bottom_names_the_tops_there_are() -> None:
    with pytest.raises(CaffeError, match=r'^layer "r" \(ReLU\): bottom 0, "z", .*the tops so far are x, y\.$'):
        make_net(inputs(x=[1], y=[1]) + layer("r", "ReLU", ["z"], ["r"]))
    with pytest.raises(CaffeError, match="there are no tops so far"):
        make_net(layer("r", "ReLU", ["z"], ["r"]))


def test_a_bottom_must_come_before_its_reader() -> None:
    with pytest.raises(CaffeError, match='"x", is no top of a layer before it'):
        make_net(layer("r", "ReLU", ["x"], ["r"]) + inputs(x=[1]))
