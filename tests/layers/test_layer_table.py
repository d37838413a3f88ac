"""The table of contents: every type has its module, and an unknown one is met with the nearest known."""

from __future__ import annotations

from pathlib import Path

import pytest

from pycaffe_lite import layers
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.layers.contract import Layer, Place, register_layer, registered
from pycaffe_lite.layers.registry import MODULES, create, layer_class, layer_type_list
from pycaffe_lite.phase import TEST
from rigs.layer_rig import layer_param


@pytest.mark.parametrize("name", MODULES)
def test_each_type_is_where_the_table_says(name: str) -> None:
    cls = layer_class(name)
    assert cls.type == name
    assert cls.__module__ == f"pycaffe_lite.layers.{MODULES[name]}"


def test_each_registered_class_of_ours_is_in_the_table() -> None:
    for path in Path(layers.__file__).parent.glob("*.py"):
        if "\n@register_layer(" in path.read_text(encoding="utf-8"):
            assert path.stem in MODULES.values()


def test_names_are_sorted_and_hold_a_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pycaffe_lite.layers.contract._REGISTRY", dict(registered()))

    @register_layer("Mine")
    class Mine(Layer):
        pass

    assert "Mine" in layer_type_list()
    assert layer_type_list() == sorted({*MODULES, *registered()})
    assert isinstance(create(layer_param('type: "Mine"')), Mine)


def test_create_knows_the_phase_and_the_place() -> None:
    layer = create(layer_param('name: "r" type: "ReLU"'), TEST, Place("net.prototxt:7: "))
    assert layer.phase == TEST
    assert str(layer.error("no.")) == 'net.prototxt:7: layer "r" (ReLU): no.'


@pytest.mark.parametrize(("wrong", "right"), [("relu", "ReLU"), ("SoftmaxLoss", "SoftmaxWithLoss")])
def test_an_unknown_type_is_met_with_the_nearest(wrong: str, right: str) -> None:
    with pytest.raises(CaffeError, match=rf'^a:1: layer "r": unknown layer type "{wrong}"; .*"{right}"'):
        create(layer_param(f'name: "r" type: "{wrong}"'), TEST, Place("a:1: "))


def test_a_type_like_no_other_is_met_with_what_one_can_do() -> None:
    with pytest.raises(
        CaffeError, match=r"no type of Caffe's nor of a fork .*: a Python layer can compute it\.$"
    ) as one:
        create(layer_param('type: "Qqqq"'))
    assert len(str(one.value)) < 200
