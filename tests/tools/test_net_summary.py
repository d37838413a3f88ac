"""The counts of a net: published totals, and what is known of small ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST, TRAIN
from pycaffe_lite.proto.read import NetText, read_net
from pycaffe_lite.tools.net_summary import at_depth, summarize
from rigs.model_zoo import ROOT, models
from rigs.net_rig import inner_product, inputs, layer, net_param, softmax_loss

LENET = str(ROOT / "configs" / "lenet" / "train_test.prototxt")


def of(text: str) -> NetText:
    return NetText(net_param(text), "", [])


def vgg16(batch: int) -> str:
    net = models.Writer("VGG-16", batch, 224, 1000)
    x = "data"
    for stage, (outputs, convolutions) in enumerate([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)], 1):
        for i in range(1, convolutions + 1):
            x = net.relu(net.conv(f"conv{stage}_{i}", x, outputs, 3, pad=1))
        x = net.pool(f"pool{stage}", x, "MAX", 2, 2)
    x = net.dropout(net.relu(net.fc("fc6", x, 4096)))
    x = net.dropout(net.relu(net.fc("fc7", x, 4096)))
    net.loss(net.scores("fc8", x))
    return net.text()


@pytest.mark.parametrize(
    ("text", "parameters", "multiply_adds"),
    [
        (models.caffenet(1), 60_965_224, 724_406_816),
        # With the two auxiliary losses, which are there in training: 6,998,552 are without.
        (models.googlenet(1), 13_378_280, 1_591_044_096),
        # 25,557,032, and the 64 biases that conv1 has in its authors' text.
        (models.resnet50(1), 25_557_032 + 64, 3_857_973_248),
        (models.mobilenet(1), 4_231_976, 568_740_352),
        (vgg16(1), 138_357_544, 15_470_264_320),
    ],
    ids=["CaffeNet", "GoogLeNet", "ResNet-50", "MobileNet", "VGG-16"],
)
def test_published_totals(text: str, parameters: int, multiply_adds: int) -> None:
    total = summarize(of(text), TRAIN).total
    assert (total.parameters, total.multiply_adds) == (parameters, multiply_adds)


def test_lenet() -> None:
    summary = summarize(read_net(LENET), TRAIN)
    assert (summary.name, summary.batch, summary.total.parameters) == ("LeNet", 64, 431_080)
    assert summary.total.multiply_adds == 64 * (288_000 + 1_600_000 + 400_000 + 5_000)
    by_name = {row.name: row for row in summary.rows}
    assert by_name["mnist"].type == "Data"
    assert by_name["conv2"].tops == ((64, 50, 8, 8),)
    assert by_name["relu1"].activations == 0  # in place


def test_memory_is_what_the_blobs_of_the_running_net_take() -> None:
    net = Net(LENET, TRAIN)
    net.forward_backward()
    blobs = {id(blob): blob for node in net.nodes for blob in node.tops}.values()
    expected = sum(4 * blob.count * (1 + blob.has_diff) for blob in blobs)
    net.close()
    total = summarize(read_net(LENET), TRAIN).total
    assert total.activations == expected
    assert total.memory == 2 * 4 * 431_080
    assert summarize(read_net(LENET), TEST).total.memory == 4 * 431_080


def test_another_batch_size_changes_what_depends_on_it() -> None:
    few, many = (summarize(read_net(LENET), TEST, batch=batch) for batch in (1, 10))
    assert (few.batch, many.batch) == (1, 10)
    assert many.total.multiply_adds == 10 * few.total.multiply_adds
    assert many.total.parameters == few.total.parameters


def test_a_batch_size_that_a_reshape_does_not_allow_is_told() -> None:
    text = read_net(str(ROOT / "configs" / "lstm" / "train_test.prototxt"))
    with pytest.raises(CaffeError, match=r'At batch size 7: .*train_test\.prototxt:\d+: layer "sequence"'):
        summarize(text, TRAIN, batch=7)


def test_shared_parameters_count_once() -> None:
    param = 'param { name: "w" } param { name: "b" }'
    net = inputs(x=[2, 5]) + inner_product("a", "x", 5, param) + inner_product("b", "a", 5, param)
    rows = summarize(of(net), TEST).rows
    assert [row.parameters for row in rows] == [0, 30, 0]
    assert [row.multiply_adds for row in rows] == [0, 50, 50]


def test_what_is_kept_but_not_learned_counts_apart() -> None:
    net = inputs(x=[2, 3, 4, 4]) + layer("bn", "BatchNorm", ["x"], ["y"]) + layer("scale", "Scale", ["y"], ["y"])
    total = summarize(of(net), TEST).total
    assert (total.parameters, total.statistics) == (3, 7)


@pytest.mark.parametrize(("static", "expected"), [("", 0), ("s", 6 * 4 * 3 * 2)])
def test_a_recurrent_layer(static: str, expected: int) -> None:
    """T 5, N 2 (of which the static input has 6 numbers), 7 inputs, 3 units."""
    shapes = {"x": [5, 2, 7], "cont": [5, 2], "s": [2, 6]}
    net = inputs(**shapes) + layer("lstm", "LSTM", ["x", "cont", *static], ["y"], "recurrent_param { num_output: 3 }")
    assert summarize(of(net), TEST).total.multiply_adds == 5 * 2 * (7 * 12 + 3 * 12) + expected


def test_a_deconvolution_uses_its_weights_at_each_pixel_below() -> None:
    param = "convolution_param { num_output: 4 kernel_size: 2 stride: 2 }"
    net = inputs(x=[1, 3, 5, 5]) + layer("up", "Deconvolution", ["x"], ["y"], param)
    assert summarize(of(net), TEST).total.multiply_adds == 25 * 3 * 4 * 4


def test_layers_go_together_by_the_parts_of_their_names() -> None:
    names = ["data", "a/1", "a/2/x", "a/2/y", "b", "a/3"]
    net = inputs(data=[1, 4]) + "".join(inner_product(name, "data", 4) for name in names[1:])
    rows = summarize(of(net), TEST).rows
    assert [row.name for row in at_depth(rows, 1)] == ["in", "a", "b", "a/3"]
    assert [(row.name, row.type) for row in at_depth(rows, 2)][2] == ("a/2", "2 layers")
    assert at_depth(rows, 1)[1].parameters == 60
    assert [row.name for row in at_depth(rows, 3)] == ["in", *names[1:]]


@pytest.mark.parametrize(
    ("transform", "image"),
    [("crop_size: 9", (3, 9, 9)), ("crop_size: 9 force_gray: true", (1, 9, 9)), ("", None)],
)
def test_data_that_are_not_there(transform: str, image: tuple[int, ...] | None, messages: list[str]) -> None:
    data = f'data_param {{ source: "nowhere" batch_size: 8 }} transform_param {{ {transform} }}'
    net = of(
        layer("data", "Data", top=["data", "label"], more=data) + inner_product("fc", "data", 2) + softmax_loss("fc")
    )
    if image is None:
        with pytest.raises(CaffeError, match='There is no data source "nowhere"'):
            summarize(net, TRAIN)
    else:
        assert summarize(net, TRAIN).rows[0].tops == ((8, *image), (8,))
        assert [text for text in messages if text.startswith("W")] == [
            f'Wlayer "data" (Data): its source cannot be read; the shape 8 x {image[0]} x 9 x 9 follows from its text.'
        ]


def test_an_error_names_the_line_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(inputs(x=[2, 5]) + '\nlayer { name: "a" type: "Relu" bottom: "x" top: "y" }\n')
    with pytest.raises(CaffeError, match=r'net\.prototxt:3: layer "a": unknown layer type "Relu"'):
        summarize(read_net(str(path)), TEST)
