"""Python layers: where their modules are found, what `caffe` is in them, and what their errors say."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import pycaffe_lite
from pycaffe_lite import door
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST, TRAIN
from pycaffe_lite.proto import caffe_pb2

NET = """
layer {{ name: "in" type: "Input" top: "x" input_param {{ shape {{ dim: 2 dim: 3 }} }} }}
layer {{ name: "mine" type: "Python" bottom: "x" top: "y" python_param {{ {fields} }} {more} }}
"""
DOUBLE = """
import caffe

class Double(caffe.Layer):
    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom, top):
        top[0].data[...] = 2 * bottom[0].data
"""

Make = Callable[..., Net]


@pytest.fixture(autouse=True)
def fresh_imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has its own modules and paths, and no caffe from the test before."""
    known = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name.split(".")[0] == "caffe"]:
        monkeypatch.delitem(sys.modules, name)
    yield
    for name in set(sys.modules) - known:
        if not name.startswith("pycaffe_lite"):
            del sys.modules[name]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes a module beside a net with a layer of it, and builds the net."""

    def build(code: str, name: str = "Double", module: str = "of_a_user", phase: int = TRAIN, **text: str) -> Net:
        (tmp_path / f"{module}.py").write_text(code, encoding="utf-8")
        return net_of(
            tmp_path, f'module: "{module}" layer: "{name}" {text.get("fields", "")}', phase, text.get("more", "")
        )

    return build


def net_of(folder: Path, fields: str, phase: int = TRAIN, more: str = "") -> Net:
    path = folder / "net.prototxt"
    path.write_text(NET.format(fields=fields, more=more), encoding="utf-8")
    return Net(str(path), phase)


@pytest.mark.parametrize("listed", ["", "/one:/two"])
def test_a_module_that_is_not_there_is_named_whole(
    listed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", listed)
    with pytest.raises(CaffeError) as caught:
        net_of(tmp_path, 'module: "rpn.my_layer" layer: "MyLayer"')
    searched = (
        f"in PYTHONPATH ({'/one, /two' if listed else 'which is not set'}), or beside the prototxt in {tmp_path};"
    )
    assert 'expected python_param { module: "rpn.my_layer" } to be a Python module' in str(caught.value)
    assert f"found no rpn/my_layer.py in the working folder {os.getcwd()}, {searched}" in str(caught.value)
    assert str(caught.value).endswith("; put the folder that has rpn into PYTHONPATH.")


def test_a_package_without_the_module_is_named(tmp_path: Path) -> None:
    (tmp_path / "rpn").mkdir()
    (tmp_path / "rpn/__init__.py").write_text("")
    with pytest.raises(CaffeError, match=rf"rpn/my_layer.py .*; rpn was found as {tmp_path}/rpn, without it.$"):
        net_of(tmp_path, 'module: "rpn.my_layer" layer: "MyLayer"')


# -- finding the module --------------------------------------------------------------------------------------


def place_beside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The net's own folder."""


def place_in_working_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def place_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(folder))


@pytest.mark.parametrize("place", [place_beside, place_in_working_folder, place_on_path])
def test_module_is_found(place: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path if place is place_beside else tmp_path / "elsewhere"
    home.mkdir(exist_ok=True)
    (home / "of_a_user.py").write_text(DOUBLE, encoding="utf-8")
    place(home, monkeypatch)
    net = net_of(tmp_path, 'module: "of_a_user" layer: "Double"')
    np.testing.assert_array_equal(net.forward(x=np.ones((2, 3)))["y"], np.full((2, 3), 2))


def test_working_folder_comes_first(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    working = tmp_path / "working"
    working.mkdir()
    (working / "of_a_user.py").write_text(DOUBLE.replace("2 *", "3 *"), encoding="utf-8")
    monkeypatch.chdir(working)
    assert make(DOUBLE).forward(x=np.ones((2, 3)))["y"][0, 0] == 3


def test_folders_are_last_once_the_module_is_loaded(tmp_path: Path, make: Make) -> None:
    before = list(sys.path)
    make(DOUBLE)
    assert sys.path[: len(before)] == before
    assert str(tmp_path) in sys.path[len(before) :]


def test_modules_beside_it_can_be_imported_later(tmp_path: Path, make: Make) -> None:
    (tmp_path / "helper_of_a_user.py").write_text("factor = 2\n", encoding="utf-8")
    code = DOUBLE.replace("top[0].data[...] = 2 *", "import helper_of_a_user as h; top[0].data[...] = h.factor *")
    assert make(code).forward(x=np.ones((2, 3)))["y"][0, 0] == 2


# -- what caffe is -------------------------------------------------------------------------------------------


def test_without_another_caffe_the_name_is_ours_from_then_on(make: Make) -> None:
    code = DOUBLE.replace(
        "top[0].data[...] =", "import caffe.proto.caffe_pb2 as p; self.seen = caffe, p; top[0].data[...] ="
    )
    net = make("from caffe.proto import caffe_pb2\n" + code)
    net.forward()
    assert net.layers[1].seen == (sys.modules["caffe"], caffe_pb2)
    assert door.is_ours(importlib.import_module("caffe"))
    assert pycaffe_lite.__spec__.name == "pycaffe_lite"
    assert caffe_pb2.__name__ == "pycaffe_lite.proto.caffe_pb2"


@pytest.mark.parametrize("imported", [True, False])
def test_another_caffe_is_left_alone(
    imported: bool, tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "caffe"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("class Layer: pass\n", encoding="utf-8")
    (package / "io.py").write_text("", encoding="utf-8")
    monkeypatch.syspath_prepend(str(package.parent))
    theirs = importlib.import_module("caffe.io") if imported else None
    net = make(DOUBLE)
    assert net.forward(x=np.ones((2, 3)))["y"][0, 0] == 2
    assert importlib.import_module("caffe").Layer is not pycaffe_lite.Layer
    assert not imported or sys.modules["caffe.io"] is theirs


def test_a_folder_called_caffe_is_no_caffe(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "caffe" / "examples").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    make(DOUBLE)
    assert door.is_ours(importlib.import_module("caffe"))


def test_an_alias_of_the_users_own_stays(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "caffe", pycaffe_lite)
    make(DOUBLE)
    assert sys.modules["caffe"] is pycaffe_lite


# -- what a layer is given -----------------------------------------------------------------------------------


def test_layer_knows_its_parameters_and_phase(make: Make) -> None:
    code = (
        DOUBLE + "    def setup(self, bottom, top):\n        self.seen = self.param_str, self.param_str_, self.phase\n"
    )
    layer = make(code, phase=TEST, fields="param_str: \"{'a': 1}\"").layers[1]
    assert layer.seen == ("{'a': 1}", "{'a': 1}", TEST)


def test_param_str_may_be_replaced(make: Make) -> None:
    code = DOUBLE + "    def setup(self, bottom, top):\n        self.param_str = eval(self.param_str)\n"
    assert make(code, fields='param_str: "[1, 2]"').layers[1].user.param_str == [1, 2]


def test_an_init_of_pycaffes_kind_is_called(make: Make) -> None:
    code = DOUBLE + "    def __init__(self, p_object, *args, **kwargs):\n"
    code += "        super(Double, self).__init__(p_object, *args, **kwargs)\n        self.made = True\n"
    assert make(code).layers[1].made


def test_reshape_runs_before_each_forward(make: Make) -> None:
    code = DOUBLE + "        self.rows += 1\n"
    code = code.replace("top[0].reshape(*bottom[0].shape)", "top[0].reshape(self.rows)")
    code = code.replace("top[0].data[...] = 2 * bottom[0].data", "top[0].data[...] = self.rows")
    net = make(code + "    def setup(self, bottom, top):\n        self.rows = 2\n")
    assert [net.forward()["y"].tolist() for _ in range(2)] == [[2, 2], [3, 3, 3]]


def test_top_may_be_reshaped_in_forward(make: Make) -> None:
    code = DOUBLE.replace("top[0].data[...] = 2 * bottom[0].data", "top[0].reshape(1, 5); top[0].data[...] = 4")
    assert make(code).forward()["y"].tolist() == [[4] * 5]


def test_parameters_learn_and_are_named(make: Make) -> None:
    code = (
        DOUBLE
        + "    def setup(self, bottom, top):\n        self.blobs.add_blob(4, 5)\n        self.blobs.add_blob(1)\n"
    )
    net = make(code, more="param { lr_mult: 0 }")
    assert [blob.shape for blob in net.params["mine"]] == [(4, 5), (1,)]
    assert net.parameters.lr_mult == [0, 1]


# -- errors --------------------------------------------------------------------------------------------------

SENTENCES = [
    (DOUBLE, 'layer: "Double"', r'module "" and layer "Double"'),
    (DOUBLE, 'module: "of_a_user"', r'module "of_a_user" and layer ""'),
    (DOUBLE, 'module: "../of_a_user" layer: "Double"', r'got module "\.\./of_a_user"'),
    (
        DOUBLE,
        'module: "none_such" layer: "Double"',
        r'"none_such" .* found no none_such.py in the working folder /.*, in PYTHONPATH \(.*\), or beside the prototxt',
    ),
    (
        DOUBLE,
        'module: "of_a_user.py" layer: "Double"',
        r'"of_a_user.py" .* found no of_a_user/py.py in .*; write .* without .py',
    ),
    (DOUBLE, 'module: "of_a_user" layer: "double"', r'a class "double" in module of_a_user \(/.*py\).*mean "Double"'),
    ("Double = 3", 'module: "of_a_user" layer: "Double"', r"derived from caffe.Layer .*, got 3"),
    ("class Double: pass", 'module: "of_a_user" layer: "Double"', r"derived from caffe.Layer .*, got <class"),
    (DOUBLE.partition("    def forward")[0], 'module: "of_a_user" layer: "Double"', "to have a method forward"),
]


@pytest.mark.parametrize(("code", "fields", "text"), SENTENCES)
def test_what_is_missing_is_told_in_a_sentence(code: str, fields: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "of_a_user.py").write_text(code, encoding="utf-8")
    with pytest.raises(CaffeError, match=rf'net.prototxt:3: layer "mine" \(Python\): expected .*{text}') as caught:
        net_of(tmp_path, fields)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "first", "then"),
    [
        (
            "import none_such_module\n",
            "importing module of_a_user failed with ModuleNotFoundError",
            "line 1, in <module>",
        ),
        ("def f(:\n", "importing module of_a_user failed with SyntaxError", "of_a_user.py"),
        (DOUBLE + "    def setup(self, b, t):\n        b[7]\n", r"Double\.setup failed with IndexError", r"b\[7\]"),
        (DOUBLE.replace("*bottom[0].shape", "-1"), r"Double\.reshape failed with .*ShapeError", r"reshape\(-1\)"),
        (DOUBLE + "    def __init__(self, p):\n        1 / 0\n", r"Double\(\) failed with ZeroDivisionError", "1 / 0"),
    ],
)
def test_what_the_users_code_raises_is_told_with_its_lines(code: str, first: str, then: str, make: Make) -> None:
    with pytest.raises(CaffeError, match=rf'(?s)^\S+: layer "mine" \(Python\): {first}.*\n.*{then}') as caught:
        make(code)
    assert "pycaffe_lite/" not in str(caught.value)
    assert "core/" not in str(caught.value)


def test_an_error_in_forward_names_layer_and_line(make: Make) -> None:
    net = make(DOUBLE.replace("2 * bottom[0].data", "bottom[0].data[:, :2]"))
    with pytest.raises(CaffeError) as caught:
        net.forward()
    sentence, place, line, *_ = str(caught.value).splitlines()
    assert sentence.endswith("Double.forward failed with ValueError: " + str(caught.value.__cause__))
    assert place.endswith('of_a_user.py", line 9, in forward')
    assert line.strip() == "top[0].data[...] = bottom[0].data[:, :2]"


def test_a_layer_without_backward_is_told_so(make: Make) -> None:
    net = make(DOUBLE)
    with pytest.raises(CaffeError, match=r"its class Double has no backward"):
        net.layers[1].backward(net.nodes[1].tops, [True], net.nodes[1].bottoms)
