"""caffe.coord_map: maps through layers, crops, and the offsets of the published FCN-8s."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST
from pycaffe_lite.pycaffe import coord_map as module
from pycaffe_lite.pycaffe.coord_map import (
    AxisMismatchException,
    UndefinedMapException,
    compose,
    coord_map,
    coord_map_from_to,
    crop,
    inverse,
)
from pycaffe_lite.pycaffe.net_spec import NetSpec
from pycaffe_lite.pycaffe.net_spec import layers as L
from pycaffe_lite.pycaffe.net_spec import params as P

NAMES = (
    "AxisMismatchException L PASS_THROUGH_LAYERS UndefinedMapException compose conv_params coord_map "
    "coord_map_from_to crop crop_params division inverse"
)


def test_every_name_of_pycaffes_module_is_there() -> None:
    assert [name for name in NAMES.split() if not hasattr(module, name)] == []


def net(ks: Any = 3, stride: Any = 1, pad: Any = 0, pool: int = 2, up: int = 2, up_pad: int = 0) -> NetSpec:
    """A convolution, a pooling, and a deconvolution that brings the size back."""
    n = NetSpec()
    n.data = L.Input(shape={"dim": [2, 1, 100, 100]})
    n.conv = L.Convolution(n.data, num_output=10, kernel_size=ks, stride=stride, pad=pad)
    n.pool = L.Pooling(n.conv, pool=P.Pooling.MAX, kernel_size=pool, stride=pool)
    n.up = L.Deconvolution(
        n.pool, convolution_param={"num_output": 10, "kernel_size": 2 * up, "stride": up, "pad": up_pad}
    )
    return n


@pytest.mark.parametrize(("scale", "shift"), [(2, 0), (4, -1)])
def test_down_and_up_is_the_same_scale(scale: int, shift: int) -> None:
    n = net(pool=scale, up=scale)
    assert coord_map_from_to(n.up, n.data) == (1, 1, shift)


def test_padding_before_and_after_shifts_both_ways() -> None:
    n = net()
    _, _, plain = coord_map_from_to(n.up, n.data)
    for pads, change in (({"pad": 7}, -7), ({"up_pad": 7}, 7), ({"pad": 7, "up_pad": 7}, 0)):
        n = net(**pads)
        assert coord_map_from_to(n.up, n.data) == (1, 1, plain + change)


def test_layers_that_keep_their_pixels() -> None:
    n = net()
    n.relu = L.ReLU(n.up)
    n.one = L.Convolution(n.relu, num_output=3, kernel_size=1)
    for top in (n.relu, n.one):
        assert coord_map_from_to(top, n.data) == coord_map_from_to(n.up, n.data)


def test_each_axis_has_a_map_of_its_own() -> None:
    n = net(ks=[3, 5], stride=[1, 2], pad=[0, 10])
    axis, scale, shift = coord_map_from_to(n.up, n.data)
    parts = [net(ks=3), net(ks=5, stride=2, pad=10)]
    maps = [coord_map_from_to(part.up, part.data) for part in parts]
    assert axis == maps[0][0] == 1
    np.testing.assert_array_equal(scale, [float(of[1][0]) for of in maps])
    np.testing.assert_array_equal(shift, [float(of[2][0]) for of in maps])


def test_dilation_widens_a_kernel() -> None:
    n = NetSpec()
    n.data = L.Input(shape={"dim": [1, 1, 30, 30]})
    n.conv = L.Convolution(n.data, num_output=1, kernel_size=3, dilation=4)
    np.testing.assert_array_equal(coord_map(n.conv.fn)[2], [-4])


def test_a_crop_of_a_crop() -> None:
    n = net()
    axis, scale, shift = coord_map_from_to(n.up, n.data)
    n.crop = L.Crop(n.up, n.data, axis=2, offset=6)
    assert coord_map_from_to(n.crop, n.data) == (axis, scale, shift + 6)


def test_maps_compose_and_invert() -> None:
    down, up = (1, 0.5, 3.0), (1, 4.0, -2.0)
    assert compose(down, up) == (1, 2.0, 2.0)
    assert compose(down, inverse(down)) == (1, 1.0, 0.0)
    assert compose((None, 1, 0), down) == compose(down, (None, 1, 0)) == down
    with pytest.raises(AxisMismatchException, match="axis 2 does not go on one at axis 1"):
        compose((2, 1, 0), down)


@pytest.mark.parametrize("second", [20, 31])
def test_a_crop_lies_over_its_reference_in_two_dimensions(second: int) -> None:
    """The crop of an image that went up and down is the image: a peak comes out where it went in."""
    n = NetSpec()
    n.data = L.Input(shape={"dim": [1, 1, 20, second]})
    filler = {"type": "constant", "value": 1}
    n.conv = L.Convolution(n.data, num_output=1, kernel_size=3, pad=[9, 5], weight_filler=filler)
    n.crop = crop(n.conv, n.data)
    text = n.to_proto()
    assert list(text.layer[2].crop_param.offset) == [8, 4]
    assert text.layer[2].crop_param.axis == 2
    built = Net(text, TEST)
    image = np.zeros((1, 1, 20, second))
    image[0, 0, 7, 11] = 1
    out = built.forward(data=image)["crop"]
    assert out.shape == image.shape
    rows, columns = np.nonzero(out[0, 0])
    assert (rows.mean(), columns.mean()) == (7, 11)


def test_a_crop_over_itself_cuts_nothing() -> None:
    n = net()
    n.relu = L.ReLU(n.data)
    n.crop = crop(n.relu, n.data)
    made = n.to_proto().layer[-1]
    assert (made.type, made.crop_param.axis, list(made.crop_param.offset)) == ("Crop", 2, [0])


def test_crop_says_why_there_is_none() -> None:
    n = net(pool=3)
    with pytest.raises(AssertionError, match="of the same scale") as problem:
        crop(n.up, n.data)
    assert isinstance(problem.value, CaffeError)
    n = net(up_pad=10)
    with pytest.raises(AssertionError, match="offsets of 0 or more, got -10"):
        crop(n.up, n.data)
    n = net(ks=4, pad=10)
    with pytest.raises(AssertionError, match=r"whole numbers, got [0-9]+\.5"):
        crop(n.conv, n.data)
    n.ip = L.InnerProduct(n.up, num_output=10)
    with pytest.raises(CaffeError, match="from the top of InnerProduct to that of Input: they come from no common"):
        crop(n.ip, n.data)
    with pytest.raises(UndefinedMapException, match="type InnerProduct"):
        coord_map(n.ip.fn)
    n.rect = L.Pooling(n.data, kernel_h=2, kernel_w=3, stride=1)
    with pytest.raises(AssertionError, match="Pooling has kernel_h"):
        crop(n.rect, n.data)
    n.whole = L.Pooling(n.data, pooling_param={"global_pooling": True})
    with pytest.raises(KeyError, match="kernel_size, which Pooling has not"):
        crop(n.whole, n.data)


def fcn8s() -> NetSpec:
    """The net of "Fully Convolutional Networks for Semantic Segmentation" with VGG's layers, thin ones."""
    n = NetSpec()
    n.data = L.Input(shape={"dim": [1, 3, 90, 70]})
    top, pad = n.data, 100
    for stage, convolutions in enumerate((2, 2, 3, 3, 3), 1):
        for number in range(1, convolutions + 1):
            name = f"conv{stage}_{number}"
            n[name] = L.Convolution(top, num_output=4, kernel_size=3, pad=pad)
            n[f"relu{stage}_{number}"] = L.ReLU(n[name], in_place=True)
            top, pad = n[f"relu{stage}_{number}"], 1
        n[f"pool{stage}"] = top = L.Pooling(top, pool=P.Pooling.MAX, kernel_size=2, stride=2)
    n.fc6 = L.Convolution(n.pool5, num_output=8, kernel_size=7, pad=0)
    n.drop6 = L.Dropout(L.ReLU(n.fc6, in_place=True), dropout_ratio=0.5, in_place=True)
    n.score_fr = L.Convolution(n.drop6, num_output=5, kernel_size=1, pad=0)

    def up(bottom: Any, size: int, stride: int) -> Any:
        param = {"num_output": 5, "kernel_size": size, "stride": stride, "bias_term": False}
        return L.Deconvolution(bottom, convolution_param=param, param=[{"lr_mult": 0}])

    n.upscore2 = up(n.score_fr, 4, 2)
    n.score_pool4 = L.Convolution(n.pool4, num_output=5, kernel_size=1, pad=0)
    n.score_pool4c = crop(n.score_pool4, n.upscore2)
    n.fuse_pool4 = L.Eltwise(n.upscore2, n.score_pool4c, operation=P.Eltwise.SUM)
    n.upscore_pool4 = up(n.fuse_pool4, 4, 2)
    n.score_pool3 = L.Convolution(n.pool3, num_output=5, kernel_size=1, pad=0)
    n.score_pool3c = crop(n.score_pool3, n.upscore_pool4)
    n.fuse_pool3 = L.Eltwise(n.upscore_pool4, n.score_pool3c, operation=P.Eltwise.SUM)
    n.upscore8 = up(n.fuse_pool3, 16, 8)
    n.score = crop(n.upscore8, n.data)
    return n


def test_fcn_8s_has_its_published_offsets() -> None:
    text = fcn8s().to_proto()
    offsets = {layer.name: list(layer.crop_param.offset) for layer in text.layer if layer.type == "Crop"}
    assert offsets == {"score_pool4c": [5], "score_pool3c": [9], "score": [31]}


def test_fcn_8s_scores_every_pixel() -> None:
    assert Net(fcn8s().to_proto(), TEST).blobs["score"].shape == (1, 5, 90, 70)


def test_a_deep_net_with_many_branches_is_mapped_at_once() -> None:
    n = NetSpec()
    n.data = top = L.Input(shape={"dim": [1, 1, 8, 8]})
    for _ in range(2000):
        top = L.Eltwise(L.ReLU(top), top)
    assert coord_map_from_to(top, n.data) == (None, 1, 0)
