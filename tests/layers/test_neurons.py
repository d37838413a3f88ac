"""The element-wise layers: values at their corners and far out, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import Rig

FAR = np.array([-1e30, -200, -60, 60, 200, 1e30])


def text(layer: str, fields: str = "", top: str = "y") -> str:
    return f'type: "{layer}" bottom: "x" top: "{top}" {fields}'


def both(layer: str, x: np.ndarray, fields: str = "", top: str = "y") -> tuple[np.ndarray, np.ndarray]:
    """The result, and the derivative for a top diff of 1."""
    rig = Rig(text(layer, fields, top), [np.asarray(x, np.float64)])
    (y,) = rig.forward()
    (dx,) = rig.backward([np.ones(y.shape)])
    return y, dx


@pytest.mark.parametrize(
    ("layer", "y", "dx"),
    [
        ("Sigmoid", [0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0]),
        ("TanH", [-1, -1, -1, 1, 1, 1], [0, 0, 0, 0, 0, 0]),
        ("Swish", [0, 0, 0, 60, 200, 1e30], [0, 0, 0, 1, 1, 1]),
        ("BNLL", [0, 0, 0, 60, 200, 1e30], [0, 0, 0, 1, 1, 1]),
        ("ELU", [-1, -1, -1, 60, 200, 1e30], [0, 0, 0, 1, 1, 1]),
    ],
)
def test_far_out_nothing_overflows(layer: str, y: list[float], dx: list[float]) -> None:
    with np.errstate(over="ignore"):
        ours = both(layer, FAR)
    np.testing.assert_allclose(ours[0], y, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(ours[1], dx, rtol=1e-6, atol=1e-6)


def test_the_sign_of_0_is_0() -> None:
    y, dx = both("AbsVal", np.array([-2, -0.0, 0, 3]))
    np.testing.assert_array_equal(y, [2, 0, 0, 3])
    np.testing.assert_array_equal(dx, [-1, 0, 0, 1])


def test_absolute_values_in_place_are_refused() -> None:
    with pytest.raises(CaffeError, match=r"\(AbsVal\): cannot work in place.*name of its own"):
        Rig(text("AbsVal", top="x"), [np.zeros(3)])


@pytest.mark.parametrize(("top", "dx"), [("y", [0, 1, 1, 1, 0]), ("x", [1, 1, 1, 1, 1])])
def test_clip_passes_gradients_on_its_bounds_and_in_place_all(top: str, dx: list[float]) -> None:
    ours = both("Clip", np.array([-3, -1, 0, 2, 5]), "clip_param { min: -1 max: 2 }", top)
    np.testing.assert_array_equal(ours[0], [-1, -1, 0, 2, 2])
    np.testing.assert_array_equal(ours[1], dx)


def test_a_lower_bound_above_the_upper_one_wins() -> None:
    y, dx = both("Clip", np.array([-3, 0, 5]), "clip_param { min: 2 max: -1 }")
    np.testing.assert_array_equal(y, [2, 2, 2])
    np.testing.assert_array_equal(dx, [0, 0, 0])


def test_clip_needs_its_bounds() -> None:
    with pytest.raises(CaffeError, match=r"\(Clip\): expected clip_param \{ min: … max: … \}"):
        Rig(text("Clip"), [np.zeros(3)])


def test_elu_at_0_has_the_derivative_of_its_negative_side() -> None:
    y, dx = both("ELU", np.array([0, -0.0, 1e-6, -1e-6]), "elu_param { alpha: 3 }")
    np.testing.assert_allclose(y, [0, 0, 1e-6, -3e-6], rtol=1e-5)
    np.testing.assert_allclose(dx, [3, 3, 1, 3], rtol=1e-5)


def test_elu_with_a_negative_alpha_goes_by_the_sign_of_x() -> None:
    y, dx = both("ELU", np.array([-1.0]), "elu_param { alpha: -1 }")
    np.testing.assert_allclose([y[0], dx[0]], [1 - np.exp(-1), -np.exp(-1)], rtol=1e-6)


def test_threshold_is_strict() -> None:
    rig = Rig(text("Threshold", "threshold_param { threshold: 0.5 }"), [np.array([0.4, 0.5, 0.6])])
    np.testing.assert_array_equal(rig.forward()[0], [0, 0, 1])
    with pytest.raises(CaffeError, match=r"\(Threshold\): has no derivative"):
        rig.backward([np.ones(3)])


@pytest.mark.parametrize(
    ("layer", "fields", "derivative"),
    [
        ("BNLL", "", lambda x: 1 / (1 + np.exp(-x))),
        ("Log", "", lambda x: 1 / x),
        ("Power", "power_param { power: 3 }", lambda x: 3 * x**2),
    ],
)
def test_in_place_the_derivative_is_taken_at_x(layer: str, fields: str, derivative: object) -> None:
    x = np.array([0.5, 1.5, 3])
    np.testing.assert_allclose(both(layer, x, fields, "x")[1], derivative(x), rtol=1e-6)  # type: ignore[operator]
