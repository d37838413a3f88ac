"""caffe.draw, with pydot and without it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.phase import TEST, TRAIN
from pycaffe_lite.proto import caffe_pb2
from pycaffe_lite.proto.text import parse
from pycaffe_lite.pycaffe import draw
from rigs.pycaffe_images import without

NAMES = (
    "BLOB_STYLE LAYER_STYLE_DEFAULT NEURON_LAYER_STYLE choose_color_by_layertype draw_net draw_net_to_file "
    "get_edge_label get_layer_label get_layer_lr_mult get_pooling_types_dict get_pydot_graph"
)
TEXT = """name: "a net"
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN } data_param { batch_size: 64 } }
layer { name: "input" type: "Input" top: "data" include { phase: TEST } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" param { lr_mult: 1 } param { lr_mult: 2 }
        convolution_param { num_output: 20 kernel_size: 5 stride: 2 } }
layer { name: "relu/1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1" pooling_param { pool: AVE kernel_size: 2 pad: 1 } }
layer { name: "ip" type: "InnerProduct" bottom: "pool1" top: "res/out:0" inner_product_param { num_output: 10 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "res/out:0" bottom: "label" exclude { phase: TEST } }
"""
MAKERS = [("pydot",), ()]
"""Without pydot, and with what is installed."""


@pytest.fixture
def net() -> caffe_pb2.NetParameter:
    return parse(TEXT, caffe_pb2.NetParameter)


def test_every_name_of_pycaffes_module_is_there() -> None:
    assert [name for name in NAMES.split() if not hasattr(draw, name)] == []


def edges(text: str) -> set[tuple[str, str, str]]:
    """What goes to what, and what stands there, in Graphviz's text."""
    name = r'("[^"]*"|\w+)'
    found = re.findall(rf'{name} -> {name}\s*\[label="?([^"\]]*)"?\]', text)
    return {(source.strip('"'), target.strip('"'), label) for source, target, label in found}


@pytest.mark.parametrize("missing", MAKERS)
def test_a_net_is_a_graph_of_layers_and_blobs(
    missing: tuple[str, ...], net: caffe_pb2.NetParameter, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, *missing)
    text = draw.get_pydot_graph(net, "TB").to_string()
    conv, pool = (
        "conv1 (Convolution) kernel size: 5 stride: 2 pad: 0",
        "pool1 (Pooling AVE) kernel size: 2 stride: 1 pad: 1",
    )
    assert edges(text) == {
        ("data (Data)", "data", "Batch 64"),
        ("data (Data)", "label", "Batch 64"),
        ("input (Input)", "data", ""),
        ("data", conv, ""),
        (conv, "conv1", "20"),
        ("conv1", "relu/1 (ReLU)", ""),
        ("relu/1 (ReLU)", "conv1", ""),
        ("conv1", pool, ""),
        (pool, "pool1", ""),
        ("pool1", "ip (InnerProduct)", ""),
        ("ip (InnerProduct)", "res/out:0", "10"),
        ("res/out:0", "loss (SoftmaxWithLoss)", ""),
        ("label", "loss (SoftmaxWithLoss)", ""),
    }
    assert '"a net"' in text
    assert re.search(r"rankdir\s*=\s*\"?TB", text)


@pytest.mark.parametrize("missing", MAKERS)
def test_a_phase_has_its_own_layers(
    missing: tuple[str, ...], net: caffe_pb2.NetParameter, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, *missing)
    train, test = (draw.draw_net(net, "TB", "raw", phase).decode() for phase in (TRAIN, TEST))
    assert "data (Data)" in train and "loss" in train and "input" not in train
    assert "data (Data)" not in test and "loss" not in test and "input" in test


def test_labels_and_colours(net: caffe_pb2.NetParameter) -> None:
    conv, relu = net.layer[2], net.layer[3]
    assert draw.get_layer_label(conv, "LR") == r'"conv1\n(Convolution)\nkernel size: 5\nstride: 2\npad: 0"'
    assert draw.get_layer_label(conv, "LR", display_lrm=True).endswith(r'\nlr mult: 1.0, 2.0"')
    assert draw.get_layer_label(relu, "BT", display_lrm=True) == '"relu/1 (ReLU)"'
    assert draw.get_layer_lr_mult(conv) == (1.0, 2.0)
    assert draw.get_layer_lr_mult(net.layer[5]) == (1.0, 1.0)
    assert [draw.get_edge_label(layer) for layer in net.layer][:4] == ["Batch 64", '""', "20", '""']
    assert draw.choose_color_by_layertype("Pooling") == "#FF9900"
    assert draw.get_pooling_types_dict() == {0: "MAX", 1: "AVE", 2: "STOCHASTIC"}
    assert draw.LAYER_STYLE_DEFAULT["fillcolor"] == "#6495ED"


def test_layers_without_factors_say_so(net: caffe_pb2.NetParameter) -> None:
    with pytest.raises(ValueError, match=r'layer "relu/1" \(ReLU\): only Convolution'):
        draw.get_layer_lr_mult(net.layer[3])
    net.layer[2].param.add()
    with pytest.raises(ValueError, match="at most 2"):
        draw.get_layer_lr_mult(net.layer[2])
    net.layer[6].include.add(phase=TRAIN)
    with pytest.raises(ValueError, match="got both"):
        draw.draw_net(net, "LR", "dot", TRAIN)


@pytest.mark.parametrize("missing", MAKERS)
def test_names_with_quotes_and_words_of_graphvizs_are_quoted(
    missing: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, *missing)
    layer = caffe_pb2.LayerParameter(name='a "b"', type="ReLU", bottom=["node"], top=["1x"])
    text = draw.draw_net(caffe_pb2.NetParameter(layer=[layer]), "LR", "dot").decode()
    assert r'"a \"b\"\n(ReLU)"' in text
    assert '"node"' in text and '"1x"' in text


@pytest.mark.parametrize("missing", MAKERS)
def test_files(
    missing: tuple[str, ...], net: caffe_pb2.NetParameter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, *missing)
    draw.draw_net_to_file(net, tmp_path / "net.dot")
    assert (tmp_path / "net.dot").read_text().startswith("digraph")
    with pytest.raises(CaffeError, match="extension such as"):
        draw.draw_net_to_file(net, tmp_path / "net")
    with pytest.raises(CaffeError, match="Cannot write"):
        draw.draw_net_to_file(net, tmp_path / "none" / "net.dot")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CaffeError, match="needs Graphviz, whose program dot is not found"):
        draw.draw_net_to_file(net, tmp_path / "net.png")
    assert not (tmp_path / "net.png").exists()


@pytest.mark.parametrize("missing", MAKERS)
def test_graphviz_is_called(
    missing: tuple[str, ...], net: caffe_pb2.NetParameter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that says what it was given stands for Graphviz, which may not be installed."""
    without(monkeypatch, *missing)
    program = tmp_path / "dot"
    script = 'case "$*" in *-Tsvg*) echo drawn;; *) echo "no such format" >&2; exit 1;; esac'
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert draw.draw_net(net, "LR", "svg") == b"drawn\n"
    with pytest.raises(CaffeError, match="Graphviz cannot draw a graph as xyz"):
        draw.draw_net(net, "LR", "xyz")


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
@pytest.mark.parametrize("missing", MAKERS)
def test_graphviz_draws(missing: tuple[str, ...], net: caffe_pb2.NetParameter, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, *missing)
    assert draw.draw_net(net, "LR", "png").startswith(b"\x89PNG")
