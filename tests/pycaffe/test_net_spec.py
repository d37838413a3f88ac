"""caffe.net_spec: nets written in Python, to text and to nets that run."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST, TRAIN
from pycaffe_lite.proto import caffe_pb2
from pycaffe_lite.pycaffe import net_spec
from pycaffe_lite.pycaffe.net_spec import NetSpec, assign_proto, param_name_dict, to_proto
from pycaffe_lite.pycaffe.net_spec import layers as L
from pycaffe_lite.pycaffe.net_spec import params as P

NAMES = (
    "Counter Function Layers NetSpec OrderedDict Parameters Top _param_names assign_proto layers "
    "param_name_dict params to_proto"
)
XAVIER = {"type": "xavier"}


def test_every_name_of_pycaffes_module_is_there() -> None:
    assert [name for name in NAMES.split() if not hasattr(net_spec, name)] == []
    function = L.ReLU(L.Input()).fn
    assert all(hasattr(function, name) for name in ("_get_name", "_get_top_name", "_to_proto"))
    assert all(hasattr(function.tops[0], name) for name in ("_to_proto", "to_proto"))


def lenet() -> NetSpec:
    """LeNet as Caffe's notebook writes it, with data made up."""
    n = NetSpec()
    shapes = [{"dim": [8, 1, 28, 28]}, {"dim": [8]}]
    n.data, n.label = L.DummyData(shape=shapes, data_filler=[{"type": "gaussian"}, {"type": "constant"}], ntop=2)
    n.conv1 = L.Convolution(n.data, kernel_size=5, num_output=20, weight_filler=XAVIER)
    n.pool1 = L.Pooling(n.conv1, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.conv2 = L.Convolution(n.pool1, kernel_size=5, num_output=50, weight_filler=XAVIER)
    n.pool2 = L.Pooling(n.conv2, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.fc1 = L.InnerProduct(n.pool2, num_output=500, weight_filler=XAVIER)
    n.relu1 = L.ReLU(n.fc1, in_place=True)
    n.score = L.InnerProduct(n.relu1, num_output=10, weight_filler=XAVIER)
    n.loss = L.SoftmaxWithLoss(n.score, n.label)
    return n


def test_lenet_has_its_names_and_learns(here: Path) -> None:
    from pycaffe_lite.solvers.registry import get_solver

    text = lenet().to_proto()
    assert [layer.name for layer in text.layer] == [
        "data",
        "conv1",
        "pool1",
        "conv2",
        "pool2",
        "fc1",
        "relu1",
        "score",
        "loss",
    ]
    relu = text.layer[6]
    assert (list(relu.bottom), list(relu.top), relu.type) == (["fc1"], ["fc1"], "ReLU")
    assert list(text.layer[7].bottom) == ["fc1"]
    (here / "lenet.prototxt").write_text(str(text))
    (here / "solver.prototxt").write_text(
        'train_net: "lenet.prototxt" base_lr: 0.01 momentum: 0.9 lr_policy: "fixed" max_iter: 20 random_seed: 1'
    )
    solver = get_solver("solver.prototxt")
    first = float(solver.net.forward()["loss"])
    solver.step(15)
    assert float(solver.net.forward()["loss"]) < first / 4


def inception(bottom: Any, one: int, three: int, five: int) -> Any:
    """GoogLeNet's block: four branches side by side."""

    def convolution(bottom: Any, outputs: int, **more: Any) -> Any:
        param = [{"lr_mult": 1, "decay_mult": 1}, {"lr_mult": 2, "decay_mult": 0}]
        made = L.Convolution(bottom, num_output=outputs, param=param, weight_filler=XAVIER, **more)
        return L.ReLU(made, in_place=True)

    branches = [
        convolution(bottom, one, kernel_size=1),
        convolution(convolution(bottom, three // 2, kernel_size=1), three, kernel_size=3, pad=1),
        convolution(convolution(bottom, five // 2, kernel_size=1), five, kernel_size=5, pad=2),
        convolution(L.Pooling(bottom, pool=P.Pooling.MAX, kernel_size=3, stride=1, pad=1), one, kernel_size=1),
    ]
    return L.Concat(*branches)


def googlenet() -> NetSpec:
    n = NetSpec()
    n.data = L.Input(shape={"dim": [2, 3, 64, 64]})
    n.conv1 = L.Convolution(n.data, num_output=8, kernel_size=7, stride=2, pad=3, weight_filler=XAVIER)
    n.norm1 = L.LRN(L.ReLU(n.conv1, in_place=True), local_size=5, alpha=1e-4, beta=0.75)
    n.pool1 = L.Pooling(n.norm1, pool=P.Pooling.MAX, kernel_size=3, stride=2)
    n.inception_3a = inception(n.pool1, 8, 16, 4)
    n.inception_3b = inception(n.inception_3a, 12, 24, 8)
    n.pool5 = L.Pooling(n.inception_3b, pool=P.Pooling.AVE, global_pooling=True)
    n.drop = L.Dropout(n.pool5, dropout_ratio=0.4, in_place=True)
    n.classifier = L.InnerProduct(n.drop, num_output=10, weight_filler=XAVIER)
    n.prob = L.Softmax(n.classifier)
    return n


def test_a_googlenet_goes_to_text_and_back(here: Path) -> None:
    text = googlenet().to_proto()
    (here / "net.prototxt").write_text(f'name: "small GoogLeNet"\n{text}')
    net = Net("net.prototxt", TEST)
    assert [name for name in net.layer_names if "split" not in name] == [layer.name for layer in text.layer]
    assert net.blobs["inception_3a"].shape == (2, 8 + 16 + 4 + 8, 16, 16)
    out = net.forward(data=np.random.default_rng(1).random((2, 3, 64, 64)))
    np.testing.assert_allclose(out["prob"].sum(1), 1, atol=1e-5)
    again = caffe_pb2.NetParameter()
    from pycaffe_lite.proto.text import parse

    assert parse(str(text), again) == text
    names = [layer.name for layer in text.layer]
    assert names[5:8] == ["Convolution1", "ReLU2", "Convolution2"]
    assert len(set(names)) == len(names)


def test_names_come_from_the_types_where_none_is_given() -> None:
    data = L.Input(shape={"dim": [1, 2]})
    top = L.ReLU(L.InnerProduct(L.InnerProduct(data, num_output=3), num_output=4))
    layers = to_proto(top).layer
    assert [layer.name for layer in layers] == ["Input1", "InnerProduct1", "InnerProduct2", "ReLU1"]
    assert top.to_proto() == to_proto(top)
    assert [layer.name for layer in to_proto(top, L.Silence(data, ntop=0)).layer][-1] == "Silence1"


def test_a_layer_without_tops_has_the_name_it_is_assigned_to() -> None:
    n = NetSpec()
    n.data, n.label = L.DummyData(shape=[{"dim": [1]}, {"dim": [1]}], ntop=2)
    n.hush = L.Silence(n.data, n.label, ntop=0)
    layer = n.to_proto().layer[-1]
    assert (layer.name, list(layer.bottom), list(layer.top)) == ("hush", ["data", "label"], [])


def test_parameters_go_where_they_belong() -> None:
    n = NetSpec()
    n.data = L.Data(
        source="a_lmdb",
        backend=P.Data.LMDB,
        batch_size=4,
        transform_param={"scale": 0.5, "mean_value": [1, 2]},
        include={"phase": TRAIN, "stage": ("a", "b")},
        loss_weight=2,
    )
    n.conv = L.Convolution(n.data, num_output=np.int64(3), kernel_size=[3, 5], pad=np.array([1, 2]), stride=2, name="c")
    n.up = L.Deconvolution(n.conv, convolution_param={"num_output": 1, "kernel_size": 4, "bias_term": False})
    n.user = L.Python(n.up, module="m", layer="L", param_str="{}", param=[{"lr_mult": 1}, {}])
    data, conv, up, user = n.to_proto().layer
    assert (data.data_param.source, data.data_param.backend, data.data_param.batch_size) == ("a_lmdb", 1, 4)
    assert list(data.transform_param.mean_value) == [1, 2]
    assert list(data.include[0].stage) == ["a", "b"]
    assert list(data.loss_weight) == [2]
    param = conv.convolution_param
    assert (param.num_output, list(param.kernel_size), list(param.pad), list(param.stride)) == (3, [3, 5], [1, 2], [2])
    assert conv.name == "c"
    assert (list(up.convolution_param.kernel_size), up.convolution_param.bias_term) == ([4], False)
    assert (user.python_param.param_str, len(user.param)) == ("{}", 2)


def test_assign_proto_takes_messages_too() -> None:
    layer = caffe_pb2.LayerParameter()
    assign_proto(layer, "pooling_param", caffe_pb2.PoolingParameter(kernel_size=3))
    assign_proto(layer, "param", [caffe_pb2.ParamSpec(lr_mult=2), {"lr_mult": 3}])
    assign_proto(layer, "bottom", [])
    assert layer.pooling_param.kernel_size == 3
    assert [param.lr_mult for param in layer.param] == [2, 3]


def test_param_name_dict_is_the_schemas() -> None:
    names = param_name_dict()
    assert (names["InnerProduct"], names["HDF5Data"], names["LRN"], names["PReLU"]) == (
        "inner_product",
        "hdf5_data",
        "lrn",
        "prelu",
    )
    assert names["Transformation"] == "transform"
    assert net_spec._param_names == names


def test_params_are_the_schemas_constants() -> None:
    assert (P.Pooling.AVE, P.Data.LMDB, P.Eltwise.MAX, P.Loss.VALID) == (1, 1, 2, 1)
    with pytest.raises(AttributeError, match=r'no params.Pooling.MAXX; did you mean "MAX"'):
        _ = P.Pooling.MAXX
    with pytest.raises(AttributeError, match=r'no params.Poolin.MAX; did you mean "Pooling"'):
        _ = P.Poolin.MAX


def test_a_spec_is_read_like_a_dict_and_copied() -> None:
    n = lenet()
    assert n["conv1"] is n.conv1
    n["extra"] = L.ReLU(n.score)
    del n["extra"]
    assert "extra" not in n.tops
    assert list(n.tops) == [*copy.copy(n).tops]
    for ask in (lambda: n.conv3, lambda: n["conv3"], lambda: n.__delitem__("conv3")):
        with pytest.raises(KeyError, match='no "conv3"; did you mean "conv'):
            ask()
    assert not hasattr(n, "conv3")


def test_a_net_may_be_deeper_than_pythons_calls() -> None:
    top = L.Input(shape={"dim": [1]})
    for _ in range(3000):
        top = L.ReLU(top)
    assert len(top.to_proto().layer) == 3001


def wrong(**params: Any) -> None:
    n = NetSpec()
    n.data = L.Input(shape={"dim": [1, 2]})
    n.fc = L.InnerProduct(n.data, **params)
    n.to_proto()


@pytest.mark.parametrize(
    ("params", "kind", "sentence"),
    [
        (
            {"num_outputs": 3},
            AttributeError,
            'layer "fc" .*no "num_outputs" in InnerProductParameter and LayerP.*"num_out',
        ),
        ({"num_output": "three"}, TypeError, "\"num_output\" of InnerProductParameter does not take 'three'"),
        ({"num_output": -1}, ValueError, '"num_output" of InnerProductParameter does not take -1'),
        ({"num_output": [3, 4]}, TypeError, r"does not take \[3, 4\]"),
        ({"weight_filler": "xavier"}, TypeError, "\"weight_filler\" of InnerProductParameter does not take 'xavier'"),
        ({"weight_filler": {"typ": "xavier"}}, AttributeError, 'no "typ" in FillerParameter; did you mean "type"'),
        ({"innerproduct_param": {}}, AttributeError, 'no "innerproduct_param" in LayerParameter; did you mean "inner_'),
        ({"param": [3]}, TypeError, '"param" of LayerParameter does not take 3'),
        ({"num_output": None}, TypeError, "does not take None"),
    ],
)
def test_what_a_layer_does_not_take(params: dict[str, Any], kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind, match=sentence) as problem:
        wrong(**params)
    assert isinstance(problem.value, CaffeError)


def test_what_a_bottom_and_a_top_cannot_be() -> None:
    with pytest.raises(TypeError, match="Bottom 0 of ReLU is no Top but a str: 'data'"):
        L.ReLU("data")
    with pytest.raises(TypeError, match="Bottom 1 of Eltwise is no Top but a tuple"):
        L.Eltwise(L.Input(), L.DummyData(ntop=2))
    n = NetSpec()
    n.data = L.DummyData(ntop=2)
    with pytest.raises(TypeError, match=r'"data" of this NetSpec is no layer.s top but a tuple; it has several tops'):
        n.to_proto()
