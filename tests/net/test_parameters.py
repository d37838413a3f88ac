"""Parameters shared by name: whose memory, which multipliers, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net
from rigs.net_rig import fill, inner_product, inputs, layer, logged, make_net, messages, softmax_loss


def shared(first: str, second: str, outputs: tuple[int, int] = (3, 3)) -> Net:
    """Two layers of one input whose weights have the texts given as `param`."""
    return make_net(
        inputs(x=[2, 4], label=[2])
        + inner_product("a", "x", outputs[0], f"param {{ {first} }}")
        + inner_product("b", "x", outputs[1], f"param {{ {second} }}")
    )


def test_one_blob_for_one_name() -> None:
    net = shared('name: "w"', 'name: "w"')
    assert net.parameters.names == ["a/0", "a/1", "b/1"]
    for _ in range(2):
        a, b = net.params["a"], net.params["b"]
        assert np.shares_memory(a[0].data, b[0].data)
        assert np.shares_memory(a[0].diff, b[0].diff)
        assert not np.shares_memory(a[1].data, b[1].data)
        net.flatten()


def test_the_log_says_whose_parameter_it_is() -> None:
    lines = logged()
    shared('name: "w"', 'name: "w"')
    assert "Sharing parameters 'w' owned by layer 'a', param index 0" in messages(lines)


def test_an_empty_name_is_no_name() -> None:
    assert shared('name: ""', 'name: ""').parameters.names == ["a/0", "a/1", "b/0", "b/1"]


@pytest.mark.parametrize("flat", [False, True])
def test_gradients_of_all_users_add_up(generator: np.random.Generator, flat: bool) -> None:
    text = (
        inputs(x=[2, 4], label=[2])
        + inner_product("a", "x", 4, "param { NAME }")
        + inner_product("b", "a", 4, "param { NAME }")
        + softmax_loss("b")
    )
    apart, one = (make_net(text.replace("NAME", name)) for name in ("", 'name: "w"'))
    fill(apart, generator, label=3)
    if flat:
        one.flatten()
    apart.params["b"][0].data[...] = apart.params["a"][0].data
    for name in ("a", "b"):
        for blob, other in zip(apart.params[name], one.params[name], strict=True):
            other.data[...] = blob.data
    for name in apart.inputs:
        one.blobs[name].data[...] = apart.blobs[name].data
    assert apart.forward_backward() == one.forward_backward()
    total = apart.params["a"][0].diff + apart.params["b"][0].diff
    np.testing.assert_allclose(one.params["a"][0].diff, total, rtol=1e-6)


CONV = 'convolution_param { num_output: 4 kernel_size: 3 bias_term: false weight_filler { type: "xavier" } }'
TOWERS = (
    inputs(left=[1, 2, 5, 5], right=[1, 2, 5, 5], flat=[3, 18])
    + layer("one", "Convolution", ["left"], ["one"], 'param { name: "w" } ' + CONV)
    + layer("two", "Convolution", ["right"], ["two"], 'param { name: "w" } ' + CONV)
)
MATRIX = inner_product("matrix", "flat", 4, 'param { name: "w" share_mode: PERMISSIVE }', "bias_term: false")


@pytest.mark.parametrize("flat", [False, True])
def test_permissive_sharing_reads_the_values_under_another_shape(flat: bool) -> None:
    net = make_net(TOWERS + MATRIX)
    if flat:
        net.flatten()
    one, two, matrix = (net.params[name][0] for name in ("one", "two", "matrix"))
    assert (one.shape, matrix.shape) == ((4, 2, 3, 3), (4, 18))
    np.testing.assert_array_equal(one.data.reshape(4, 18), matrix.data)
    matrix.data[...] = np.arange(72).reshape(4, 18)
    matrix.diff[...] = np.arange(72).reshape(4, 18) + 1
    for blob in (one, two):
        np.testing.assert_array_equal(blob.data, np.arange(72).reshape(4, 2, 3, 3))
        np.testing.assert_array_equal(blob.diff, np.arange(72).reshape(4, 2, 3, 3) + 1)
    assert len(net.parameters.blobs) == 1


def test_a_convolution_computes_the_same_when_its_weights_are_shared_as_a_matrix(
    generator: np.random.Generator,
) -> None:
    plain, mixed = make_net(TOWERS), make_net(TOWERS + MATRIX)
    fill(plain, generator)
    mixed.params["one"][0].data[...] = plain.params["one"][0].data
    values = {name: plain.blobs[name].data for name in ("left", "right")}
    expected, got = plain.forward(), mixed.forward(**values)
    np.testing.assert_allclose(got["two"], expected["two"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("mode", "outputs", "problem"),
    [
        ("", (3, 4), r'the shape of the one of layer "a", 3 4 \(12\), got 4 4 \(16\)'),
        ("share_mode: PERMISSIVE", (3, 4), r'the count of the one of layer "a", 3 4 \(12\), got 4 4 \(16\)'),
    ],
)
def test_a_mismatch_is_refused(mode: str, outputs: tuple[int, int], problem: str) -> None:
    with pytest.raises(CaffeError, match=rf'layer "b" \(InnerProduct\): .* shared as \'w\', to have {problem}'):
        shared('name: "w"', f'name: "w" {mode}', outputs)


def test_strict_sharing_compares_shapes_not_counts() -> None:
    text = TOWERS + MATRIX.replace(" share_mode: PERMISSIVE", "")
    with pytest.raises(CaffeError, match=r"the shape of the one .* 4 2 3 3 \(72\), got 4 18 \(72\)"):
        make_net(text)


@pytest.mark.parametrize(
    ("first", "second", "lr_mult", "decay_mult"),
    [
        ("", "", 1, 1),
        ("lr_mult: 2 decay_mult: 0", "", 2, 0),
        ("", "lr_mult: 2 decay_mult: 0.5", 2, 0.5),
        ("lr_mult: 3", "decay_mult: 0", 3, 0),
        ("lr_mult: 3 decay_mult: 4", "lr_mult: 3 decay_mult: 4", 3, 4),
    ],
)
def test_the_first_to_give_a_multiplier_decides_it(first: str, second: str, lr_mult: float, decay_mult: float) -> None:
    parameters = shared(f'name: "w" {first}', f'name: "w" {second}').parameters
    assert (parameters.lr_mult[0], parameters.decay_mult[0]) == (lr_mult, decay_mult)


@pytest.mark.parametrize("field", ["lr_mult", "decay_mult"])
def test_another_multiplier_is_refused(field: str) -> None:
    with pytest.raises(CaffeError, match=rf"layer \"b\".*expected {field} 1 .* shared as 'w', .* got 2"):
        shared(f'name: "w" {field}: 1', f'name: "w" {field}: 2')


def test_a_third_user_may_not_differ_from_the_second() -> None:
    text = inputs(x=[2, 4]) + "".join(
        inner_product(name, "x", 3, f'param {{ name: "w" {rate} }}')
        for name, rate in (("a", ""), ("b", "lr_mult: 2"), ("c", "lr_mult: 4"))
    )
    with pytest.raises(CaffeError, match=r'layer "c" .*expected lr_mult 2 .*got 4'):
        make_net(text)


def test_multipliers_of_parameters_without_a_name() -> None:
    net = shared("lr_mult: 2 decay_mult: 3", "")
    assert net.parameters.lr_mult == [2, 1, 1, 1]
    assert net.parameters.decay_mult == [3, 1, 1, 1]


def test_a_snapshot_repeats_shared_parameters(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from pycaffe_lite.formats.caffemodel import read_weights

    net = shared('name: "w"', 'name: "w"')
    net.save(str(tmp_path / "w.caffemodel"))
    layers = {saved.name: saved.blobs for saved in read_weights(str(tmp_path / "w.caffemodel"))}
    np.testing.assert_array_equal(layers["a"][0], layers["b"][0])
    np.testing.assert_array_equal(layers["a"][0], net.params["a"][0].data)
