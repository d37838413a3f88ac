"""ReLU: values at and around 0."""

from __future__ import annotations

import numpy as np
import pytest

from rigs.layer_rig import Rig

X = np.array([-2, -0.0, 0, 3, np.nan])


def relu_text(slope: float, top: str = "y") -> str:
    return f'type: "ReLU" bottom: "x" top: "{top}" relu_param {{ negative_slope: {slope} }}'


@pytest.mark.parametrize(("slope", "expected"), [(0, [0, 0, 0, 3, np.nan]), (0.5, [-1, 0, 0, 3, np.nan])])
def test_forward(slope: float, expected: list[float]) -> None:
    np.testing.assert_array_equal(Rig(relu_text(slope), [X]).forward()[0], expected)


@pytest.mark.parametrize("top", ["x", "y"])
@pytest.mark.parametrize("slope", [0, 0.5])
def test_derivative_at_zero_is_the_negative_slope(slope: float, top: str) -> None:
    rig = Rig(relu_text(slope, top), [X[:4]])
    rig.forward()
    np.testing.assert_array_equal(rig.backward([np.full(4, 2.0)])[0], [2 * slope, 2 * slope, 2 * slope, 2])


def test_a_slope_above_one_and_a_negative_one() -> None:
    for slope in (3, -1):
        np.testing.assert_array_equal(Rig(relu_text(slope), [X[:4]]).forward()[0], [-2 * slope, 0, 0, 3])
