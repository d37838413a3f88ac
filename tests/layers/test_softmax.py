"""Softmax: against the formula in double precision, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import Rig

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=5)


def naive_softmax(x: np.ndarray, axis: int) -> np.ndarray:
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def softmax_text(axis: int) -> str:
    return f'type: "Softmax" bottom: "x" top: "y" softmax_param {{ axis: {axis} }}'


@settings(max_examples=40, deadline=None)
@given(shape=SHAPES, data=st.data())
def test_any_shape_and_axis(shape: list[int], data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = np.random.default_rng(data.draw(st.integers(0, 99))).normal(scale=5, size=shape)
    (y,) = Rig(softmax_text(axis), [x]).forward()
    np.testing.assert_allclose(y, naive_softmax(x, axis), rtol=1e-5)


def test_scores_of_any_size_do_not_overflow() -> None:
    (y,) = Rig(softmax_text(1), [np.array([[1e38, 1e38, -1e38], [-3e38, -3e38, -3e38]])]).forward()
    np.testing.assert_allclose(y, [[0.5, 0.5, 0], [1 / 3] * 3], rtol=1e-6)


@pytest.mark.parametrize("axis", [2, -3])
def test_a_missing_axis_is_refused(axis: int) -> None:
    with pytest.raises(CaffeError, match=rf'layer "layer" \(Softmax\): .*\[2, 3\], got {axis}'):
        Rig(softmax_text(axis), [np.zeros((2, 3))])


def test_an_empty_axis_is_refused() -> None:
    with pytest.raises(CaffeError, match=r"one class or more along axis 1, got shape \[2, 0\]"):
        Rig(softmax_text(1), [np.zeros((2, 0))])
