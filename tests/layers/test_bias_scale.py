"""Bias and Scale: any axes, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import Rig

LAYERS = pytest.mark.parametrize(("layer", "param"), [("Bias", "bias_param"), ("Scale", "scale_param")])


def text(layer: str, param: str, fields: str = "", second: str = "") -> str:
    return f'type: "{layer}" bottom: "x" {second} top: "y" {param} {{ {fields} }}'


@settings(max_examples=60, deadline=None)
@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=5), data=st.data(), learned=st.booleans())
def test_any_axes(shape: list[int], data: st.DataObject, learned: bool) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    first = axis % len(shape)
    num_axes = data.draw(st.integers(-1, len(shape) - first))
    last = len(shape) if num_axes == -1 else first + num_axes
    generator = np.random.default_rng(1)
    x, scale, bias, dy = (generator.normal(size=s) for s in (shape, shape[first:last], shape[first:last], shape))
    fields = f"axis: {axis} num_axes: {num_axes} bias_term: true"
    second = "" if learned else 'bottom: "s"'
    rig = Rig(text("Scale", "scale_param", fields, second), [x] if learned else [x, scale], dtype=np.float64)
    rig.set_params([scale, bias] if learned else [bias])
    wide_scale, wide_bias = (v.reshape(*v.shape, *[1] * (len(shape) - last)) for v in (scale, bias))
    np.testing.assert_allclose(rig.forward()[0], x * wide_scale + wide_bias)
    rig.clear_param_diffs()
    diffs = rig.backward([dy])
    others = tuple(i for i in range(len(shape)) if not first <= i < last)
    np.testing.assert_allclose(diffs[0], dy * wide_scale)
    (scale_diff, bias_diff) = rig.param_diffs() if learned else (diffs[1], *rig.param_diffs())
    np.testing.assert_allclose(scale_diff, (dy * x).sum(axis=others), atol=1e-12)
    np.testing.assert_allclose(bias_diff, dy.sum(axis=others), atol=1e-12)


def test_the_first_values_are_1_and_0() -> None:
    params = Rig(text("Scale", "scale_param", "bias_term: true"), [np.zeros((2, 3))]).params()
    np.testing.assert_array_equal(params, [[1, 1, 1], [0, 0, 0]])
    np.testing.assert_array_equal(Rig(text("Bias", "bias_param"), [np.zeros((2, 3))]).params(), [[0, 0, 0]])


@pytest.mark.parametrize("fields", ["axis: 0 num_axes: -1", "axis: 0", "axis: 1"])
def test_the_diff_of_a_scale_accumulates_whatever_it_covers(fields: str) -> None:
    rig = Rig(text("Scale", "scale_param", fields), [np.ones((2, 3))])
    rig.forward()
    rig.layer.blobs[0].diff[...] = 100
    rig.backward([np.ones((2, 3))])
    assert np.all(rig.param_diffs()[0] > 100)


@LAYERS
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("axis: 2", r"expected an axis of its .*bottom of shape \[2, 3\], got 2"),
        ("num_axes: 2", r"expected num_axes from 0 to 1, .*\[2, 3\], got 2"),
        ("num_axes: -2", r"expected num_axes from 0 to 1, or -1 .* got -2"),
    ],
)
def test_axes_that_are_not_there_are_refused(layer: str, param: str, fields: str, message: str) -> None:
    with pytest.raises(CaffeError, match=rf"\({layer}\): {message}"):
        Rig(text(layer, param, fields), [np.zeros((2, 3))])


@LAYERS
@pytest.mark.parametrize("shape", [(2,), (3, 1), (3, 4, 5, 6)])
def test_a_second_bottom_that_does_not_fit_is_refused(layer: str, param: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(CaffeError, match=r"expected its second bottom, .* first bottom of shape \[2, 3, 4\]"):
        Rig(text(layer, param, second='bottom: "s"'), [np.zeros((2, 3, 4)), np.zeros(shape)])


@LAYERS
def test_a_change_of_channels_is_refused(layer: str, param: str) -> None:
    rig = Rig(text(layer, param), [np.zeros((2, 3))])
    rig.put([np.zeros((2, 4))])
    with pytest.raises(CaffeError, match=r"expected its parameter, of shape \[3\], .*\[2, 4\]"):
        rig.reshape()


def test_a_second_bottom_that_outgrows_the_bias_is_refused() -> None:
    rig = Rig(text("Scale", "scale_param", "bias_term: true", 'bottom: "s"'), [np.zeros((2, 3)), np.zeros(3)])
    rig.put([np.zeros((2, 4)), np.zeros(4)])
    with pytest.raises(CaffeError, match=r"expected a second bottom of shape \[3\], as when it was made, got \[4\]"):
        rig.reshape()
