"""Convolution and Deconvolution: against plain loops, as each other's adjoint, and what they refuse."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.kernels import convolution
from pycaffe_lite.kernels.convolution import WindowProduct
from pycaffe_lite.kernels.depthwise import DepthwiseProduct
from pycaffe_lite.kernels.direct import DirectProduct
from pycaffe_lite.layers.convolution_base import ConvolutionBase
from rigs.layer_rig import CHANNELS_LAST, Rig
from rigs.net_rig import make_net

Lengths = tuple[int, int]


def text(type_: str, outputs: int, fields: str) -> str:
    return f'type: "{type_}" bottom: "x" top: "y" convolution_param {{ num_output: {outputs} {fields} }}'


def naive_convolution(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: Lengths, pad: Lengths, dilation: Lengths, group: int
) -> np.ndarray:
    """The sum for each output, tap by tap."""
    n, channels, *sizes = x.shape
    outputs, _, *kernel = weight.shape
    count = [
        (size + 2 * p - (d * (k - 1) + 1)) // s + 1
        for size, k, s, p, d in zip(sizes, kernel, stride, pad, dilation, strict=True)
    ]
    padded = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in pad)))
    y = np.zeros((n, outputs, *count))
    for o, c, i, j in product(range(outputs), range(channels // group), range(kernel[0]), range(kernel[1])):
        channel = o // (outputs // group) * (channels // group) + c
        rows = slice(i * dilation[0], i * dilation[0] + stride[0] * (count[0] - 1) + 1, stride[0])
        columns = slice(j * dilation[1], j * dilation[1] + stride[1] * (count[1] - 1) + 1, stride[1])
        y[:, o] += weight[o, c, i, j] * padded[:, channel, rows, columns]
    return y + bias[:, None, None]


@st.composite
def geometry(draw: st.DrawFn) -> dict[str, Lengths]:
    """kernel, stride, pad, dilation and the image's size, into which at least one window fits."""
    sides = {
        name: draw(st.tuples(st.integers(low, high), st.integers(low, high)))
        for name, low, high in (("kernel", 1, 4), ("stride", 1, 3), ("pad", 0, 3), ("dilation", 1, 2))
    }
    least = [
        max(1, d * (k - 1) + 1 - 2 * p)
        for d, k, p in zip(sides["dilation"], sides["kernel"], sides["pad"], strict=True)
    ]
    sides["size"] = draw(st.tuples(*(st.integers(low, low + 7) for low in least)))
    return sides


def fields(sides: dict[str, Lengths], group: int) -> str:
    names = {"kernel": "kernel_size", "stride": "stride", "pad": "pad", "dilation": "dilation"}
    listed = [f"{field}: {length}" for name, field in names.items() for length in sides[name]]
    return f"group: {group} " + " ".join(listed)


def filled(rig: Rig, seed: int) -> Sequence[np.ndarray]:
    generator = np.random.default_rng(seed)
    rig.set_params([generator.normal(size=blob.shape) for blob in rig.layer.blobs])
    return rig.params()


@settings(max_examples=60, deadline=None)
@given(geometry(), st.sampled_from([(1, 3, 1), (2, 2, 2), (4, 1, 1), (4, 1, 3), (2, 3, 4)]), st.integers(1, 5))
def test_forward_is_that_of_plain_loops(sides: dict[str, Lengths], groups: tuple[int, int, int], batch: int) -> None:
    group, channels, outputs = groups[0], groups[0] * groups[1], groups[0] * groups[2]
    x = np.random.default_rng(1).normal(size=(batch, channels, *sides["size"]))
    rig = Rig(text("Convolution", outputs, fields(sides, group)), [x], dtype=np.float64)
    weight, bias = filled(rig, 2)
    expected = naive_convolution(x, weight, bias, sides["stride"], sides["pad"], sides["dilation"], group)
    np.testing.assert_allclose(rig.forward()[0], expected, rtol=1e-10, atol=1e-10)


@settings(max_examples=60, deadline=None)
@given(geometry(), st.sampled_from([(1, 3, 2), (2, 2, 3), (4, 1, 1), (4, 1, 2), (4, 2, 1)]), st.integers(1, 3))
def test_deconvolution_is_the_adjoint(sides: dict[str, Lengths], groups: tuple[int, int, int], batch: int) -> None:
    """<conv(x), y> = <x, deconv(y)> with the same weights, and the weights' gradients agree."""
    group, channels, outputs = groups[0], groups[0] * groups[1], groups[0] * groups[2]
    generator = np.random.default_rng(3)
    no_bias = fields(sides, group) + " bias_term: false"
    probe = Rig(text("Convolution", outputs, no_bias), [np.zeros((batch, channels, *sides["size"]))])
    y = generator.normal(size=probe.top[0].shape)
    up = Rig(text("Deconvolution", channels, no_bias), [y], dtype=np.float64) if _fits(sides, y.shape) else None
    if up is None:
        return
    x = generator.normal(size=up.top[0].shape)
    down = Rig(text("Convolution", outputs, no_bias), [x], dtype=np.float64, order=CHANNELS_LAST)
    up.set_params(filled(down, 4))
    forward, adjoint = down.forward()[0], up.forward()[0]
    assert np.vdot(forward, y) == pytest.approx(np.vdot(x, adjoint), rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(down.backward([y])[0], adjoint, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(up.backward([x])[0], forward, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(down.param_diffs()[0], up.param_diffs()[0], rtol=1e-9, atol=1e-10)


def _fits(sides: dict[str, Lengths], shape: tuple[int, ...]) -> bool:
    """Whether the padding leaves something of the Deconvolution's image."""
    return all(
        s * (n - 1) + d * (k - 1) + 1 > 2 * p
        for n, k, s, p, d in zip(
            shape[2:], sides["kernel"], sides["stride"], sides["pad"], sides["dilation"], strict=True
        )
    )


@pytest.mark.parametrize("batch", [1, 7])
def test_a_long_row_of_one_axis(batch: int) -> None:
    """It is cut into parts, and each gets its share of the bias."""
    x = np.random.default_rng(8).normal(size=(batch, 2, 70_000 // batch))
    rig = Rig(text("Convolution", 3, "kernel_size: 3 pad: 1"), [x], dtype=np.float64)
    weight, bias = filled(rig, 9)
    expected = naive_convolution(
        x[:, :, None], weight[:, :, None], bias, stride=(1, 1), pad=(0, 1), dilation=(1, 1), group=1
    )
    np.testing.assert_allclose(rig.forward()[0], expected[:, :, 0], rtol=1e-10)


@pytest.mark.parametrize("group", [1, 2, 6], ids=["one", "groups", "depthwise"])
@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("type_", ["Convolution", "Deconvolution"])
def test_results_do_not_depend_on_how_the_work_is_cut(
    type_: str, batch: int, group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(5).normal(size=(batch, 6, 17, 6))
    where = text(type_, 6, f"kernel_size: 3 stride: 2 pad: 1 group: {group}")

    def run() -> list[np.ndarray]:
        rig = Rig(where, [x], dtype=np.float64)
        filled(rig, 6)
        results = rig.forward()
        top_diff = np.random.default_rng(7).normal(size=rig.top[0].shape)
        return results + rig.backward([top_diff]) + rig.param_diffs()

    whole = run()
    for product_class in (WindowProduct, DepthwiseProduct):
        monkeypatch.setattr(product_class, "block_bytes", 2000)
    monkeypatch.setattr(DepthwiseProduct, "gradient_bytes", 2000)
    monkeypatch.setattr(convolution, "GRADIENT_WINDOWS", 1)
    assert all(np.allclose(a, b, rtol=1e-10, atol=1e-11) for a, b in zip(run(), whole, strict=True))


@pytest.mark.parametrize("group", [1, 2])
def test_threads_share_the_weight_gradient_of_a_small_batch(group: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(10)
    x, top_diff = generator.normal(size=(2, 6, 7, 7)), generator.normal(size=(2, 4, 5, 5))

    def gradients() -> list[np.ndarray]:
        rig = Rig(text("Convolution", 4, f"kernel_size: 3 group: {group}"), [x], dtype=np.float64)
        rig.forward()
        rig.backward([top_diff])
        return rig.param_diffs()

    whole = gradients()
    monkeypatch.setattr(convolution, "PART_PRODUCTS", 100)
    monkeypatch.setattr(convolution, "LEAST_PART", 5)
    assert all(np.allclose(a, b, rtol=1e-10, atol=1e-11) for a, b in zip(gradients(), whole, strict=True))


def test_a_small_batch_of_much_work_is_shared() -> None:
    """The windows of all four images would fit a block, but another thread would have nothing to do."""
    rig = Rig(text("Convolution", 512, "kernel_size: 1 bias_term: false"), [np.zeros((4, 64, 20, 20))])
    layer = rig.layer
    assert isinstance(layer, ConvolutionBase)
    assert len(layer.product.blocks) == len(layer.product.chunks) == 4


def test_a_depthwise_convolution_has_its_own_product() -> None:
    x = np.zeros((1, 4, 5, 5))
    kinds = {
        "kernel_size: 3 group: 4": DepthwiseProduct,
        "kernel_size: 3 group: 2": DirectProduct,
        "kernel_size: 3 group: 4 stride: 2 dilation: 2": DirectProduct,
    }
    for param, kind in kinds.items():
        layer = Rig(text("Convolution", 4, param), [x]).layer
        assert isinstance(layer, ConvolutionBase)
        assert type(layer.product) is kind


@pytest.mark.parametrize("order", [None, CHANNELS_LAST])
def test_tops_are_channels_last(order: tuple[int, ...] | None) -> None:
    rig = Rig(text("Convolution", 3, "kernel_size: 2"), [np.zeros((2, 3, 4, 5))], order=order)
    assert rig.top[0].order == CHANNELS_LAST


@pytest.mark.parametrize("axis", [1, 2])
def test_any_memory_order_of_the_bottom_will_do(axis: int) -> None:
    """Also one whose batch axes cannot be joined without a copy."""
    x = np.random.default_rng(8).normal(size=(2, 3, 4, 5))
    results = []
    for order in (None, (3, 1, 0, 2)):
        rig = Rig(text("Convolution", 2, f"kernel_size: 2 axis: {axis}"), [x], dtype=np.float64, order=order)
        filled(rig, 9)
        forward = rig.forward()
        results.append(forward + rig.backward([np.ones(rig.top[0].shape)]) + rig.param_diffs())
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_weights_shared_with_a_plain_blob_are_read_in_its_order() -> None:
    """share_mode PERMISSIVE gives the weights the memory of an InnerProduct's, which is not theirs."""
    net_text = """
        layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 dim: 2 dim: 2 } } }
        layer { name: "a" type: "InnerProduct" bottom: "x" top: "a" param { name: "w" }
            inner_product_param { num_output: 2 bias_term: false } }
        layer { name: "b" type: "Convolution" bottom: "x" top: "b" param { name: "w" share_mode: PERMISSIVE }
            convolution_param { num_output: 2 kernel_size: 2 bias_term: false } }
    """
    net = make_net(net_text)
    net.params["a"][0].data[...] = np.arange(16).reshape(2, 8)
    outputs = net.forward(x=np.random.default_rng(0).normal(size=(1, 2, 2, 2)))
    np.testing.assert_allclose(outputs["b"].reshape(1, 2), outputs["a"], rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "param", "message"),
    [
        ((2, 3, 4, 4), "kernel_size: 5", r"kernel \[5, 5\] is larger"),
        ((2, 3, 4, 4), "kernel_size: 2 dilation: 4", "larger than the padded image"),
        ((2, 3, 4, 4), "", "expected kernel_size once"),
        ((2, 3, 4, 4), "kernel_size: 1 kernel_size: 2 kernel_size: 3", "got 3 values"),
        ((2, 3, 4, 4), "kernel_size: 2 kernel_h: 2 kernel_w: 2", "got both"),
        ((2, 3, 4), "kernel_h: 2 kernel_w: 2", "need 2 spatial axes"),
        ((2, 3, 4, 4), "kernel_size: 0", "kernel_size of 1 or more"),
        ((2, 3, 4, 4), "kernel_size: 2 stride: 0", "stride of 1 or more"),
        ((2, 3, 4, 4), "kernel_size: 2 group: 2", "group that divides its 3 channels and 4 outputs, got 2"),
        ((2, 3, 4, 4), "kernel_size: 2 group: 0", "group that divides"),
        ((2, 3, 4, 4), "kernel_size: 2 axis: 4", "expected an axis"),
        ((2, 3, 4, 4), "kernel_size: 4000000000", "larger than the padded image"),
        ((2, 3, 4, 4), "kernel_size: 1 pad: 4000000000", "2\\*\\*31"),
        ((2, 3, 0, 4), "kernel_size: 1", "larger than the padded image"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(shape: tuple[int, ...], param: str, message: str) -> None:
    with pytest.raises(CaffeError, match=message):
        Rig(text("Convolution", 4, param), [np.zeros(shape)])


@pytest.mark.parametrize(
    ("outputs", "param", "message"),
    [
        (0, "kernel_size: 1", "num_output of 1 or more"),
        (3, "kernel_size: 2 pad: 3", r"pad \[3, 3\] leaves nothing"),
        (3, "kernel_size: 2 group: 2", "group that divides"),
        (3, "kernel_size: 2 stride: 4000000000", "2\\*\\*31"),
    ],
)
def test_a_deconvolution_refuses_too(outputs: int, param: str, message: str) -> None:
    with pytest.raises(CaffeError, match=message):
        Rig(text("Deconvolution", outputs, param), [np.zeros((2, 4, 4, 4))])


def test_another_number_of_channels_or_axes_is_refused_later() -> None:
    rig = Rig(text("Convolution", 2, "kernel_size: 2"), [np.zeros((2, 3, 4, 4))])
    for shape in ((2, 4, 4, 4), (2, 3, 4), (2, 3, 4, 4, 4), (2, 3, 1, 4)):
        rig.put([np.zeros(shape)])
        with pytest.raises(CaffeError, match=r"expected 3 channels|larger than"):
            rig.reshape()


def test_bottoms_of_different_shapes_are_refused() -> None:
    two = 'type: "Convolution" bottom: "a" bottom: "b" top: "c" top: "d" '
    two += "convolution_param { num_output: 1 kernel_size: 1 }"
    with pytest.raises(CaffeError, match="bottoms of one shape"):
        Rig(two, [np.zeros((2, 3, 4, 4)), np.zeros((2, 3, 4, 5))])
