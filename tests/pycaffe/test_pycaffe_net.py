"""caffe.Net: constructors, containers, passes, callbacks, files; and whatever is written arrives."""

from __future__ import annotations

import gc
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.formats.hdf5 import SIGNATURE
from pycaffe_lite.pycaffe.net import Net

NET = """
name: "testnet"
force_backward: true
layer { name: "data" type: "DummyData" top: "data" top: "label"
  dummy_data_param { num: 5 channels: 2 height: 3 width: 4 num: 5 channels: 1 height: 1 width: 1
    data_filler { type: "gaussian" std: 1 } data_filler { type: "constant" } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 11 kernel_size: 2 pad: 3
    weight_filler { type: "gaussian" std: 1 } bias_filler { type: "constant" value: 2 } }
  param { decay_mult: 1 } param { decay_mult: 0 } }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip_blob"
  inner_product_param { num_output: 7 weight_filler { type: "gaussian" std: 2.5 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip_blob" bottom: "label" top: "loss" }
"""
BRANCHES = """
force_backward: true
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 4 dim: 3 dim: 8 dim: 8 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 6 kernel_size: 3 weight_filler { type: "gaussian" std: 0.3 } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "a" type: "Convolution" bottom: "conv" top: "a"
  convolution_param { num_output: 5 kernel_size: 3 pad: 1 weight_filler { type: "gaussian" std: 0.3 } } }
layer { name: "b" type: "Pooling" bottom: "conv" top: "b" pooling_param { kernel_size: 3 pad: 1 stride: 1 } }
layer { name: "cat" type: "Concat" bottom: "a" bottom: "b" top: "cat" }
layer { name: "flat" type: "Flatten" bottom: "cat" top: "flat" }
layer { name: "ip" type: "InnerProduct" bottom: "flat" top: "ip"
  inner_product_param { num_output: 3 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""
MEMORY = """
layer { name: "data" type: "MemoryData" top: "data" top: "label"
  memory_data_param { batch_size: 2 channels: 3 height: 4 width: 5 } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 2 } }
"""


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    for name, text in (("net", NET), ("branches", BRANCHES), ("memory", MEMORY)):
        (tmp_path / f"{name}.prototxt").write_text(text)
    return {name: str(tmp_path / f"{name}.prototxt") for name in ("net", "branches", "memory")}


@pytest.fixture
def net(files: dict[str, str]) -> Net:
    net = Net(files["net"], caffe.TRAIN)
    net.blobs["label"].data[...] = np.random.default_rng(0).integers(7, size=net.blobs["label"].data.shape)
    return net


@pytest.fixture
def branches(files: dict[str, str], generator: np.random.Generator) -> Net:
    net = Net(files["branches"], caffe.TEST)
    net.blobs["data"].data[...] = generator.normal(size=(4, 3, 8, 8))
    return net


# -- constructors ------------------------------------------------------------------------------------------

STAGES = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param { num_output: 2 } }
layer { name: "staged" type: "ReLU" bottom: "fc" top: "staged" include { stage: "s" min_level: 1 } }
layer { name: "test" type: "ReLU" bottom: "fc" top: "test" include { phase: TEST } }
"""


@pytest.fixture
def staged(tmp_path: Path) -> tuple[Path, Path]:
    model, weights = tmp_path / "staged.prototxt", tmp_path / "staged.caffemodel"
    model.write_text(STAGES)
    net = Net(model, caffe.TRAIN)
    net.params["fc"][0].data[...] = 2
    net.save(weights)
    return model, weights


def test_the_forms_of_the_constructor(staged: tuple[Path, Path]) -> None:
    model, weights = map(str, staged)
    for net in (
        Net(model, weights, caffe.TEST),
        Net(model, caffe.TEST, weights=weights),
        Net(model, caffe.TEST, 0, None, weights),
        Net(model, caffe.TEST, 0, [], weights),
        Net(network_file=model, phase=caffe.TEST, weights=weights),
        Net(model, phase=caffe.TEST, level=0, stages=[], weights=weights),
        Net(*staged, caffe.TEST),
    ):
        assert list(net._layer_names) == ["data", "fc", "test"]
        assert (net.params["fc"][0].data == 2).all()
    for net in (
        Net(model, caffe.TRAIN, 1, ["s"]),
        Net(model, caffe.TRAIN, level=1, stages=["s"]),
        Net(model, caffe.TRAIN, 1, stages=("s",)),
    ):
        assert list(net._layer_names) == ["data", "fc", "staged"]


@pytest.mark.parametrize(
    ("args", "options"),
    [
        ((), {}),
        ((2,), {}),
        (("weights",), {}),
        (("weights", 1, 0), {}),
        (("weights", 1), {"weights": "w"}),
        ((1, 0, None, None, None), {}),
        ((1,), {"phase": 1}),
        ((1,), {"other": 1}),
        ((True,), {}),
        ((None,), {}),
        (([],), {}),
        ((1, "x"), {}),
        ((1,), {"stages": "abc"}),
        ((1,), {"stages": [1]}),
        ((1,), {"weights": 3}),
    ],
)
def test_other_arguments_are_a_type_error(
    args: tuple[Any, ...], options: dict[str, Any], staged: tuple[Path, Path]
) -> None:
    with pytest.raises(TypeError):
        Net(str(staged[0]), *args, **options)
    with pytest.raises(TypeError):
        Net(3, caffe.TEST)  # type: ignore[arg-type]


@pytest.mark.parametrize("weights", [None, "none.caffemodel"])
def test_a_missing_file_is_a_runtime_error(weights: str | None, staged: tuple[Path, Path]) -> None:
    with pytest.raises(RuntimeError, match=r"There is no file|none\.caffemodel"):
        Net(str(staged[0]) if weights else "none.prototxt", caffe.TEST, weights=weights)


def test_a_net_parameter_serves_as_well() -> None:
    from pycaffe_lite.proto.text import parse

    net = Net(parse(STAGES, caffe.proto.caffe_pb2.NetParameter), caffe.TRAIN)
    assert list(net.blobs) == ["data", "fc"]


# -- containers --------------------------------------------------------------------------------------------


def test_containers_are_the_same_each_time(net: Net) -> None:
    for name in ("blobs", "params", "layers", "layer_dict", "top_names", "bottom_names", "blob_loss_weights"):
        assert getattr(net, name) is getattr(net, name), name
    for name in ("blobs", "params", "layer_dict", "top_names", "bottom_names", "blob_loss_weights"):
        assert isinstance(getattr(net, name), OrderedDict), name
    assert net.blobs["conv"] is net._blobs[2]
    assert net.params["conv"][0] is net.layers[1].blobs[0] is net.layer_dict["conv"].blobs[0]


def test_what_a_net_is_made_of(net: Net) -> None:
    assert list(net.blobs) == list(net._blob_names) == ["data", "label", "conv", "ip_blob", "loss"]
    assert list(net.layer_dict) == list(net._layer_names) == ["data", "conv", "ip", "loss"]
    assert [layer.type for layer in net.layers] == ["DummyData", "Convolution", "InnerProduct", "SoftmaxWithLoss"]
    assert net.top_names == {"data": ["data", "label"], "conv": ["conv"], "ip": ["ip_blob"], "loss": ["loss"]}
    assert net.bottom_names == {"data": [], "conv": ["data"], "ip": ["conv"], "loss": ["ip_blob", "label"]}
    assert [list(net._bottom_ids(i)) for i in range(4)] == [[], [0], [2], [3, 1]]
    assert [list(net._top_ids(i)) for i in range(4)] == [[0, 1], [2], [3], [4]]
    assert (net.inputs, net.outputs, list(net._inputs), list(net._outputs)) == ([], ["loss"], [], [4])
    assert net.blob_loss_weights == {"data": 0, "label": 0, "conv": 0, "ip_blob": 0, "loss": 1}
    assert list(net._blob_loss_weights) == [0, 0, 0, 0, 1]
    assert [[blob.shape for blob in blobs] for blobs in net.params.values()] == [
        [(11, 2, 2, 2), (11,)],
        [(7, 11 * 8 * 9), (7,)],
    ]


def test_a_loss_without_a_name_is_an_output_called_automatic(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(NET.replace(' top: "loss"', ""))
    net = Net(str(path), caffe.TRAIN)
    assert list(net.blobs)[-1] == "(automatic)"
    assert net.top_names["loss"] == ["(automatic)"]


def test_branches_have_names_of_their_own(branches: Net) -> None:
    assert list(branches.blobs) == [
        "data", "conv", "conv_relu_0_split_0", "conv_relu_0_split_1", "a", "b", "cat", "flat", "ip", "prob",
    ]  # fmt: skip
    assert branches.bottom_names["b"] == ["conv_relu_0_split_1"]
    assert branches.top_names["relu"] == ["conv"]


def test_a_layers_methods(branches: Net) -> None:
    layer = branches.layer_dict["conv"]
    assert layer.name == "conv"
    layer.reshape([branches.blobs["data"]], [branches.blobs["conv"]])
    assert branches.blobs["conv"].shape == (4, 6, 6, 6)
    blobs = caffe._caffe.BlobVec()
    blobs.add_blob(2, 3)
    assert blobs[0].data.shape == (2, 3)


# -- passes ------------------------------------------------------------------------------------------------


def test_memory(net: Net) -> None:
    """Blobs' arrays outlive the net, as in pycaffe's own test."""
    params = [blob for blobs in net.params.values() for blob in blobs]
    blobs = net.blobs.values()
    del net
    gc.collect()
    total = 0.0
    for p in params:
        total += p.data.sum() + p.diff.sum()
    for bl in blobs:
        total += bl.data.sum() + bl.diff.sum()
    assert np.isfinite(total)


def test_forward_and_backward_return_what_was_asked(branches: Net) -> None:
    assert list(branches.forward()) == ["prob"]
    assert set(branches.forward(["conv"], end="a")) == {"a", "conv"}
    assert set(branches.forward(start="ip", end="ip")) == {"ip"}
    ones = np.ones((4, 3))
    assert list(branches.backward(prob=ones)) == ["data"]
    assert set(branches.backward(diffs=["conv"], start="prob", end="cat")) == {"a", "b", "conv"}
    assert branches._forward(0, 9) == 0
    assert branches._backward(9, 0) is None


def test_inputs_by_name(branches: Net, generator: np.random.Generator) -> None:
    x = generator.normal(size=(4, 3, 8, 8))
    first = branches.forward(data=x)["prob"].copy()
    branches.blobs["data"].data[...] = x
    np.testing.assert_array_equal(branches.forward()["prob"], first)
    branches.forward(data=np.ones((4, 1, 1, 1)))
    assert (branches.blobs["data"].data == 1).all()


@pytest.mark.parametrize(
    ("call", "kind", "sentence"),
    [
        (lambda net: net.forward(start="nosuch"), ValueError, "has no layer 'nosuch'"),
        (lambda net: net.forward(end="flatt"), ValueError, 'did you mean "flat"'),
        (lambda net: net.backward(start="x"), ValueError, "has no layer 'x'"),
        (lambda net: net.backward(end=3), ValueError, "has no layer 3"),
        (lambda net: net.forward(dat=np.zeros((4, 3, 8, 8))), Exception, "exactly data, the net's inputs, got dat"),
        (lambda net: net.forward(data=np.zeros((3, 3, 8, 8))), Exception, r"a batch of 4 .* got .* \[3, 3, 8, 8\]"),
        (lambda net: net.forward(data=np.zeros(())), Exception, "a batch of 4"),
        (lambda net: net.forward(data=np.zeros((4, 3, 8, 9))), ValueError, "could not broadcast"),
        (lambda net: net.forward(data=1.0), AttributeError, "shape"),
        (lambda net: net.forward(blobs=("conv",)), TypeError, "list"),
        (lambda net: net.forward(blobs=["nosuch"]), KeyError, "nosuch"),
        (lambda net: net.backward(data=np.zeros((4, 3, 8, 8))), Exception, "exactly prob, the net's outputs, got data"),
        (lambda net: net._forward(0, 10), ValueError, "0 to 9, got 10"),
        (lambda net: net._backward(-1, 0), ValueError, "0 to 9, got -1"),
        (lambda net: net.before_forward(None), TypeError, "a function"),
        (lambda net: net.share_with(None), TypeError, "expects a Net"),
        (lambda net: net.forward_all(), CaffeError, "expected arrays for data"),
        (lambda net: net.set_input_arrays(1, 2), RuntimeError, "MemoryData"),
        (lambda net: setattr(net.blobs["data"], "data", 1), AttributeError, r"blob.data\[...\] = values"),
        (lambda net: setattr(net.blobs["data"], "diff", 1), AttributeError, r"blob.diff\[...\] = values"),
        (lambda net: net.blobs["data"].reshape((1, 3)), TypeError, "one by one"),
        (lambda net: net.blobs["data"].reshape(1, -3), RuntimeError, "0 or more"),
        (lambda net: net.blobs["data"].reshape(1.5), TypeError, "one by one"),
    ],
)
def test_what_is_wrong_is_said(call: Any, kind: type[Exception], sentence: str, branches: Net) -> None:
    with pytest.raises(kind, match=sentence):
        call(branches)


def test_any_number_of_items(branches: Net, generator: np.random.Generator) -> None:
    x = generator.normal(size=(10, 3, 8, 8)).astype(np.float32)
    out = branches.forward_all(blobs=["conv"], data=x)
    assert (out["prob"].shape, out["conv"].shape) == ((10, 3), (10, 6, 6, 6))
    np.testing.assert_allclose(branches.forward(data=x[:4])["prob"], out["prob"][:4], rtol=1e-6)
    diffs = np.zeros((10, 3))
    diffs[:, 1] = 1
    outs, back = branches.forward_backward_all(blobs=["a"], diffs=["conv"], data=x, prob=diffs)
    np.testing.assert_array_equal(outs["prob"], out["prob"])
    assert (outs["a"].shape, back["data"].shape, back["conv"].shape) == ((10, 5, 6, 6), x.shape, (10, 6, 6, 6))
    branches.forward(data=x[:4])
    np.testing.assert_allclose(branches.backward(prob=diffs[:4])["data"], back["data"][:4], rtol=1e-4, atol=1e-6)


def test_exactly_full_batches(branches: Net) -> None:
    assert len(branches.forward_all(data=np.zeros((8, 3, 8, 8)))["prob"]) == 8
    assert [len(batch["data"]) for batch in branches._batch({"data": np.zeros((9, 3, 8, 8))})] == [4, 4, 4]


def test_callbacks_see_each_layer(branches: Net) -> None:
    seen: list[tuple[str, int]] = []
    for when in ("before_forward", "after_forward", "before_backward", "after_backward"):
        getattr(branches, when)(lambda number, when=when: seen.append((when, number)))
    branches.forward(start="a", end="b")
    branches.backward(start="b", end="a")
    first, last = list(branches._layer_names).index("a"), list(branches._layer_names).index("b")
    forward = [(f"{when}_forward", i) for i in range(first, last + 1) for when in ("before", "after")]
    backward = [(f"{when}_backward", i) for i in range(last, first - 1, -1) for when in ("before", "after")]
    assert seen == forward + backward


def test_what_a_callback_writes_is_used(branches: Net) -> None:
    branches.forward()
    at = list(branches._layer_names).index("ip")
    branches.before_forward(lambda number: branches.blobs["flat"].data.fill(0) if number == at else None)
    np.testing.assert_allclose(branches.forward()["prob"], 1 / 3, rtol=1e-6)


# -- whatever is written arrives -----------------------------------------------------------------------------

WAYS = {
    "slice": lambda array, values: array.__setitem__(..., values.reshape(array.shape)),
    "flat": lambda array, values: setattr(array, "flat", values),
    "reshape": lambda array, values: array.reshape(-1).__setitem__(slice(None), values),
    "ravel": lambda array, values: array.ravel().__setitem__(slice(None), values),
    "shape": lambda array, values: array.view().reshape(-1).__setitem__(slice(None), values),
    "copyto": lambda array, values: np.copyto(array, values.reshape(array.shape)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("part", ["data", "diff"])
def test_what_is_written_arrives(way: str, part: str, branches: Net, generator: np.random.Generator) -> None:
    branches.forward()
    branches.backward()
    named = {**branches.blobs, **{f"{k}/{i}": b for k, v in branches.params.items() for i, b in enumerate(v)}}
    for name, blob in named.items():
        values = generator.normal(size=blob.count).astype(np.float32)
        WAYS[way](getattr(blob, part), values)
        np.testing.assert_array_equal(getattr(blob, part).reshape(-1), values, err_msg=name)
        np.testing.assert_array_equal(getattr(blob.inner, part), values.reshape(blob.shape), err_msg=name)


def test_weights_written_flat_are_those_that_count(files: dict[str, str], generator: np.random.Generator) -> None:
    values = {name: generator.normal(size=(4, 3, 8, 8)) for name in ("x", "y")}
    nets = [Net(files["branches"], caffe.TEST) for _ in range(2)]
    for source, target in zip(nets[0].params.values(), nets[1].params.values(), strict=True):
        for one, other in zip(source, target, strict=True):
            other.data.reshape(-1)[:] = one.data.ravel()
    for x in values.values():
        np.testing.assert_allclose(nets[0].forward(data=x)["prob"], nets[1].forward(data=x)["prob"], rtol=1e-5)


def test_numbers_do_not_depend_on_who_looks(files: dict[str, str], generator: np.random.Generator) -> None:
    x, dy = generator.normal(size=(4, 3, 8, 8)), generator.normal(size=(4, 3))
    nets = [Net(files["branches"], caffe.TEST) for _ in range(2)]
    nets[1].share_with(nets[0])
    held = []
    for _ in range(3):
        results = []
        for net in nets:
            net.clear_param_diffs()
            prob = net.forward(data=x)["prob"].copy()
            results.append([prob, net.backward(prob=dy)["data"].copy(), *(b.diff.copy() for b in net.params["a"])])
        for one, other in zip(*results, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
        held += [array for blob in nets[1].blobs.values() for array in (blob.data, blob.diff)]
    for blob in nets[1].blobs.values():
        assert any(np.shares_memory(blob.data, array) for array in held)


def test_held_arrays_stay_live(branches: Net, generator: np.random.Generator) -> None:
    held = {name: (blob.data, blob.diff) for name, blob in branches.blobs.items()}
    views = {name: data.reshape(-1) for name, (data, _) in held.items()}
    for _ in range(3):
        branches.forward(data=generator.normal(size=(4, 3, 8, 8)))
        branches.backward(prob=generator.normal(size=(4, 3)))
        for name, blob in branches.blobs.items():
            np.testing.assert_array_equal(held[name][0], blob.data, err_msg=name)
            np.testing.assert_array_equal(held[name][1], blob.diff, err_msg=name)
            np.testing.assert_array_equal(views[name], blob.data.ravel(), err_msg=name)


def test_a_view_alone_keeps_the_memory(branches: Net, generator: np.random.Generator) -> None:
    view = branches.blobs["conv"].data[1, 2:4]
    gc.collect()
    branches.forward(data=generator.normal(size=(4, 3, 8, 8)))
    np.testing.assert_array_equal(view, branches.blobs["conv"].inner.data[1, 2:4])
    view[...] = 100
    assert (branches.blobs["conv"].data[1, 2:4] == 100).all()


def test_the_engine_has_its_own_way_again_when_nobody_looks(branches: Net) -> None:
    inner = branches.blobs["conv"].inner
    order = inner.order
    assert order is not None
    shapes = [blob.data.shape for blob in branches.blobs.values()]
    shapes += [blob.diff.shape for blob in branches.blobs.values()]
    shapes += [blob.data.shape for blobs in branches.params.values() for blob in blobs]
    assert len(shapes) == 26
    assert inner.order is None
    before = inner.data.copy()
    branches.let_go()
    assert inner.order == order
    assert not any(blob.inner.pinned for blob in branches.blobs.values())
    np.testing.assert_array_equal(inner.data, before)


def test_branches_share_their_memory(branches: Net) -> None:
    one, two = branches.blobs["conv_relu_0_split_0"], branches.blobs["conv_relu_0_split_1"]
    one.data[...] = 4
    assert (branches.blobs["conv"].data == 4).all()
    assert (two.data == 4).all()
    branches.forward()
    branches.blobs["conv"].data.reshape(-1)[:] = 0
    branches.params["a"][1].data[...] = 3
    branches.forward(start="a")
    assert (branches.blobs["a"].data == 3).all()
    assert not branches.blobs["b"].data.any()


def test_a_reshape_keeps_what_lies_in_memory(branches: Net) -> None:
    blob = branches.blobs["data"]
    blob.data[...] = 5
    held = blob.data
    blob.reshape(1, 3, 8, 8)
    branches.reshape()
    assert branches.blobs["prob"].shape == (1, 3)
    blob.reshape(4, 3, 8, 8)
    assert (blob.data == 5).all()
    assert np.shares_memory(held, blob.data)
    blob.reshape(6, 3, 8, 8)
    assert (blob.data[:4] == 5).all()
    assert branches.forward()["prob"].shape == (6, 3)


# -- arrays to read from -------------------------------------------------------------------------------------


def test_input_arrays(files: dict[str, str]) -> None:
    net = Net(files["memory"], caffe.TEST)
    data = np.arange(4 * 3 * 4 * 5, dtype=np.float32).reshape(4, 3, 4, 5)
    net.set_input_arrays(data, np.arange(4, dtype=np.float32))
    for rows in (slice(0, 2), slice(2, 4), slice(0, 2)):
        net.forward()
        np.testing.assert_array_equal(net.blobs["data"].data, data[rows])
        assert net.blobs["label"].shape == (2, 1, 1, 1)
        assert net.blobs["label"].data.ravel().tolist() == list(range(4))[rows]
    data[...] = 8
    net.forward()
    assert (net.blobs["data"].data == 8).all()


PLAIN, LABELS = np.zeros((4, 3, 4, 5), np.float32), np.zeros(4, np.float32)


@pytest.mark.parametrize(
    ("data", "labels", "sentence"),
    [
        (PLAIN.astype(np.float64), LABELS, "data of type float32 .* got float64"),
        (PLAIN, LABELS.astype(int), "labels of type float32"),
        (PLAIN[0], LABELS, "data of 4 axes"),
        (PLAIN, LABELS.reshape(2, 2), "labels of 4 axes"),
        (PLAIN[::2], LABELS[:2], "C-contiguous data"),
        (PLAIN[:3], LABELS[:3], "multiple of batch_size 2"),
        (PLAIN, LABELS[:2], "4 labels"),
        (np.zeros((4, 3, 4, 6), np.float32), LABELS, r"shape N x 3 x 4 x 5"),
        (PLAIN, np.zeros((4, 2, 1, 1), np.float32), r"got \[4, 2, 1, 1\]"),
        ([[1]], LABELS, "got list"),
        (PLAIN, None, "got NoneType"),
    ],
)
def test_input_arrays_of_another_kind(data: Any, labels: Any, sentence: str, files: dict[str, str]) -> None:
    with pytest.raises(RuntimeError, match=sentence):
        Net(files["memory"], caffe.TEST).set_input_arrays(data, labels)


# -- files -------------------------------------------------------------------------------------------------


def same_params(one: Net, other: Net) -> bool:
    pairs = zip(one.params.items(), other.params.items(), strict=True)
    return all(
        name == name2 and all(np.array_equal(a.data, b.data) for a, b in zip(blobs, blobs2, strict=True))
        for (name, blobs), (name2, blobs2) in pairs
    )


@pytest.mark.parametrize("name", ["a.caffemodel", "b.h5", "c"])
def test_save_is_binary_whatever_the_name(name: str, net: Net, files: dict[str, str], tmp_path: Path) -> None:
    net.save(str(tmp_path / name))
    assert (tmp_path / name).read_bytes()[:8] != SIGNATURE
    os.replace(tmp_path / name, tmp_path / "moved.caffemodel")
    other = Net(files["net"], caffe.TRAIN)
    assert not same_params(net, other)
    held = other.params["conv"][0].data
    other.copy_from(str(tmp_path / "moved.caffemodel"))
    assert same_params(net, other)
    assert np.shares_memory(held, other.params["conv"][0].data)


@pytest.mark.parametrize("name", ["a.h5", "b.caffemodel", "c"])
def test_hdf5_whatever_the_name(name: str, net: Net, files: dict[str, str], tmp_path: Path) -> None:
    net.save_hdf5(str(tmp_path / name))
    assert (tmp_path / name).read_bytes()[:8] == SIGNATURE
    other = Net(files["net"], caffe.TRAIN)
    other.load_hdf5(str(tmp_path / name))
    assert same_params(net, other)


def test_files_that_are_not_there(net: Net, tmp_path: Path) -> None:
    for call in (net.copy_from, net.load_hdf5):
        with pytest.raises(RuntimeError, match="nosuch"):
            call(str(tmp_path / "nosuch"))
    for call in (net.save, net.save_hdf5):
        with pytest.raises(RuntimeError, match="nosuch"):
            call(str(tmp_path / "nosuch" / "x"))


def test_nets_share_their_parameters(files: dict[str, str]) -> None:
    one, other = (Net(files["net"], caffe.TRAIN) for _ in range(2))
    early = one.params["conv"][0].data
    other.share_with(one)
    early.reshape(-1)[:] = 7
    assert (other.params["conv"][0].data == 7).all()
    other.params["ip"][0].data.ravel()[:] = 8
    for _ in range(2):
        one.forward()
        other.forward()
    assert (one.params["ip"][0].data == 8).all()
    assert np.shares_memory(one.params["ip"][0].data, other.params["ip"][0].data)
