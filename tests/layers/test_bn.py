"""BN: which of two layers a text or a file of weights means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.layers.bn_pspnet import PSPNetBN
from pycaffe_lite.layers.bn_segnet import SegNetBN
from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.layers.registry import create
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST, TRAIN
from rigs.layer_rig import Rig, layer_param
from rigs.net_rig import inner_product, inputs, layer, make_net, net_param

SEGNET, PSPNET = "bn_param { bn_mode: LEARN }", "bn_param { momentum: 0.9 }"
INPUT = inputs(x=(3, 4, 2, 5))


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ("bn_param { bn_mode: INFERENCE }", SegNetBN),
        ("bn_param { scale_filler { } }", SegNetBN),
        ("bn_param { shift_filler { } } param { } param { }", SegNetBN),
        ("bn_param { frozen: true }", PSPNetBN),
        ("bn_param { eps: 1e-5 engine: CUDNN }", PSPNetBN),
        ("bn_param { bias_filler { } }", PSPNetBN),
        ("param { lr_mult: 1 } param { lr_mult: 1 } param { lr_mult: 0 } param { lr_mult: 0 }", PSPNetBN),
    ],
)
def test_the_text_says_which_it_is(fields: str, kind: type[Layer]) -> None:
    assert type(create(layer_param(f'type: "BN" bottom: "x" top: "y" {fields}'))) is kind


def weights(path: Path, fields: str, phase: int) -> Net:
    """Writes the weights of a net whose BN is known."""
    net = make_net(INPUT + layer("bn", "BN", ["x"], ["y"], fields), phase)
    generator = np.random.default_rng(1)
    for blob in net.params["bn"]:
        blob.data[...] = generator.uniform(0.5, 2, blob.shape)
    net.blobs["x"].data[...] = generator.normal(size=(3, 4, 2, 5))
    net.forward()
    net.save(str(path))
    return net


@pytest.mark.parametrize("ending", ["caffemodel", "caffemodel.h5"])
@pytest.mark.parametrize(("fields", "count"), [(SEGNET, 2), (PSPNET, 4)])
def test_a_file_of_weights_says_which_it_is(fields: str, count: int, ending: str, tmp_path: Path) -> None:
    if ending.endswith("h5"):
        pytest.importorskip("h5py")
    known = weights(tmp_path / f"w.{ending}", fields, TEST)
    net = make_net(INPUT + layer("bn", "BN", ["x"], ["y"]), TEST, weights=str(tmp_path / f"w.{ending}"))
    assert len(net.params["bn"]) == count == len(net.parameters.blobs)
    net.blobs["x"].data[...] = known.blobs["x"].data
    net.forward()
    np.testing.assert_array_equal(net.blobs["y"].data, known.blobs["y"].data)
    other = make_net(INPUT + layer("bn", "BN", ["x"], ["y"]), TEST)
    other.share_with(net)
    other.forward(x=known.blobs["x"].data)
    np.testing.assert_array_equal(other.blobs["y"].data, known.blobs["y"].data)


def test_a_net_that_is_trained_must_say_which_it_is(tmp_path: Path) -> None:
    weights(tmp_path / "w.caffemodel", PSPNET, TEST)
    net = make_net(INPUT + layer("bn", "BN", ["x"], ["y"]), TRAIN)
    net.flatten()
    with pytest.raises(CaffeError, match=r"expected 2 parameters .* got 4, which are PSPNet's; name one"):
        net.copy_from(str(tmp_path / "w.caffemodel"))


def test_statistics_do_not_learn() -> None:
    text = (
        INPUT + layer("bn", "BN", ["x"], ["y"], "bn_param { slope_filler { value: 1 } }") + inner_product("fc", "y", 2)
    )
    net = make_net(text, TRAIN)
    rates = dict(zip(net.parameters.names, net.parameters.lr_mult, strict=True))
    assert [rates[f"bn/{i}"] for i in range(4)] == [1, 1, 0, 0]
    frozen = make_net(text.replace("slope_filler", "frozen: true slope_filler"), TRAIN)
    assert frozen.parameters.lr_mult[:4] == [0, 0, 0, 0]
    assert [blob.data.max() for blob in frozen.params["bn"]] == [1, 0, 0, 1]


def test_the_text_of_both_forks_is_read_back(tmp_path: Path) -> None:
    for fields in (SEGNET, PSPNET):
        net = weights(tmp_path / "w.caffemodel", fields, TRAIN)
        again = make_net(INPUT + layer("bn", "BN", ["x"], ["y"], fields), TRAIN, weights=str(tmp_path / "w.caffemodel"))
        for ours, theirs in zip(again.params["bn"], net.params["bn"], strict=True):
            np.testing.assert_array_equal(ours.data, theirs.data)


def test_inference_makes_no_statistics() -> None:
    text = 'type: "BN" bottom: "x" top: "y" top: "mean" bn_param { bn_mode: INFERENCE }'
    with pytest.raises(CaffeError, match="one top with bn_mode: INFERENCE, which computes no statistics, got 2"):
        Rig(text, [np.zeros((2, 3, 4, 4))])


def test_unknown_messages_are_not_mixed_up() -> None:
    assert net_param("layer { bn_param { scale_filler { } } }").layer[0].bn_param.HasField("scale_filler")
