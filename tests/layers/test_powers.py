"""Power, Exp and Log: the formula for any parameters, 0, and the bases they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import Rig

SMALL = st.floats(-2, 2, width=16)


def run(layer: str, param: str, x: np.ndarray, **values: float) -> tuple[np.ndarray, np.ndarray]:
    """The result, and the derivative for a top diff of 1, in double precision."""
    fields = " ".join(f"{name}: {value}" for name, value in values.items())
    rig = Rig(f'type: "{layer}" bottom: "x" top: "y" {param} {{ {fields} }}', [x], dtype=np.float64)
    (y,) = rig.forward()
    return y, rig.backward([np.ones(x.shape)])[0]


@settings(max_examples=80, deadline=None)
@given(
    power=st.one_of(st.sampled_from([0, 1, 2, 3, 0.5, -0.5, -1, 1.5]), SMALL),
    scale=SMALL,
    shift=st.floats(3, 4, width=16),
)
def test_any_power(power: float, scale: float, shift: float) -> None:
    x = np.linspace(-1, 1, 5)
    y, dx = run("Power", "power_param", x, power=power, scale=scale, shift=shift)
    base = shift + scale * x
    np.testing.assert_allclose(y, base**power, rtol=1e-5)
    np.testing.assert_allclose(dx, power * scale * base ** (power - 1), rtol=1e-5, atol=1e-12)


def test_a_whole_power_of_negative_numbers_and_of_0() -> None:
    y, dx = run("Power", "power_param", np.array([-2.0, 0, 2]), power=3)
    np.testing.assert_allclose(y, [-8, 0, 8])
    np.testing.assert_allclose(dx, [12, 0, 12])


@settings(max_examples=60, deadline=None)
@given(base=st.one_of(st.just(-1.0), st.floats(0.125, 20, width=16)), scale=SMALL, shift=SMALL)
def test_any_base(base: float, scale: float, shift: float) -> None:
    x = np.linspace(-1, 1, 5)
    log_base = 1 if base == -1 else np.log(base)
    y, dx = run("Exp", "exp_param", x, base=base, scale=scale, shift=shift)
    np.testing.assert_allclose(y, np.exp(log_base * (shift + scale * x)), rtol=1e-6)
    np.testing.assert_allclose(dx, y * log_base * scale, rtol=1e-6, atol=1e-12)
    if base != 1:
        y, dx = run("Log", "log_param", x, base=base, scale=scale, shift=shift + 5)
        np.testing.assert_allclose(y, np.log(shift + 5 + scale * x) / log_base, rtol=1e-5)
        np.testing.assert_allclose(dx, scale / (shift + 5 + scale * x) / log_base, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize(("layer", "param"), [("Exp", "exp_param"), ("Log", "log_param")])
@pytest.mark.parametrize("base", ["0", "-2", "nan", "inf"])
def test_what_is_no_base_is_refused(layer: str, param: str, base: str) -> None:
    with pytest.raises(CaffeError, match=rf"\({layer}\): expected a base above 0, or -1 for e, got {base}"):
        Rig(f'type: "{layer}" bottom: "x" top: "y" {param} {{ base: {base} }}', [np.ones(3)])


def test_there_is_no_logarithm_to_the_base_1() -> None:
    with pytest.raises(CaffeError, match=r"\(Log\): expected a base other than 1"):
        Rig('type: "Log" bottom: "x" top: "y" log_param { base: 1 }', [np.ones(3)])


def test_infinities_are_computed_in_silence_when_the_layer_is_made() -> None:
    rig = Rig('type: "Exp" bottom: "x" top: "y" exp_param { shift: 1000 }', [np.zeros(2)])
    np.testing.assert_array_equal(rig.forward()[0], [np.inf, np.inf])
