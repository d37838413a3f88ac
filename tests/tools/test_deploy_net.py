"""deploy: what is left of a net, and that it computes what the TEST net computed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST, TRAIN
from pycaffe_lite.proto.caffe_pb2 import NetParameter
from pycaffe_lite.proto.read import read_net
from pycaffe_lite.proto.text import parse
from pycaffe_lite.tools.deploy import deploy
from pycaffe_lite.tools.net_summary import summarize
from rigs.data_tools import run
from rigs.model_zoo import ROOT, models
from rigs.net_rig import inner_product, inputs, layer, softmax_loss

CONFIGS = ROOT / "configs"
STAGES = {"mnist_autoencoder/train_test.prototxt": "test-on-test"}
# What the deployed net gives: by its TEST net's blob, or by a function of that.
SCORES = {
    "lenet/train_test.prototxt": {"prob": "fc2"},
    "lstm/train_test.prototxt": {"prob": "scores"},
    "siamese/train_test.prototxt": {"feat": "feat", "feat_p": "feat_p"},
    "mnist_autoencoder/train_test.prototxt": {"decode1neuron": "decode1neuron"},
    "cifar10/quick_train_test.prototxt": {"prob": "ip2"},
    "cifar10/full_train_test.prototxt": {"prob": "ip1"},
}


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of configs/ and of the data it names; CIFAR-10 is noise."""
    pytest.importorskip("lmdb")
    clone = tmp_path_factory.mktemp("clone")
    shutil.copytree(CONFIGS, clone / "configs")
    (clone / "data" / "cifar10").mkdir(parents=True)
    (clone / "data" / "mnist").symlink_to(ROOT / "data" / "mnist")
    (clone / "binary").mkdir()
    generator = np.random.default_rng(8)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        records = generator.integers(0, 256, (100, 3073), np.uint8)
        records[:, 0] %= 10
        records.tofile(clone / "binary" / f"{name}.bin")
    run("convert-cifar", clone / "binary", clone / "data" / "cifar10")
    return clone / "configs"


def write(folder: Path, text: str) -> str:
    path = folder / "train_val.prototxt"
    path.write_text(text)
    return str(path)


def deployed(path: str, **options) -> NetParameter:
    return parse(deploy(path, **options), NetParameter)


def types(param: NetParameter) -> list[str]:
    return [layer.type for layer in param.layer]


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_every_train_test_net_is_looked_at() -> None:
    """Those of shapes are in test_shapes.py, with their pictures."""
    paths = [path for path in CONFIGS.glob("*/*train_test.prototxt") if not path.parent.name.endswith("_shapes")]
    assert {path.relative_to(CONFIGS).as_posix() for path in paths} == set(SCORES)


@pytest.mark.parametrize("name", SCORES)
def test_its_outputs_are_the_scores_of_the_test_net(name: str, configs: Path) -> None:
    path = str(configs / name)
    stages = [STAGES[name]] if name in STAGES else []
    trained = Net(path, TEST, stages=stages)
    trained.forward_loss()
    net = Net(deployed(path, stages=stages), TEST)
    assert sorted(net.outputs) == sorted(SCORES[name])
    net.share_with(trained)
    inputs = {blob: trained.blobs[blob].data for blob in net.inputs}
    assert inputs.keys() == ({"data", "data_p"} if name.startswith("siamese") else {"data"})
    outputs = net.forward(**inputs)
    for output, source in SCORES[name].items():
        expected = trained.blobs[source].data
        if output == "prob":
            np.testing.assert_allclose(outputs[output], softmax(expected), rtol=1e-5, atol=1e-7)
        else:
            np.testing.assert_array_equal(outputs[output], expected)
        assert np.ptp(outputs[output]) > 0
    trained.close()


def test_comments_stay_where_they_stand() -> None:
    path = CONFIGS / "lenet" / "train_test.prototxt"
    text, written = deploy(str(path)), path.read_text()
    start, end = written.index('layer {\n  name: "conv1"'), written.index('layer {\n  name: "accuracy"')
    assert written[start:end] in text
    assert text.startswith(written[: written.index("layer {")])
    assert "include" not in text
    assert "# values as after transform_param { scale: 0.00390625 }" in text
    assert "\n\n\n" not in text


def test_comments_go_with_what_goes(tmp_path: Path) -> None:
    text = (
        "# The net.\n"
        + inputs(x=[2, 3], label=[2])
        + inner_product("fc", "x", 3).replace(" }\n", " }  # scores\n")
        + "\n# A section.\n\n# How good it is.\n# In percent.\n"
        + layer("accuracy", "Accuracy", ["fc", "label"], ["accuracy"])
        + softmax_loss("fc").strip()
        + " # a loss\n# The end.\n"
    )
    result = deploy(write(tmp_path, text))
    comments = [line.partition("#")[2] for line in result.splitlines() if "#" in line]
    assert comments == [" The net.", " scores", " A section.", " a loss", " The end."]


@pytest.mark.parametrize("batch", [1, 7])
def test_a_batch_size(batch: int) -> None:
    net = Net(deployed(str(CONFIGS / "lenet" / "train_test.prototxt"), batch=batch), TEST)
    assert net.blobs["prob"].shape == (batch, 10)


def test_a_batch_size_that_does_not_go() -> None:
    with pytest.raises(CaffeError, match=r'what is left to run cannot be built at batch size 3: .*layer "sequence"'):
        deploy(str(CONFIGS / "lstm" / "train_test.prototxt"), batch=3)


def test_auxiliary_losses_go(tmp_path: Path, messages: list[str]) -> None:
    """GoogLeNet's published count of parameters is that of the net without them."""
    param = deployed(write(tmp_path, models.googlenet(1)))
    path = tmp_path / "deploy.prototxt"
    path.write_text(deploy(str(tmp_path / "train_val.prototxt")))
    assert summarize(read_net(str(path)), TEST).total.parameters == 6_998_552
    assert [layer.name for layer in param.layer if layer.name.startswith("loss")] == ["loss3/classifier"]
    assert param.layer[-1].type == "Softmax"
    assert list(param.layer[0].top) == ["data"]
    assert len([text for text in messages if "is there for training alone" in text]) == 4


def test_losses_on_other_labels_stay(tmp_path: Path) -> None:
    text = inputs(x=[2, 3], age=[2], sex=[2]) + inner_product("a", "x", 3) + inner_product("b", "x", 2)
    text += layer("la", "SoftmaxWithLoss", ["a", "age"], ["la"], "loss_weight: 0.3")
    text += layer("lb", "SoftmaxWithLoss", ["b", "sex"], ["lb"])
    param = deployed(write(tmp_path, text))
    assert [(layer.name, layer.type) for layer in param.layer[-2:]] == [("prob_a", "Softmax"), ("prob_b", "Softmax")]


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (layer("loss", "SigmoidCrossEntropyLoss", ["fc", "y"], ["loss"]), ["Input", "InnerProduct", "Sigmoid"]),
        (layer("loss", "EuclideanLoss", ["fc", "y"], ["loss"]), ["Input", "InnerProduct"]),
        (layer("loss", "EuclideanLoss", ["y", "fc"], ["loss"]), ["Input", "InnerProduct"]),
        (layer("loss", "HingeLoss", ["fc", "label"], ["loss"]), ["Input", "InnerProduct"]),
        (layer("p", "Softmax", ["fc"], ["p"]) + softmax_loss("fc"), ["Input", "InnerProduct", "Softmax"]),
        (layer("p", "Softmax", ["fc"], ["p"]) + layer("loss", "MultinomialLogisticLoss", ["p", "label"], ["loss"]),
         ["Input", "InnerProduct", "Softmax"]),
        (layer("twice", "Power", ["y"], ["z"], "power_param { scale: 2 }")
         + layer("loss", "EuclideanLoss", ["fc", "z"], ["loss"]), ["Input", "InnerProduct"]),
        (layer("relu", "ReLU", ["fc"], ["fc"]) + softmax_loss("fc"), ["Input", "InnerProduct", "ReLU", "Softmax"]),
        (layer("best", "ArgMax", ["fc"], ["best"]), ["Input", "InnerProduct", "ArgMax"]),
        (softmax_loss("fc", more="softmax_param { axis: -1 }"), ["Input", "InnerProduct", "Softmax"]),
    ],
)  # fmt: skip
def test_what_becomes_of_a_loss(loss: str, expected: list[str], tmp_path: Path) -> None:
    data = layer("data", "MemoryData", top=["x", "label"],
                 more="memory_data_param { batch_size: 2 channels: 3 height: 1 width: 1 }")  # fmt: skip
    more = layer("targets", "DummyData", top=["y"],
                 more='dummy_data_param { shape { dim: 2 dim: 3 } data_filler { type: "gaussian" } }')  # fmt: skip
    param = deployed(write(tmp_path, data + more + inner_product("fc", "x", 3) + loss))
    assert types(param) == expected
    assert list(param.layer[0].top) == ["x"]
    assert list(param.layer[0].input_param.shape[0].dim) == [2, 3, 1, 1]
    if "axis" in loss:
        assert param.layer[-1].softmax_param.axis == -1


def test_a_loss_that_is_there_in_training_alone_tells_the_prediction(tmp_path: Path) -> None:
    text = inputs(x=[2, 3], label=[2]) + inner_product("fc", "x", 3)
    text += softmax_loss("fc", more="include { phase: TRAIN }")
    text += layer("accuracy", "Accuracy", ["fc", "label"], ["accuracy"], "include { phase: TEST }")
    assert types(deployed(write(tmp_path, text))) == ["Input", "InnerProduct", "Softmax"]


def test_without_any_loss_what_is_measured_stays(tmp_path: Path) -> None:
    text = inputs(x=[2, 3], label=[2]) + inner_product("fc", "x", 3)
    text += layer("accuracy", "Accuracy", ["fc", "label"], ["accuracy"])
    assert types(deployed(write(tmp_path, text))) == ["Input", "InnerProduct"]


def test_an_output_that_is_not_measured_keeps_its_label(tmp_path: Path) -> None:
    text = inputs(x=[2, 3], label=[2]) + layer("both", "Concat", ["x", "x"], ["both"])
    text += layer("filter", "Filter", ["both", "label"], ["some"])
    assert types(deployed(write(tmp_path, text))) == ["Input", "Concat", "Filter"]


def test_data_that_are_not_there_have_their_crop(tmp_path: Path) -> None:
    data = 'data_param { source: "nowhere" batch_size: 8 } transform_param { crop_size: 5 mirror: true mean_value: 3 }'
    text = layer("data", "Data", top=["data", "label"], more=data) + inner_product("fc", "data", 2) + softmax_loss("fc")
    param = deployed(write(tmp_path, text))
    assert list(param.layer[0].input_param.shape[0].dim) == [8, 3, 5, 5]
    assert "values as after transform_param { mean_value: 3 }" in deploy(str(tmp_path / "train_val.prototxt"))


def test_a_net_of_an_older_form_is_upgraded(tmp_path: Path, messages: list[str]) -> None:
    text = (
        'input: "x" input_dim: 2 input_dim: 3 input_dim: 1 input_dim: 1 input: "label" input_dim: 2 input_dim: 1 '
        'input_dim: 1 input_dim: 1 layers { name: "fc" type: INNER_PRODUCT bottom: "x" top: "fc" '
        'inner_product_param { num_output: 3 } } # gone\n layers { name: "loss" type: SOFTMAX_LOSS bottom: "fc" '
        'bottom: "label" }'
    )
    result = deploy(write(tmp_path, text))
    assert types(parse(result, NetParameter)) == ["Input", "InnerProduct", "Softmax"]
    assert "#" not in result
    assert any("is of an older form" in message for message in messages)


def test_layers_in_a_list_in_brackets(tmp_path: Path) -> None:
    text = 'layer: [ { name: "in" type: "Input" top: "x" }, { name: "r" type: "ReLU" bottom: "x" top: "y" } ]'
    assert types(deployed(write(tmp_path, text))) == ["Input", "ReLU"]


def test_a_deploy_net_stays_as_it_is() -> None:
    path = CONFIGS / "lenet" / "deploy.prototxt"
    assert deploy(str(path)) == path.read_text()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (inputs(x=[2, 3]), "expected a net with a loss or an output, got none"),
        (layer("r", "ReLU", ["x"], ["y"]), 'bottom 0, "x", is no top of a layer before it'),
        (inputs(x=[2]) + layer("r", "Relu", ["x"], ["y"]), 'unknown layer type "Relu"'),
        ("layer {", "is never closed"),
    ],
)
def test_what_cannot_be_deployed(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=sentence):
        deploy(write(tmp_path, text))


def test_the_weights_of_training_fit(tmp_path: Path) -> None:
    """By the names of layers: a snapshot of the train net is what the deploy net is given."""
    path = str(CONFIGS / "lenet" / "train_test.prototxt")
    trained = Net(path, TRAIN)
    weights = str(tmp_path / "w.caffemodel")
    trained.save(weights)
    trained.close()
    net = Net(deployed(path, batch=1), TEST, weights=weights)
    np.testing.assert_array_equal(net.params["fc2"][0].data, trained.params["fc2"][0].data)
