"""Python layers as scripts written for Caffe have them."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import pycaffe_lite
from pycaffe_lite import door
from pycaffe_lite.layers.python import UsersError
from pycaffe_lite.net import Net as EngineNet
from pycaffe_lite.phase import TRAIN
from pycaffe_lite.pycaffe.net import Net

CODE = '''
import caffe
import numpy as np
import os


class SimpleLayer(caffe.Layer):
    """A layer that just multiplies by ten"""
    def setup(self, bottom, top):
        pass
    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)
    def forward(self, bottom, top):
        top[0].data[...] = 10 * bottom[0].data
    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[...] = 10 * top[0].diff


class FlatLayer(SimpleLayer):
    """The same, written through flat views"""
    def setup(self, bottom, top):
        self.held = bottom[0].data, bottom[0].diff
    def forward(self, bottom, top):
        top[0].data.reshape(-1)[:] = 10 * bottom[0].data.ravel()
        bottom[0].data.reshape(-1)[:1] = 5
    def backward(self, top, propagate_down, bottom):
        bottom[0].diff.ravel()[:] = 10 * top[0].diff.reshape(-1)


class ExceptionLayer(SimpleLayer):
    def setup(self, bottom, top):
        raise RuntimeError("mine")


class LateLayer(SimpleLayer):
    def forward(self, bottom, top):
        try:
            {}["first"]
        except KeyError:
            raise ValueError("second")
    def backward(self, top, propagate_down, bottom):
        raise IndexError("third")


class ParameterLayer(caffe.Layer):
    """A layer that has a parameter; the gradient is 1"""
    def setup(self, bottom, top):
        self.blobs.add_blob(1)
        self.blobs[0].data[0] = 0
    def reshape(self, bottom, top):
        top[0].reshape(10)
    def forward(self, bottom, top):
        pass
    def backward(self, top, propagate_down, bottom):
        self.blobs[0].diff[0] = 1


class PhaseLayer(caffe.Layer):
    def setup(self, bottom, top):
        pass
    def reshape(self, bottom, top):
        top[0].reshape()
    def forward(self, bottom, top):
        top[0].data[()] = self.phase


class ParamStrLayer(SimpleLayer):
    def forward(self, bottom, top):
        top[0].data[...] = float(self.param_str)


class RoiLayer(caffe.Layer):
    def set_roidb(self, roidb):
        self._roidb, self._at = roidb, 0
    def setup(self, bottom, top):
        self._name_to_top_map = {"data": 0, "rois": 1}
        top[0].reshape(1, 3, 10, 10)
        top[1].reshape(1, 5)
    def reshape(self, bottom, top):
        pass
    def forward(self, bottom, top):
        blobs = self._roidb[self._at]
        self._at = (self._at + 1) % len(self._roidb)
        for name, blob in blobs.items():
            top_ind = self._name_to_top_map[name]
            top[top_ind].reshape(*(blob.shape))
            top[top_ind].data[...] = blob.astype(np.float32, copy=False)
    def backward(self, top, propagate_down, bottom):
        pass
'''
INPUT = (
    'force_backward: true layer { name: "data" type: "Input" top: "data" '
    "input_param { shape { dim: 2 dim: 3 dim: 6 dim: 6 } } }\n"
)


@pytest.fixture(autouse=True)
def fresh_imports(monkeypatch: pytest.MonkeyPatch, here: Path) -> Iterator[None]:
    """Each test has its own modules and paths, and the layers above in the module `user_layers`."""
    known = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in door.loaded():
        monkeypatch.delitem(sys.modules, name)
    (here / "user_layers.py").write_text(CODE)
    yield
    for name in set(sys.modules) - known:
        if not name.startswith("pycaffe_lite"):
            del sys.modules[name]


def python(name: str, cls: str, bottom: str = "data", top: str = "", more: str = "") -> str:
    below = f'bottom: "{bottom}"' if bottom else ""
    return (
        f'layer {{ name: "{name}" type: "Python" {below} top: "{top or name}" '
        f'python_param {{ module: "user_layers" layer: "{cls}" {more} }} }}\n'
    )


Make = Callable[..., Net]


@pytest.fixture
def make(here: Path) -> Make:
    def build(text: str, phase: int = TRAIN) -> Net:
        (here / "net.prototxt").write_text(text)
        return Net(str(here / "net.prototxt"), phase)

    return build


THREE = (
    INPUT + python("one", "SimpleLayer") + python("two", "SimpleLayer", "one") + python("three", "SimpleLayer", "two")
)


# -- pycaffe's own tests -----------------------------------------------------------------------------------


def test_forward(make: Make) -> None:
    net = make(THREE)
    net.blobs["data"].data[...] = 8
    net.forward()
    assert (net.blobs["three"].data == 10**3 * 8).all()


def test_backward(make: Make) -> None:
    net = make(THREE)
    net.blobs["three"].diff[...] = 7
    net.backward()
    assert (net.blobs["data"].diff == 10**3 * 7).all()


def test_reshape(make: Make) -> None:
    net = make(THREE)
    net.blobs["data"].reshape(4, 3, 2, 2)
    net.forward()
    assert {blob.data.shape for blob in net.blobs.values()} == {(4, 3, 2, 2)}


def test_exception(make: Make) -> None:
    with pytest.raises(RuntimeError, match="mine"):
        make(INPUT + python("e", "ExceptionLayer"))


def test_parameter(make: Make, here: Path) -> None:
    text = python("layer", "ParameterLayer", bottom="", top="top")
    net = make(text.replace("} }", "} }\n") + 'layer { name: "s" type: "Silence" bottom: "top" }')
    net.forward()
    net.layers[0].backward([net.blobs["top"]], [], [])
    assert net.layers[0].blobs[0].diff[0] == 1
    assert net.params["layer"][0].diff[0] == 1
    net.clear_param_diffs()
    assert net.params["layer"][0].diff[0] == 0
    net.params["layer"][0].data[0] = 1
    net.save(here / "p.caffemodel")
    other = make(text)
    other.copy_from(here / "p.caffemodel")
    assert other.layers[0].blobs[0].data[0] == 1
    third = make(text)
    third.share_with(net)
    net.params["layer"][0].data[0] = 3
    assert third.layers[0].blobs[0].data[0] == 3


@pytest.mark.parametrize("phase", [pycaffe_lite.TRAIN, pycaffe_lite.TEST])
def test_phase(phase: int, make: Make) -> None:
    assert make(python("phase", "PhaseLayer", bottom=""), phase).forward()["phase"] == phase


def test_param_str(make: Make) -> None:
    net = make(INPUT + python("five", "ParamStrLayer", more='param_str: "5"'))
    assert (net.forward()["five"] == 5).all()


# -- one caffe ---------------------------------------------------------------------------------------------


def test_layers_see_the_same_caffe(make: Make, here: Path) -> None:
    (here / "user_layers.py").write_text(CODE + "\nfrom caffe.proto import caffe_pb2\nimport caffe._caffe\n")
    make(THREE)
    users = sys.modules["user_layers"]
    assert door.is_ours(users.caffe)
    assert users.caffe is sys.modules["caffe"] is pycaffe_lite.install_as_caffe()
    assert users.caffe.Net is pycaffe_lite.Net is Net
    assert users.caffe.Layer is pycaffe_lite.Layer
    assert users.caffe_pb2 is pycaffe_lite.proto.caffe_pb2


def test_a_script_with_the_net_and_the_layer_in_one(here: Path, make: Make) -> None:
    """A notebook's first cell, its layer's class, and the net."""
    caffe = pycaffe_lite.install_as_caffe()
    make(THREE)
    assert sys.modules["user_layers"].caffe is caffe


# -- whatever is written arrives -----------------------------------------------------------------------------

CONV = (
    'layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" '
    'convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "gaussian" std: 0.3 } } }\n'
)
POOL = 'layer { name: "pool" type: "Pooling" bottom: "mine" top: "pool" pooling_param { kernel_size: 2 stride: 2 } }\n'


@pytest.mark.parametrize("engine", [True, False])
def test_flat_writes_between_layers_that_lie_channels_last(
    engine: bool, make: Make, generator: np.random.Generator
) -> None:
    x, dy = generator.normal(size=(2, 3, 6, 6)), generator.normal(size=(2, 4, 2, 2))
    results = []
    for cls in ("SimpleLayer", "FlatLayer"):
        net = make(INPUT + CONV + python("mine", cls, "conv") + POOL)
        net.params["conv"][0].data[...] = np.linspace(-1, 1, 4 * 27).reshape(4, 3, 3, 3)
        runner = net.inner if engine else net
        first = runner.forward(data=x)["pool"].copy()
        results.append([first, runner.backward(pool=dy)["data"].copy(), net.params["conv"][0].diff.copy()])
    for simple, flat in zip(*results, strict=True):
        np.testing.assert_allclose(simple, flat, rtol=1e-5, atol=1e-6)
    layer = net.layer_dict["mine"]
    assert net.blobs["conv"].data.flat[0] == 5
    np.testing.assert_array_equal(layer.held[0], net.blobs["conv"].data)
    np.testing.assert_array_equal(layer.held[1], net.blobs["conv"].diff)


# -- the user's object, and what it raises ---------------------------------------------------------------------


def test_layers_are_the_users_objects(make: Make) -> None:
    net = make(
        python("input-data", "RoiLayer", bottom="", top="data").replace('top: "data"', 'top: "data" top: "rois"')
    )
    layer = net.layers[0]
    assert type(layer) is sys.modules["user_layers"].RoiLayer
    assert layer is net.layer_dict["input-data"]
    assert layer.type == "Python"
    rng = np.random.default_rng(0)
    sizes = [(8, 12), (11, 7)]
    layer.set_roidb([{"data": rng.normal(size=(1, 3, h, w)), "rois": rng.normal(size=(h, 5))} for h, w in sizes])
    for height, width in sizes * 2:
        out = net.forward()
        assert (out["data"].shape, out["rois"].shape) == ((1, 3, height, width), (height, 5))


def test_an_error_comes_out_as_itself_with_a_note(make: Make) -> None:
    net = make(INPUT + python("late", "LateLayer"))
    with pytest.raises(ValueError, match="second") as caught:
        net.forward()
    assert isinstance(caught.value.__context__, KeyError)
    assert caught.value.__cause__ is None
    text = "".join(traceback.format_exception(caught.value))
    assert "user_layers.py" in text
    assert "UsersError" not in text
    if sys.version_info >= (3, 11):
        (note,) = caught.value.__notes__
        assert note.startswith("raised by LateLayer.forward of ")
        assert note.endswith('net.prototxt:2: layer "late" (Python)')
    with pytest.raises(IndexError, match="third"):
        net.backward()


def test_the_engine_says_it_in_a_sentence(here: Path, make: Make) -> None:
    make(INPUT + python("late", "LateLayer"))
    with pytest.raises(UsersError, match=r"LateLayer\.forward failed with ValueError: second"):
        EngineNet(str(here / "net.prototxt"), TRAIN).forward()


def test_an_error_in_a_solver_comes_out_as_itself(here: Path) -> None:
    (here / "net.prototxt").write_text(INPUT + python("late", "LateLayer"))
    (here / "solver.prototxt").write_text('net: "net.prototxt" base_lr: 1 lr_policy: "fixed" max_iter: 3')
    solver = pycaffe_lite.SGDSolver("solver.prototxt")
    for run in (lambda: solver.step(1), solver.solve):
        with pytest.raises(ValueError, match="second"):
            run()
    (here / "net.prototxt").write_text(INPUT + python("e", "ExceptionLayer"))
    with pytest.raises(RuntimeError, match="mine") as caught:
        pycaffe_lite.get_solver("solver.prototxt")
    assert type(caught.value) is RuntimeError


# -- threads and processes -----------------------------------------------------------------------------------


def test_nets_in_threads(make: Make) -> None:
    nets = [make(THREE) for _ in range(4)]
    found: list[float] = [0.0] * len(nets)

    def run(index: int) -> None:
        for _ in range(20):
            found[index] = float(nets[index].forward(data=np.full((2, 3, 6, 6), index))["three"].max())

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(nets))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [0, 1000, 2000, 3000]


PREFETCH = (
    CODE
    + """
import atexit
from multiprocessing import get_context


def fetch(queue, batch, classes):
    generator = np.random.default_rng(1)
    while True:
        labels = (generator.random((batch, classes)) > 0.5).astype(np.float32)
        images = np.repeat(labels, 12, axis=1).reshape(batch, classes, 3, 4) + 0.1
        queue.put((os.getpid(), images, labels))


class MultilabelData(caffe.Layer):
    def setup(self, bottom, top):
        params = eval(self.param_str)
        self.batch, self.classes = params["batch_size"], params["classes"]
        top[0].reshape(self.batch, self.classes, 3, 4)
        top[1].reshape(self.batch, self.classes)
        context = get_context("fork")
        self.queue = context.Queue(3)
        self.process = context.Process(target=fetch, args=(self.queue, self.batch, self.classes), daemon=True)
        self.process.start()
        atexit.register(self.stop)

    def stop(self):
        self.process.terminate()
        self.process.join()

    def reshape(self, bottom, top):
        pass

    def forward(self, bottom, top):
        self.pid, images, labels = self.queue.get(timeout=60)
        top[0].data[...] = images
        top[1].data[...] = labels

    def backward(self, top, propagate_down, bottom):
        pass
"""
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_multilabel_data_from_a_process_of_its_own(here: Path) -> None:
    (here / "user_layers.py").write_text(PREFETCH)
    (here / "net.prototxt").write_text(
        'layer { name: "data" type: "Python" top: "data" top: "label" python_param { module: "user_layers" '
        "layer: \"MultilabelData\" param_str: \"{'batch_size': 16, 'classes': 4}\" } }\n"
        'layer { name: "score" type: "InnerProduct" bottom: "data" top: "score" '
        'inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }\n'
        'layer { name: "loss" type: "SigmoidCrossEntropyLoss" bottom: "score" bottom: "label" top: "loss" }\n'
    )
    (here / "solver.prototxt").write_text(
        'net: "net.prototxt" base_lr: 0.05 momentum: 0.9 lr_policy: "fixed" max_iter: 100 snapshot_after_train: false'
    )
    solver = pycaffe_lite.SGDSolver("solver.prototxt")
    try:
        solver.step(60)
        layer = solver.net.layers[0]
        assert layer.pid != os.getpid()
        right = (solver.net.blobs["score"].data > 0) == solver.net.blobs["label"].data
        assert right.mean() > 0.95
    finally:
        solver.net.layers[0].stop()
