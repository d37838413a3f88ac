"""ONNX models compute what their nets compute: every layer type, and nets that are well known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST
from pycaffe_lite.proto.caffe_pb2 import NetParameter
from pycaffe_lite.proto.printer import to_text
from pycaffe_lite.proto.text import parse
from pycaffe_lite.tools.deploy import deploy
from pycaffe_lite.tools.export_onnx import Exported, compare, export, read_inputs
from pycaffe_lite.tools.export_onnx.compare import difference, run
from pycaffe_lite.tools.export_onnx.converters import CONVERT
from rigs.deploy_nets import squeezenet, vgg16
from rigs.layer_cases.table import Case, all_cases
from rigs.layer_rig import layer_param
from rigs.model_zoo import ROOT, ZOO, models
from rigs.net_rig import inner_product, inputs, layer, net_param, softmax_loss

EXPORTED = CONVERT.keys() - {"Python"}  # a class of the user's
CASES = [(kind, case) for kind, cases in all_cases().items() if kind in EXPORTED for case in cases]
# What ONNX has nothing for, by type and name of the case.
NOT_THERE = {
    ("Convolution", "batch-axes"),
    ("Convolution", "no-axes"),
    ("Convolution", "no-axes-group"),
    ("Deconvolution", "batch-axes"),
    ("Deconvolution", "no-axes"),
    ("DummyData", "basic"),
    ("Im2col", "no-axes"),
    ("Im2col", "one-axis"),
    ("Silence", "basic"),  # a net without outputs
}


def randomize(net: Net) -> Net:
    """Values for all parameters, statistics among them."""
    random = np.random.default_rng(3)
    for node in net.layers:
        for i, blob in enumerate(node.blobs):
            if node.type == "BatchNorm":
                blob.data[...] = (random.normal(size=blob.shape), random.uniform(1, 2, blob.shape), 2.0)[i]
            elif node.type == "Scale":
                blob.data[...] = random.uniform(0.7, 1.3, blob.shape) if i == 0 else random.normal(size=blob.shape) / 10
            elif blob.num_axes < 2 or not blob.data.any():
                blob.data[...] = random.normal(size=blob.shape) / 10
    return net


def scores(param: NetParameter) -> Net:
    """The net of what deploy makes; its outputs are what goes into the softmax, which would hide differences."""
    if param.layer[-1].type == "Softmax":
        del param.layer[-1]
    return randomize(Net(param, TEST))


def at_batch(net: Net, exported: Exported, batch: int) -> bool:
    """Whether both agree at another batch size."""
    for name in net.inputs:
        net.blobs[name].reshape(batch, *net.blobs[name].shape[1:])
    net.reshape()
    return compare(net, exported).agrees


def opencv_agrees(net: Net, exported: Exported, folder: Path) -> bool:
    """Whether OpenCV gives what the net has given."""
    import cv2

    (folder / "m.onnx").write_bytes(exported.model.SerializeToString())
    reader = cv2.dnn.readNetFromONNX(str(folder / "m.onnx"))
    for blob in net.inputs:
        reader.setInput(np.ascontiguousarray(net.blobs[blob].data), blob)
    results = reader.forward(list(exported.outputs.values()))
    ours = [net.blobs[blob].data for blob in exported.outputs]
    return all(difference("", a, b.reshape(a.shape)).agrees for a, b in zip(ours, results, strict=True))


# -- layer by layer -----------------------------------------------------------------------------------------


def net_of(case: Case, arrays: list[np.ndarray]) -> Net:
    """A net of the case's layer alone, behind Input layers."""
    param, it = NetParameter(), layer_param(case.text)
    it.phase = TEST
    del it.loss_weight[:]
    for name, array in dict(zip(it.bottom, arrays, strict=True)).items() or {"nothing": np.zeros(1)}.items():
        data = param.layer.add(name=f"in_{name}", type="Input", top=[name])
        data.input_param.shape.add(dim=array.shape)
    param.layer.add().CopyFrom(it)
    net = Net(param, TEST)
    random = np.random.default_rng(5)
    for made in net.layers:
        for i, blob in enumerate(made.blobs):
            if callable(case.param_values):
                blob.data[...] = case.param_values(random, blob.shape)
            else:
                blob.data[...] = random.normal(size=blob.shape) if made.type != "BatchNorm" or i == 0 else 1.5
    return net


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize(("kind", "case"), CASES, ids=[f"{kind}-{case.name}" for kind, case in CASES])
def test_each_layer(kind: str, case: Case, opset: int) -> None:
    arrays = case.arrays(np.random.default_rng(1))
    net = net_of(case, arrays)
    if (kind, case.name) in NOT_THERE:
        with pytest.raises(CaffeError):
            export(net, opset)
        return
    given = dict(zip(net.layers[-1].layer_param.bottom, arrays, strict=True))
    found = compare(net, export(net, opset), given)
    assert found.agrees, found
    assert all(np.isfinite(output.largest) for output in found.outputs)


def test_what_is_not_there_is_in_the_table() -> None:
    assert {(kind, case.name) for kind, case in CASES} >= NOT_THERE


@pytest.mark.parametrize("size", [6, 7, 9, 12])
@pytest.mark.parametrize("pool", ["MAX", "AVE"])
@pytest.mark.parametrize(
    "window", ["kernel_size: 1 stride: 2", "kernel_size: 2 stride: 5", "kernel_size: 2 stride: 3 pad: 1"]
)
def test_windows_beyond_the_image(window: str, pool: str, size: int) -> None:
    """Caffe rounds the number of windows up, so that a stride larger than the kernel may leave the last one empty."""
    text = inputs(x=[2, 3, size, 6]) + layer("p", "Pooling", ["x"], ["y"], f"pooling_param {{ pool: {pool} {window} }}")
    net = Net(net_param(text), TEST)
    exported = export(net)
    x = np.random.default_rng(2).normal(size=(2, 3, size, 6)).astype(np.float32)
    ours = net.forward(x=x)["y"]
    np.testing.assert_allclose(run(exported.model, {"x": x}, ["y"])["y"], ours, rtol=1e-5, atol=1e-6)


def test_a_window_beyond_the_image_has_no_index() -> None:
    pooling = layer("p", "Pooling", ["x"], ["y", "at"], "pooling_param { kernel_size: 1 stride: 2 }")
    with pytest.raises(CaffeError, match="a last window lies beyond the image, where ONNX has no index"):
        export(Net(net_param(inputs(x=[2, 3, 6, 6]) + pooling), TEST))


# -- nets ---------------------------------------------------------------------------------------------------


def detector() -> str:
    """Like SSD: scores and boxes from maps of several sizes, each flattened and put behind the other."""
    text = inputs(data=[2, 3, 33, 33])
    heads, below = [], "data"
    for i, stride in enumerate((2, 2, 2)):
        filler = 'weight_filler { type: "msra" }'
        conv = f"convolution_param {{ num_output: 8 kernel_size: 3 stride: {stride} pad: 1 {filler} }}"
        text += layer(f"conv{i}", "Convolution", [below], [f"conv{i}"], conv)
        text += layer(f"relu{i}", "ReLU", [f"conv{i}"], [f"conv{i}"])
        text += layer(
            f"norm{i}", "LRN", [f"conv{i}"], [f"norm{i}"], "lrn_param { norm_region: WITHIN_CHANNEL local_size: 3 }"
        )
        head = "convolution_param { num_output: 12 kernel_size: 3 pad: 1 weight_filler { type: 'msra' } }"
        text += layer(f"head{i}", "Convolution", [f"norm{i}"], [f"head{i}"], head)
        text += layer(f"flat{i}", "Flatten", [f"head{i}"], [f"flat{i}"])
        heads.append(f"flat{i}")
        below = f"conv{i}"
    text += layer("all", "Concat", heads, ["all"])
    text += layer("by_class", "Reshape", ["all"], ["by_class"], "reshape_param { shape { dim: 0 dim: -1 dim: 4 } }")
    return text + layer("prob", "Softmax", ["by_class"], ["prob"], "softmax_param { axis: 2 }")


def pyramid() -> str:
    """Like PSPNet: means of an image's parts, one of them of all of it, beside what they are means of."""
    conv = "convolution_param {{ num_output: {} kernel_size: 3 pad: 1 weight_filler {{ type: 'msra' }} }}"
    text = inputs(data=[2, 3, 12, 12]) + layer("c", "Convolution", ["data"], ["c"], conv.format(16))
    for size in (12, 6, 3):
        pool = f"pooling_param {{ pool: AVE kernel_size: {size} stride: {size} }}"
        text += layer(f"p{size}", "Pooling", ["c"], [f"p{size}"], pool)
        text += layer(f"c{size}", "Convolution", [f"p{size}"], [f"c{size}"], conv.format(16))
        text += layer(f"i{size}", "Interp", [f"c{size}"], [f"i{size}"], "interp_param { height: 12 width: 12 }")
    text += layer("all", "Concat", ["c", "i12", "i6", "i3"], ["all"])
    return text + layer("score", "Convolution", ["all"], ["score"], conv.format(5))


STAGES = {"mnist_autoencoder": ["test-on-test"]}
CONFIGS = ["lenet", "lstm", "siamese", "mnist_autoencoder"]
ZOO_NETS = [name for name in ZOO if name not in ("autoencoder", "Siamese", "LSTM on rows")]
TEXTS = {
    "CaffeNet": lambda: models.caffenet(2, 67, 5, 1 / 8),
    "SqueezeNet": lambda: squeezenet(2, 64, 10, 1 / 4),
    "VGG-16": lambda: vgg16(2, 32, 10, 1 / 8),
    "detector": detector,
    "pyramid": pyramid,
}


def net_named(name: str, folder: Path) -> Net:
    """What deploy makes of a net of configs/, of the model zoo, or of one written here."""
    if name in CONFIGS:
        path = ROOT / "configs" / name / "train_test.prototxt"
    else:
        path = folder / "net.prototxt"
        path.write_text(TEXTS[name]() if name in TEXTS else to_text(ZOO[name].build()))
    return scores(parse(deploy(str(path), stages=STAGES.get(name, [])), NetParameter))


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("name", [*CONFIGS, *ZOO_NETS, *TEXTS])
def test_well_known_nets(name: str, fold: bool, tmp_path: Path) -> None:
    net = net_named(name, tmp_path)
    exported = export(net, fold=fold)
    found = compare(net, exported)
    assert found.agrees, found
    assert found.layer == ""
    assert all(np.ptp(net.blobs[output].data) > 1e-3 for output in net.outputs)
    if exported.dynamic:
        assert at_batch(net, exported, 3)
    assert exported.dynamic == (name not in ("LRCN", "char-RNN", "lstm"))


@pytest.mark.parametrize("name", [*CONFIGS, *ZOO_NETS, *TEXTS])
def test_opencv_reads_them(name: str, tmp_path: Path) -> None:
    """OpenCV 5 no longer reads Caffe's own files."""
    pytest.importorskip("cv2", minversion="5")
    net = net_named(name, tmp_path)
    exported = export(net)
    assert compare(net, exported).agrees
    assert opencv_agrees(net, exported, tmp_path)


FULL = {
    "CaffeNet": (lambda: models.caffenet(1), 60_965_224),
    "GoogLeNet": (lambda: models.googlenet(1), 6_998_552),
    "ResNet-50": (lambda: models.resnet50(1), 25_610_269),
    "MobileNet": (lambda: models.mobilenet(1), 4_253_891),
    "SqueezeNet 1.1": (squeezenet, 1_235_496),
    "VGG-16": (vgg16, 138_357_544),
}


@pytest.mark.slow
@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("name", FULL)
def test_nets_in_full(name: str, fold: bool, tmp_path: Path) -> None:
    pytest.importorskip("cv2", minversion="5")
    build, parameters = FULL[name]
    net = scores(parse(deploy(write(tmp_path, build())), NetParameter))
    assert sum(blob.count for made in net.layers for blob in made.blobs) == parameters
    exported = export(net, fold=fold)
    found = compare(net, exported)
    assert found.agrees, found
    assert opencv_agrees(net, exported, tmp_path)


def test_a_model_that_the_runtime_refuses() -> None:
    net = Net(net_param(inputs(x=[2, 3]) + layer("r", "ReLU", ["x"], ["y"])), TEST)
    exported = export(net)
    exported.model.graph.node[0].op_type = "Rely"
    with pytest.raises(CaffeError, match=r"^onnxruntime \S+ cannot run the model: "):
        compare(net, exported)


def test_folding_takes_the_normalization_away(tmp_path: Path) -> None:
    net = scores(parse(deploy(write(tmp_path, models.resnet50(1, 32, 5, 1 / 16))), NetParameter))
    plain, folded = (export(net, fold=fold) for fold in (False, True))
    kinds = [{node.op_type for node in exported.model.graph.node} for exported in (plain, folded)]
    assert "BatchNormalization" in kinds[0]
    assert kinds[1] == {"Conv", "Relu", "MaxPool", "Add", "GlobalAveragePool", "Flatten", "Gemm"}


@pytest.mark.parametrize("transpose", ["false", "true"])
def test_folding_into_other_products(transpose: str) -> None:
    text = inputs(x=[2, 4, 3, 3])
    text += layer("up", "Deconvolution", ["x"], ["up"], "convolution_param { num_output: 6 kernel_size: 2 group: 2 }")
    text += layer("bn", "BatchNorm", ["up"], ["up"])
    text += inner_product("fc", "up", 5, param=f"transpose: {transpose} bias_term: false")
    text += layer("scale", "Scale", ["fc"], ["fc"], "scale_param { bias_term: true }")
    net = randomize(Net(net_param(text), TEST))
    exported = export(net, fold=True)
    assert [node.op_type for node in exported.model.graph.node] == ["ConvTranspose", "Flatten", "Gemm"]
    assert compare(net, exported).agrees


@pytest.mark.parametrize("shape", [[2, 3, 4, 4], [2, 3], [2, 3, 4, 4, 4], [2, 3, 5, 3]])
def test_folding_scale_into_a_normalization(shape: list[int]) -> None:
    """Where there is no product before both; but not a Scale of another axis."""
    axis = 3 if shape[-1] == 3 and len(shape) == 4 else 1
    text = inputs(x=shape) + layer("bn", "BatchNorm", ["x"], ["y"])
    text += layer("scale", "Scale", ["y"], ["y"], f"scale_param {{ axis: {axis} bias_term: true }}")
    net = randomize(Net(net_param(text + layer("r", "ReLU", ["y"], ["z"])), TEST))
    exported = export(net, fold=True)
    more = [] if axis == 1 else ["Mul", "Add"]
    assert [node.op_type for node in exported.model.graph.node] == ["BatchNormalization", *more, "Relu"]
    assert compare(net, exported).agrees


def test_what_somebody_reads_is_not_folded() -> None:
    conv = "convolution_param { num_output: 2 kernel_size: 1 weight_filler { type: 'msra' } }"
    text = inputs(x=[2, 3, 4, 4]) + layer("conv", "Convolution", ["x"], ["conv"], conv)
    text += layer("bn", "BatchNorm", ["conv"], ["bn"]) + layer("sum", "Eltwise", ["conv", "bn"], ["sum"])
    net = randomize(Net(net_param(text), TEST))
    exported = export(net, fold=True)
    assert [node.op_type for node in exported.model.graph.node] == ["Conv", "BatchNormalization", "Add"]
    assert compare(net, exported).agrees


# -- names --------------------------------------------------------------------------------------------------


def test_names_are_kept() -> None:
    net = Net(str(ROOT / "configs" / "lenet" / "deploy.prototxt"), TEST)
    model = export(net).model
    assert [value.name for value in model.graph.input] == ["data"]
    assert [dim.dim_param or dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim] == [
        "N",
        1,
        28,
        28,
    ]
    assert [value.name for value in model.graph.output] == ["prob"]
    assert {"conv1", "pool1", "conv2", "pool2", "fc1", "fc2", "prob"} <= {
        name for node in model.graph.node for name in node.output
    }
    assert {"conv1/0", "conv1/1", "fc2/0"} <= {constant.name for constant in model.graph.initializer}
    assert model.opset_import[0].version == 13


def test_outputs_that_are_inputs_or_one_another() -> None:
    text = inputs(x=[2, 3], y=[2, 3]) + layer("r", "ReLU", ["x"], ["x"]) + layer("d", "Dropout", ["x"], ["z"])
    text += layer("e", "Dropout", ["x"], ["w"])
    net = Net(net_param(text), TEST)
    exported = export(net)
    assert exported.outputs == {"w": "w", "y": "y_out", "z": "z"}
    assert compare(net, exported).agrees


@pytest.mark.parametrize("name", ["c/value", "c/0", "c/Conv", "c/value/before"])
def test_inputs_that_are_called_like_what_is_made(name: str) -> None:
    conv = "convolution_param { num_output: 2 kernel_size: 1 weight_filler { type: 'msra' } }"
    text = inputs(**{name: [2, 3, 4, 4]}) + layer("c", "Convolution", [name], ["c/1"], conv)
    text += layer("c", "Convolution", ["c/1"], ["c/value_2"], conv) + layer("c/1", "ReLU", ["c/value_2"], ["y"])
    net = randomize(Net(net_param(text), TEST))
    exported = export(net)
    assert [value.name for value in exported.model.graph.input] == [name]
    assert compare(net, exported).agrees


def test_an_input_without_axes() -> None:
    net = Net(net_param(inputs(x=[], z=[]) + layer("sum", "Eltwise", ["x", "z"], ["y"])), TEST)
    exported = export(net)
    assert not exported.dynamic
    assert compare(net, exported).agrees


# -- what goes wrong ----------------------------------------------------------------------------------------


def write(folder: Path, text: str) -> str:
    path = folder / "net.prototxt"
    path.write_text(text)
    return str(path)


def test_all_that_cannot_be_exported_is_said_at_once() -> None:
    text = inputs(x=[2, 3, 4, 4], l=[2]) + inner_product("fc", "x", 3) + layer("a", "Accuracy", ["fc", "l"], ["a"])
    text += layer("r", "ReLU", ["a"], ["r"])
    text += layer("b", "Convolution", ["x"], ["b"], "convolution_param { axis: 2 kernel_size: 2 num_output: 3 }")
    noise = 'shape { dim: 2 } data_filler { type: "gaussian" }'
    text += layer("c", "DummyData", [], ["c"], f"dummy_data_param {{ {noise} }}")
    with pytest.raises(CaffeError) as problem:
        export(Net(net_param(text), TEST))
    sentence = str(problem.value)
    assert sentence.startswith("The net cannot be an ONNX model, because of 3 layer(s): ")
    for part in ('layer "a" (Accuracy)', 'layer "b" (Convolution)', 'layer "c" (DummyData)'):
        assert part in sentence


def test_items_that_are_kept_are_known_when_the_model_runs() -> None:
    text = inputs(x=[6, 3], keep=[6, 1]) + layer("f", "Filter", ["x", "keep"], ["kept"])
    text += inner_product("fc", "kept", 4)
    net = randomize(Net(net_param(text), TEST))
    exported = export(net)
    shape = exported.model.graph.output[0].type.tensor_type.shape
    assert [dim.dim_param or dim.dim_value for dim in shape.dim] == ["fc_0", 4]
    assert compare(net, exported).agrees
    assert 0 < len(net.blobs["fc"].data) < 6
    assert compare(net, exported, {"keep": np.zeros((6, 1))}).agrees
    assert net.blobs["fc"].shape == (0, 4)


def test_a_net_to_train_is_refused(tmp_path: Path) -> None:
    text = inputs(x=[2, 3], label=[2]) + inner_product("fc", "x", 3) + softmax_loss("fc")
    with pytest.raises(
        CaffeError, match=r'layer "loss" \(SoftmaxWithLoss\): there is nothing like this type in ONNX; make the'
    ):
        export(Net(net_param(text), TEST))
    with pytest.raises(CaffeError, match="Expected a net with inputs and outputs"):
        export(Net(net_param(""), TEST))


def test_the_first_layer_that_differs_is_named() -> None:
    net = randomize(Net(net_param(inputs(x=[2, 3]) + inner_product("a", "x", 4) + inner_product("b", "a", 4)
                                  + inner_product("c", "b", 4)), TEST))  # fmt: skip
    exported = export(net)
    net.params["b"][0].data[0, 0] += 1
    found = compare(net, exported)
    assert not found.agrees
    assert found.layer == "b"
    assert found.outputs[0].relative > 1e-4


@pytest.mark.parametrize(
    ("ours", "theirs", "agrees"),
    [([1, 2], [1, 2.0001], True), ([1, 2], [1, 2.001], False), ([np.nan, np.inf], [np.nan, np.inf], True),
     ([1, np.nan], [1, 1], False), ([np.inf, 1], [1, 1], False), ([0, 0], [0, 1e-3], False), ([1, 2], [[1, 2]], False),
     ([1e-4], [1.001e-4], False)],
)  # fmt: skip
def test_differences(ours: list[float], theirs: list[float], agrees: bool) -> None:
    assert difference("x", np.array(ours, np.float32), np.array(theirs, np.float32)).agrees == agrees


def test_small_values_of_a_sigmoid() -> None:
    """onnxruntime computes them to a rounding of 1."""
    net = Net(net_param(inputs(x=[50]) + layer("s", "Sigmoid", ["x"], ["y"])), TEST)
    exported = export(net)
    given = {"x": np.linspace(-17, -9, 50)}
    assert compare(net, exported, given).agrees
    exported.model.graph.node[0].op_type = "Relu"
    assert not compare(net, exported, given).agrees


def test_inputs_from_a_file(tmp_path: Path) -> None:
    net = Net(net_param(inputs(x=[2, 3]) + layer("r", "ReLU", ["x"], ["y"])), TEST)
    path = str(tmp_path / "in.npz")
    np.savez(path, x=np.full((2, 3), 7.0))
    assert read_inputs(path, net)["x"].dtype == np.float32
    for arrays, sentence in (
        ({"z": np.zeros(1)}, 'expected arrays for the inputs x, got "z"'),
        ({"x": np.zeros((3, 3))}, r'expected an array of shape \[2, 3\] for "x", got \[3, 3\]'),
    ):
        np.savez(path, **arrays)
        with pytest.raises(CaffeError, match=sentence):
            read_inputs(path, net)
    Path(path).write_text("no npz")
    with pytest.raises(CaffeError, match=r"expected an \.npz file of arrays of numbers"):
        read_inputs(path, net)
    with pytest.raises(CaffeError, match=r"is a folder; expected an \.npz file of inputs"):
        read_inputs(str(tmp_path), net)
    with pytest.raises(CaffeError, match="There is no file of inputs"):
        read_inputs(str(tmp_path / "gone.npz"), net)
