"""Older forms of nets and solvers, against what Caffe's upgrade tools made of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.proto.caffe_pb2 import LayerParameter, NetParameter, ParamSpec, SolverParameter
from pycaffe_lite.proto.printer import to_text
from pycaffe_lite.proto.read import read_net, read_solver
from pycaffe_lite.proto.schema import fields_of
from pycaffe_lite.proto.text import Lines, parse
from pycaffe_lite.proto.upgrade import upgrade_net, upgrade_solver
from pycaffe_lite.proto.upgrade_v1 import TYPES
from rigs import GOLDEN

FORMATS = GOLDEN / "formats"
CASES: dict[str, Any] = json.loads((FORMATS / "legacy.json").read_text())
UPGRADED = [name for name, case in CASES.items() if case["output"]]
REFUSED = [name for name, case in CASES.items() if not case["output"]]
NETS = [name for name in UPGRADED if "net" in CASES[name]["tool"]]


def upgraded(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(FORMATS)
    path = CASES[name]["input"]
    return read_net(path).param if "net" in CASES[name]["tool"] else read_solver(path).param


@pytest.mark.parametrize("name", UPGRADED)
def test_upgrades_as_caffe_does(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = upgraded(name, monkeypatch)
    expected = parse((FORMATS / CASES[name]["output"]).read_text(), type(found))
    if isinstance(found, SolverParameter) and not expected.HasField("snapshot_prefix"):
        found.ClearField("snapshot_prefix")  # the tool leaves it alone, training sets it
    assert found == expected


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_what_caffe_refuses(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CaffeError, match=rf"^legacy/{name}.prototxt:\d+: "):
        upgraded(name, monkeypatch)


@pytest.mark.parametrize("name", NETS)
def test_tells_each_layers_line(name: str) -> None:
    path = FORMATS / CASES[name]["input"]
    net = read_net(str(path))
    text = path.read_text().splitlines()
    assert len(net.layer_lines) == len(net.param.layer)
    for layer, line in zip(net.param.layer, net.layer_lines, strict=True):
        expected = "input" if layer.type == "Input" and layer.name == "input" else "layer"
        assert text[line - 1].lstrip().startswith(expected)
        if "}" in text[line - 1]:  # written on one line: its name is there too
            assert to_text(LayerParameter(name=layer.name)).strip() in text[line - 1]


@pytest.mark.parametrize(
    ("name", "forms"),
    [
        ("v1_train", "transformations in data layers, V1 layers"),
        ("v0_train", "V0 layers"),
        ("v0_deploy", "V0 layers, inputs outside of layers"),
    ],
)
def test_says_once_what_it_upgraded(name: str, forms: str, messages: list[str]) -> None:
    read_net(str(FORMATS / f"legacy/{name}.prototxt"))
    (line,) = messages
    assert line.startswith("IUpgraded ")
    assert line.endswith(f"from an older form: {forms}.")


def test_says_nothing_of_a_present_net(messages: list[str]) -> None:
    read_net(str(FORMATS / "legacy/current.prototxt"))
    assert messages == []


def test_warns_of_v0_fields_of_other_types(messages: list[str]) -> None:
    read_net(str(FORMATS / "legacy/v0_wrong_parameter.prototxt"))
    warnings = [line for line in messages if line.startswith("W")]
    assert len(warnings) == 3
    assert 'prototxt:4: layer "r": type "relu" has no num_output; ignored' in warnings[0]


def test_v0_layers_keep_what_stands_beside_them(messages: list[str]) -> None:
    net = parse(
        "layers { layer { name: 'l' type: 'softmax_loss' } bottom: 'x' "
        "include { phase: TEST } loss_weight: 2 }"
        "input: 'x' input_dim: [1, 1, 1, 1]",
        NetParameter,
    )
    upgrade_net(net, "old.prototxt")
    layer = net.layer[1]
    assert (layer.name, layer.type, list(layer.loss_weight)) == ("l", "SoftmaxWithLoss", [2])
    assert layer.include[0].phase == 1
    assert any("include, loss_weight" in line for line in messages)


def test_a_net_may_mix_v0_and_v1_layers() -> None:
    net = parse("layers { layer { name: 'a' type: 'relu' } } layers { name: 'b' type: TANH }", NetParameter)
    upgrade_net(net)
    assert [(layer.name, layer.type) for layer in net.layer] == [("a", "ReLU"), ("b", "TanH")]


def test_every_v1_type_and_parameter_has_a_place_today() -> None:
    v1, today = (fields_of(NetParameter.DESCRIPTOR.fields_by_name[n].message_type) for n in ("layers", "layer"))
    assert set(v1["type"].values) == set(TYPES)
    assert {name for name in v1 if name.endswith("_param")} <= set(today)


def test_layer_form_with_old_transformations_warns(messages: list[str]) -> None:
    net = parse("layer { name: 'd' type: 'Data'\n data_param { scale: 0.5 mirror: true } }", NetParameter)
    assert upgrade_net(net, "n.prototxt", {"layer": [1]}) == [1]
    (line,) = messages
    assert line.startswith('Wn.prototxt:1: layer "d": scale, mirror in data_param has no effect, as in Caffe')
    assert not net.layer[0].HasField("transform_param")


BAD_NETS = [
    ("input: 'x' input_dim: [1, 2, 3]", "expected 4 input_dim for the net's inputs, got 3"),
    ("input: 'x' input: 'y' input_shape { dim: 1 }", "expected 2 input_shape for the net's inputs, got 1"),
    ("layers { layer { name: 'a' type: 'convolution' } }", 'unknown V0 type "convolution"'),
    ("layers { layer { name: 'a' type: 'drop_out' } }", 'did you mean "dropout"?'),
    (
        "input: 'x' input_dim: [1, 1, 1, 1]"
        "layers { layer { name: 'p' type: 'padding' pad: 1 } bottom: 'x' top: 'p' }"
        "layers { layer { name: 'r' type: 'relu' } bottom: 'p' top: 'r' }",
        'expected a conv or pool layer with one bottom behind the padding layer "p", got type "relu"',
    ),
    (
        "input: 'x' input_dim: [1, 1, 1, 1] layers { layer { name: 'p' type: 'padding' pad: 1 } top: 'p' }"
        "layers { layer { name: 'c' type: 'conv' } bottom: 'p' top: 'c' }",
        'expected one bottom and one top in the padding layer "p", got 0 and 1',
    ),
]


@pytest.mark.parametrize(("text", "problem"), BAD_NETS)
def test_refuses_what_never_was(text: str, problem: str) -> None:
    lines: Lines = {}
    net = parse(text, NetParameter, "bad.prototxt", lines)
    with pytest.raises(CaffeError) as caught:
        upgrade_net(net, "bad.prototxt", lines)
    assert str(caught.value).startswith("bad.prototxt:1: ")
    assert problem in str(caught.value)


def test_works_without_lines() -> None:
    net = parse("layers { name: 'a' type: RELU } layers { name: 'b' type: RELU }", NetParameter)
    assert upgrade_net(net) == [0, 0]
    mixed = parse("layer { } layers { }", NetParameter)
    with pytest.raises(CaffeError, match=r"^net: expected layers of one form"):
        upgrade_net(mixed)


def test_batch_norm_rates_are_set_only_for_three_params(messages: list[str]) -> None:
    net = parse("layer { type: 'BatchNorm' param { lr_mult: 1 } param { } }", NetParameter)
    upgrade_net(net)
    assert net.layer[0].param[0].lr_mult == 1
    net.layer[0].param.append(ParamSpec())
    upgrade_net(net)
    assert [spec.lr_mult for spec in net.layer[0].param] == [0, 0, 0]
    assert messages == ["IUpgraded net from an older form: BatchNorm layers with learning rates."]


def test_nets_inside_a_solver_are_upgraded() -> None:
    lines: Lines = {}
    old = "{ input: 'x' input_dim: [1, 1, 1, 1] layers { type: RELU name: 'r' } }"
    text = f"net_param {old} test_net_param {old} train_net_param {old}"
    solver = parse(text, SolverParameter, "s", lines)
    upgrade_solver(solver, "s", lines)
    for net in (solver.net_param, solver.train_net_param, solver.test_net_param[0]):
        assert [layer.type for layer in net.layer] == ["Input", "ReLU"]


def test_a_bad_net_inside_a_solver_is_placed() -> None:
    lines: Lines = {}
    solver = parse("net_param {\n layer { }\n layers { }\n}", SolverParameter, "s", lines)
    with pytest.raises(CaffeError, match=r"^s:3: "):
        upgrade_solver(solver, "s", lines)
