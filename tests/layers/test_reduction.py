"""Reduction: any axis, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import Rig

NAIVE = {"SUM": np.sum, "ASUM": lambda x, axis: np.abs(x).sum(axis), "SUMSQ": lambda x, axis: (x * x).sum(axis)}
NAIVE["MEAN"] = np.mean


def text(fields: str) -> str:
    return f'type: "Reduction" bottom: "x" top: "y" reduction_param {{ {fields} }}'


@settings(max_examples=60, deadline=None)
@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=5), data=st.data())
@pytest.mark.parametrize("operation", NAIVE)
def test_any_shape_and_axis(operation: str, shape: list[int], data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = np.random.default_rng(2).normal(size=shape)
    rig = Rig(text(f"operation: {operation} axis: {axis} coeff: -0.5"), [x])
    expected = -0.5 * NAIVE[operation](x, axis=tuple(range(axis % len(shape), len(shape))))
    np.testing.assert_allclose(rig.forward()[0], expected, rtol=1e-4, atol=1e-5)


def test_the_sign_of_0_is_0() -> None:
    rig = Rig(text("operation: ASUM"), [np.array([-2, 0, 3])])
    rig.forward()
    np.testing.assert_array_equal(rig.backward([np.array(4)])[0], [-4, 0, 4])


def test_a_missing_axis_and_the_mean_of_nothing_are_refused() -> None:
    with pytest.raises(CaffeError, match=r"\(Reduction\): .*\[2, 3\], got 2"):
        Rig(text("axis: 2"), [np.zeros((2, 3))])
    with pytest.raises(CaffeError, match=r"expected one value or more from axis 1 on, got shape \[2, 0\]"):
        Rig(text("operation: MEAN axis: 1"), [np.zeros((2, 0))])
