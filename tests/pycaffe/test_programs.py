"""What people do with pycaffe, in small: each program uses the API as its well-known original does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.pycaffe.net_spec import layers as L
from pycaffe_lite.pycaffe.net_spec import params as P
from rigs import MNIST

XAVIER = {"type": "xavier"}


def write(path: Path, spec: Any) -> str:
    """Writes what NetSpec, or text, has."""
    path.write_text(spec if isinstance(spec, str) else str(spec.to_proto()))
    return str(path)


def solver_text(folder: Path, net: str, **fields: Any) -> str:
    values = {"base_lr": 0.01, "lr_policy": "fixed", "max_iter": 1000, "snapshot_after_train": False, **fields}
    message = caffe.proto.caffe_pb2.SolverParameter(**{"train_net": net, **values})
    return write(folder / "solver.prototxt", str(message))


# -- LeNet, as the notebook "Learning LeNet" has it ------------------------------------------------------------


def lenet(images: str, batch: int) -> Any:
    n = caffe.NetSpec()
    n.data, n.label = L.Data(
        batch_size=batch,
        backend=P.Data.IDX,
        source=images,
        transform_param={"scale": 1.0 / 255},
        ntop=2,
    )
    n.conv1 = L.Convolution(n.data, kernel_size=5, num_output=20, weight_filler=XAVIER)
    n.pool1 = L.Pooling(n.conv1, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.conv2 = L.Convolution(n.pool1, kernel_size=5, num_output=50, weight_filler=XAVIER)
    n.pool2 = L.Pooling(n.conv2, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.fc1 = L.InnerProduct(n.pool2, num_output=500, weight_filler=XAVIER)
    n.relu1 = L.ReLU(n.fc1, in_place=True)
    n.score = L.InnerProduct(n.relu1, num_output=10, weight_filler=XAVIER)
    n.loss = L.SoftmaxWithLoss(n.score, n.label)
    return n


def test_lenet_learns_in_a_loop_of_steps(here: Path) -> None:
    train = write(here / "train.prototxt", lenet(str(MNIST / "train-images-idx3-ubyte.gz"), 64))
    test = write(here / "test.prototxt", lenet(str(MNIST / "t10k-images-idx3-ubyte.gz"), 100))
    path = solver_text(here, train, momentum=0.9, weight_decay=5e-4, random_seed=1)
    with open(path, "a") as file:
        file.write(f'test_net: "{test}" test_iter: 100 test_interval: 500 test_initialization: false\n')
    solver = caffe.SGDSolver(path)
    assert {k: v.data.shape for k, v in solver.net.blobs.items()}["data"] == (64, 1, 28, 28)
    solver.net.forward()
    solver.test_nets[0].forward()
    solver.test_nets[0].share_with(solver.net)
    niter, train_loss = 60, np.zeros(60)
    for it in range(niter):
        solver.step(1)
        train_loss[it] = solver.net.blobs["loss"].data
        solver.test_nets[0].forward(start="conv1")
    correct = 0
    for _ in range(10):
        solver.test_nets[0].forward()
        correct += sum(solver.test_nets[0].blobs["score"].data.argmax(1) == solver.test_nets[0].blobs["label"].data)
    assert train_loss[-10:].mean() < 0.5 * train_loss[:3].mean()
    assert correct > 850


# -- finetuning with renamed layers ------------------------------------------------------------------------------


def small(classes: int, last: str, learn_all: bool = True) -> Any:
    fixed = {} if learn_all else {"param": [{"lr_mult": 0}, {"lr_mult": 0}]}
    n = caffe.NetSpec()
    n.data, n.label = L.DummyData(
        shape=[{"dim": [8, 3, 6, 6]}, {"dim": [8]}],
        data_filler=[{"type": "gaussian"}, {"type": "constant", "value": 1}],
        ntop=2,
    )
    n.conv = L.Convolution(n.data, kernel_size=3, num_output=8, weight_filler=XAVIER, **fixed)
    n.relu = L.ReLU(n.conv, in_place=True)
    n.fc = L.InnerProduct(n.relu, num_output=16, weight_filler=XAVIER, **fixed)
    n.tops[last] = L.InnerProduct(n.fc, num_output=classes, weight_filler=XAVIER, name=last)
    n.loss = L.SoftmaxWithLoss(n.tops[last], n.label)
    return n


def test_finetuning_with_a_renamed_layer(here: Path) -> None:
    base = caffe.Net(write(here / "base.prototxt", small(10, "score")), caffe.TRAIN)
    base.save("base.caffemodel")
    tuned = solver_text(here, write(here / "tuned.prototxt", small(4, "score_mine", learn_all=False)))
    solver = caffe.get_solver(tuned)
    own = solver.net.params["score_mine"][0].data.copy()
    solver.net.copy_from("base.caffemodel")
    np.testing.assert_array_equal(solver.net.params["score_mine"][0].data, own)
    solver.step(5)
    for name in ("conv", "fc"):
        np.testing.assert_array_equal(solver.net.params[name][0].data, base.params[name][0].data)
    assert not np.array_equal(solver.net.params["score_mine"][0].data, own)


# -- net surgery: from fully connected to convolutional ------------------------------------------------------------

FULLY = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 6 kernel_size: 3 weight_filler { type: "gaussian" std: 0.3 } } }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "fc6" type: "InnerProduct" bottom: "pool" top: "fc6"
  inner_product_param { num_output: 7 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "fc7" type: "InnerProduct" bottom: "fc6" top: "fc7"
  inner_product_param { num_output: 4 weight_filler { type: "gaussian" std: 0.3 } bias_filler { value: 0.5 } } }
layer { name: "prob" type: "Softmax" bottom: "fc7" top: "prob" }
"""


def test_net_surgery_gives_dense_outputs(here: Path, generator: np.random.Generator) -> None:
    dense = FULLY.replace("dim: 8 dim: 8", "dim: 16 dim: 12")
    for name, kernel in (("fc6", 3), ("fc7", 1)):
        dense = dense.replace(f'"{name}"', f'"{name}-conv"')
        head, _, tail = dense.partition(f'name: "{name}-conv" type: "InnerProduct"')
        tail = tail.replace("inner_product_param {", f"convolution_param {{ kernel_size: {kernel} ", 1)
        dense = f'{head}name: "{name}-conv" type: "Convolution"{tail}'
    net = caffe.Net(write(here / "fc.prototxt", FULLY), caffe.TEST)
    net.save("fc.caffemodel")
    net_full_conv = caffe.Net(write(here / "conv.prototxt", dense), "fc.caffemodel", caffe.TEST)
    params, params_full_conv = ["fc6", "fc7"], ["fc6-conv", "fc7-conv"]
    fc_params = {pr: (net.params[pr][0].data, net.params[pr][1].data) for pr in params}
    conv_params = {pr: (net_full_conv.params[pr][0].data, net_full_conv.params[pr][1].data) for pr in params_full_conv}
    for pr, pr_conv in zip(params, params_full_conv, strict=True):
        conv_params[pr_conv][0].flat = fc_params[pr][0].flat
        conv_params[pr_conv][1][...] = fc_params[pr][1]
    image = generator.normal(size=(1, 3, 16, 12))
    out = net_full_conv.forward_all(data=image)["prob"]
    assert out.shape == (1, 4, 5, 3)
    for y in range(5):
        for x in range(3):
            window = image[:, :, 2 * y : 2 * y + 8, 2 * x : 2 * x + 8]
            np.testing.assert_allclose(out[0, :, y, x], net.forward(data=window)["prob"][0], rtol=1e-4, atol=1e-6)


# -- deepdream -----------------------------------------------------------------------------------------------

DREAM = """
force_backward: true
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 10 dim: 3 dim: 24 dim: 24 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 8 kernel_size: 5 stride: 2 pad: 2 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "a" type: "Convolution" bottom: "conv1" top: "a"
  convolution_param { num_output: 8 kernel_size: 1 weight_filler { type: "gaussian" std: 0.3 } } }
layer { name: "b" type: "Convolution" bottom: "conv1" top: "b"
  convolution_param { num_output: 8 kernel_size: 3 pad: 1 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "output" type: "Concat" bottom: "a" bottom: "b" top: "output" }
layer { name: "pool" type: "Pooling" bottom: "output" top: "pool" pooling_param { pool: AVE global_pooling: true } }
"""


def make_step(net: Any, step_size: float = 1.5, end: str = "output", jitter: int = 3) -> float:
    src, dst = net.blobs["data"], net.blobs[end]
    ox, oy = 1, jitter - 1
    src.data[0] = np.roll(np.roll(src.data[0], ox, -1), oy, -2)
    net.forward(end=end)
    value = float((dst.data**2).sum())
    dst.diff[:] = dst.data
    net.backward(start=end)
    g = src.diff[0]
    src.data[:] += step_size / np.abs(g).mean() * g
    src.data[0] = np.roll(np.roll(src.data[0], -ox, -1), -oy, -2)
    src.data[:] = np.clip(src.data, -100, 100)
    return value


def zoom(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The nearest pixels."""
    rows, columns = (np.arange(n) * image.shape[-2 + i] // n for i, n in enumerate(shape))
    return image[:, rows][:, :, columns]


def test_deepdream_goes_through_its_octaves(here: Path, generator: np.random.Generator) -> None:
    net = caffe.Net(write(here / "dream.prototxt", DREAM), caffe.TEST)
    base = generator.normal(size=(3, 24, 32)).astype(np.float32)
    octaves = [base]
    for _ in range(2):
        h, w = octaves[-1].shape[-2:]
        octaves.append(zoom(octaves[-1], (int(h / 1.4), int(w / 1.4))))
    src = net.blobs["data"]
    detail = np.zeros_like(octaves[-1])
    for octave, octave_base in enumerate(octaves[::-1]):
        h, w = octave_base.shape[-2:]
        if octave > 0:
            detail = zoom(detail, (h, w))
        src.reshape(1, 3, h, w)
        src.data[0] = octave_base + detail
        values = [make_step(net) for _ in range(5)]
        assert values[-1] > 2 * values[0]
        detail = src.data[0] - octave_base
    assert src.data[0].shape == (3, 24, 32)
    # The gradient of half the squares is the one that backward was given.
    x = src.data.copy()
    net.forward(end="output")
    dst = net.blobs["output"]
    dst.diff[:] = dst.data
    g = net.backward(start="output")["data"].copy()
    numbers = []
    for sign in (1, -1):
        net.forward(data=x + sign * 1e-3 * g / np.abs(g).max(), end="output")
        numbers.append(0.5 * (dst.data.astype(np.float64) ** 2).sum())
    assert (numbers[0] - numbers[1]) / 2e-3 == pytest.approx(
        (g.astype(np.float64) ** 2).sum() / np.abs(g).max(), rel=0.02
    )


# -- style transfer ------------------------------------------------------------------------------------------


def test_style_transfer_goes_back_from_layer_to_layer(here: Path, generator: np.random.Generator) -> None:
    """Losses at two layers; from each one the gradient goes down to the next one, where the other loss joins."""
    text = DREAM.replace("dim: 10", "dim: 1").replace('bottom: "conv1" top: "conv1"', 'bottom: "conv1" top: "relu1"')
    text = text.replace('bottom: "conv1" top: "a"', 'bottom: "relu1" top: "a"').replace(
        'bottom: "conv1" top: "b"', 'bottom: "relu1" top: "b"'
    )
    net = caffe.Net(write(here / "style.prototxt", text), caffe.TEST)
    layers = ["conv1", "output"]
    style, image = (generator.normal(size=(1, 3, 24, 24)).astype(np.float32) for _ in range(2))

    def grams(x: np.ndarray) -> dict[str, np.ndarray]:
        net.forward(data=x)
        found = {}
        for layer in layers:
            features = net.blobs[layer].data[0].copy()
            features.shape = (features.shape[0], -1)
            found[layer] = features @ features.T / features.size
        return found

    wanted = grams(style)

    def style_optfn(x: np.ndarray) -> tuple[float, np.ndarray]:
        net_in = net.blobs["data"]
        net_in.data[0] = x.reshape(net_in.data[0].shape)
        net.forward()
        loss = 0.0
        net.blobs[layers[-1]].diff[:] = 0
        for i, layer in enumerate(reversed(layers)):
            next_layer = None if i == len(layers) - 1 else layers[-i - 2]
            grad = net.blobs[layer].diff[0]
            features = net.blobs[layer].data[0].reshape(grad.shape[0], -1)
            difference = features @ features.T / features.size - wanted[layer]
            loss += 0.25 * float((difference.astype(np.float64) ** 2).sum())
            grad += (difference @ features / features.size).reshape(grad.shape)
            net.backward(start=layer, end=next_layer)
            grad = net.blobs["data"].diff[0] if next_layer is None else net.blobs[next_layer].diff[0]
        return loss, grad.ravel().astype(float)

    x = image.ravel().astype(float)
    first, gradient = style_optfn(x)
    direction = gradient / np.linalg.norm(gradient)
    step = 0.02
    slope = (style_optfn(x + step * direction)[0] - style_optfn(x - step * direction)[0]) / (2 * step)
    assert slope == pytest.approx(np.linalg.norm(gradient), rel=0.05)
    for _ in range(30):
        _, gradient = style_optfn(x)
        x -= 0.1 * first * gradient / (np.linalg.norm(gradient) ** 2)
    assert style_optfn(x)[0] < 0.5 * first


# -- siamese -------------------------------------------------------------------------------------------------


def siamese() -> Any:
    n = caffe.NetSpec()
    n.pair_data, n.sim = L.DummyData(
        shape=[{"dim": [16, 2, 6, 6]}, {"dim": [16]}],
        data_filler=[{"type": "gaussian"}, {"type": "constant", "value": 1}],
        ntop=2,
    )
    n.data, n.data_p = L.Slice(n.pair_data, slice_dim=1, slice_point=1, ntop=2)
    for suffix in ("", "_p"):
        shared = [[{"name": f"{layer}_{part}"} for part in "wb"] for layer in ("conv", "feat")]
        conv = L.Convolution(
            n.tops[f"data{suffix}"], kernel_size=3, num_output=6, weight_filler=XAVIER, param=shared[0]
        )
        n.tops[f"conv{suffix}"] = conv
        n.tops[f"feat{suffix}"] = L.InnerProduct(conv, num_output=2, weight_filler=XAVIER, param=shared[1])
    n.loss = L.ContrastiveLoss(n.feat, n.feat_p, n.sim, margin=1)
    return n


def test_siamese_halves_stay_one(here: Path) -> None:
    path = write(here / "siamese.prototxt", siamese())
    solver = caffe.SGDSolver(solver_text(here, path, base_lr=0.002))
    nets = [solver.net, caffe.Net(path, caffe.TRAIN)]
    for net in nets:
        net.params["conv_p"][0].data.reshape(-1)[:] = np.linspace(-1, 1, 54)
        assert np.shares_memory(net.params["conv"][0].data, net.params["conv_p"][0].data)
        np.testing.assert_array_equal(net.params["conv"][0].data.ravel(), np.linspace(-1, 1, 54, dtype=np.float32))
        net.let_go()
        net.params["feat"][0].data[...] *= 2
        np.testing.assert_array_equal(net.params["feat"][0].data, net.params["feat_p"][0].data)
    solver.step(1)
    before = float(solver.net.blobs["loss"].data)
    solver.step(40)
    assert solver.net.blobs["loss"].data < 0.2 * before
    np.testing.assert_array_equal(solver.net.params["conv"][0].data, solver.net.params["conv_p"][0].data)


# -- a converter ---------------------------------------------------------------------------------------------


def test_a_converter_walks_the_graph(here: Path, generator: np.random.Generator) -> None:
    """Runs a net in NumPy alone, from what the private names tell of its graph."""
    net = caffe.Net(write(here / "fc.prototxt", FULLY), caffe.TEST)
    x = generator.normal(size=(1, 3, 8, 8)).astype(np.float32)
    values = {net._blob_names[i]: x for i in net._inputs}
    for index, (name, layer) in enumerate(zip(net._layer_names, net.layers, strict=True)):
        bottoms = [net._blob_names[i] for i in net._bottom_ids(index)]
        tops = [net._blob_names[i] for i in net._top_ids(index)]
        assert tops == net.top_names[name]
        if not bottoms:
            continue
        below, blobs = values[bottoms[0]], [blob.data for blob in layer.blobs]
        if layer.type == "Convolution":
            windows = np.lib.stride_tricks.sliding_window_view(below, (3, 3), axis=(2, 3))
            above = np.einsum("nchwij,ocij->nohw", windows, blobs[0]) + blobs[1][:, None, None]
        elif layer.type == "Pooling":
            above = below.reshape(1, 6, 3, 2, 3, 2).max(axis=(3, 5))
        elif layer.type == "InnerProduct":
            above = below.reshape(1, -1) @ blobs[0].T + blobs[1]
        else:
            above = np.exp(below) / np.exp(below).sum()
        values[tops[0]] = above
    net.forward(data=x)
    for name, value in values.items():
        np.testing.assert_allclose(net.blobs[name].data, value, rtol=1e-4, atol=1e-5)
    assert [net._blob_names[i] for i in net._outputs] == ["prob"]


# -- BatchNorm merged into weights -----------------------------------------------------------------------------


def mobile(merged: bool) -> Any:
    n = caffe.NetSpec()
    n.data = L.Input(shape={"dim": [2, 3, 16, 16]})
    x = n.data
    for i, (outputs, kernel, group) in enumerate([(8, 3, 1), (8, 3, 8), (12, 1, 1)]):
        conv = L.Convolution(
            x, num_output=outputs, kernel_size=kernel, group=group, bias_term=merged, weight_filler=XAVIER,
        )  # fmt: skip
        n.tops[f"conv{i}"] = conv
        if not merged:
            n.tops[f"conv{i}/bn"] = L.BatchNorm(conv, in_place=True, use_global_stats=True)
            n.tops[f"conv{i}/scale"] = L.Scale(conv, in_place=True, bias_term=True)
        n.tops[f"relu{i}"] = x = L.ReLU(conv, in_place=True)
    n.pool = L.Pooling(x, global_pooling=True, pool=P.Pooling.AVE)
    return n


def test_batch_norm_merges_into_weights(here: Path, generator: np.random.Generator) -> None:
    net = caffe.Net(write(here / "train.prototxt", mobile(False)), caffe.TEST)
    for key in list(net.params):
        if key.endswith("/bn"):
            mean, variance, factor = net.params[key]
            mean.data[...] = generator.normal(size=mean.shape)
            variance.data[...] = generator.uniform(1, 2, variance.shape)
            factor.data[...] = 2
        elif key.endswith("/scale"):
            for blob in net.params[key]:
                blob.data[...] = generator.normal(size=blob.shape)
    nobn = caffe.Net(write(here / "deploy.prototxt", mobile(True)), caffe.TEST)
    for key in nobn.params:
        conv = net.params[key]
        mean, var, factor = (blob.data for blob in net.params[key + "/bn"])
        scale, bias = (blob.data for blob in net.params[key + "/scale"])
        factor = 0 if factor[0] == 0 else 1.0 / factor[0]
        rstd = 1.0 / np.sqrt(var * factor + 1e-5)
        rstd1, scale1 = rstd.reshape((len(rstd), 1, 1, 1)), scale.reshape((len(rstd), 1, 1, 1))
        nobn.params[key][0].data[...] = conv[0].data * rstd1 * scale1
        nobn.params[key][1].data[...] = (0 - mean * factor) * rstd * scale + bias
    nobn.save("merged.caffemodel")
    x = generator.normal(size=(2, 3, 16, 16))
    expected = net.forward(data=x)["pool"]
    again = caffe.Net(str(here / "deploy.prototxt"), caffe.TEST, weights="merged.caffemodel")
    np.testing.assert_allclose(again.forward(data=x)["pool"], expected, rtol=1e-4, atol=1e-5)


# -- oversampled images ----------------------------------------------------------------------------------------


def test_oversampled_crops_go_through_forward_all(here: Path, generator: np.random.Generator) -> None:
    """As open_nsfw: ten crops of an image, their mean, and the same from one crop at a time."""
    net = caffe.Net(write(here / "fc.prototxt", FULLY), caffe.TEST)
    image = generator.random((12, 12, 3)).astype(np.float32)
    transformer = caffe.io.Transformer({"data": net.blobs["data"].data.shape})
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_mean("data", np.array([0.1, 0.2, 0.3]))
    transformer.set_raw_scale("data", 255)
    transformer.set_channel_swap("data", (2, 1, 0))
    crops = caffe.io.oversample([image], (8, 8))
    x = np.stack([transformer.preprocess("data", crop) for crop in crops])
    all_outputs = net.forward_all(blobs=["prob"], **{net.inputs[0]: x})
    assert all_outputs["prob"].shape == (10, 4)
    for i in range(10):
        np.testing.assert_allclose(net.forward(data=x[i : i + 1])["prob"][0], all_outputs["prob"][i], rtol=1e-5)


# -- logistic regression on HDF5 --------------------------------------------------------------------------------


def newton(x: np.ndarray, y: np.ndarray, rounds: int = 30) -> np.ndarray:
    """The weights, the last one the bias, that make the labels most likely."""
    x = np.hstack([x, np.ones((len(x), 1))])
    w = np.zeros(x.shape[1])
    for _ in range(rounds):
        p = 1 / (1 + np.exp(-x @ w))
        w -= np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + 1e-9 * np.eye(len(w)), x.T @ (p - y))
    return w


def test_logistic_regression_on_hdf5(here: Path, generator: np.random.Generator) -> None:
    h5py = pytest.importorskip("h5py")
    x = generator.normal(size=(1000, 4)).astype(np.float32)
    y = (generator.random(1000) < 1 / (1 + np.exp(-(x @ [1.5, -2, 0.5, 0] + 0.3)))).astype(np.float32)
    with h5py.File("train.h5", "w") as file:
        file["data"], file["label"] = x, y
    Path("train.txt").write_text("train.h5\n")
    n = caffe.NetSpec()
    n.data, n.label = L.HDF5Data(batch_size=1000, source="train.txt", ntop=2)
    n.ip1 = L.InnerProduct(n.data, num_output=2, weight_filler=XAVIER)
    n.loss = L.SoftmaxWithLoss(n.ip1, n.label)
    n.accuracy = L.Accuracy(n.ip1, n.label)
    solver = caffe.get_solver(solver_text(here, write(here / "net.prototxt", n), base_lr=2, momentum=0.9))
    solver.step(150)
    weight, bias = (blob.data for blob in solver.net.params["ip1"])
    ours = np.append(weight[1] - weight[0], bias[1] - bias[0])
    np.testing.assert_allclose(ours, newton(x, y), rtol=0.01, atol=0.01)
    assert solver.net.blobs["accuracy"].data > 0.8
