"""Eltwise: ties, zeros, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import CHANNELS_LAST, Rig


def text(bottoms: int, fields: str = "", top: str = "y") -> str:
    named = " ".join(f'bottom: "{"abcd"[i]}"' for i in range(bottoms))
    return f'type: "Eltwise" {named} top: "{top}" eltwise_param {{ {fields} }}'


def test_a_tie_goes_to_the_second_and_a_later_one_must_be_greater() -> None:
    a, b, c = np.array([1, 1, 2, 0]), np.array([1, 0, 1, 0]), np.array([1, 1, 3, 0])
    rig = Rig(text(3, "operation: MAX"), [a, b, c])
    np.testing.assert_array_equal(rig.forward()[0], [1, 1, 3, 0])
    diffs = rig.backward([np.array([5, 6, 7, 8])])
    np.testing.assert_array_equal(diffs, [[0, 6, 0, 0], [5, 0, 0, 8], [0, 0, 7, 0]])


def test_maximum_ignores_coefficients() -> None:
    (y,) = Rig(text(2, "operation: MAX coeff: -1 coeff: 0"), [np.array([2]), np.array([1])]).forward()
    np.testing.assert_array_equal(y, [2])


def test_the_stable_derivative_of_a_product_is_finite_at_0() -> None:
    factors = [np.array([0.0, 2]), np.array([3.0, 4]), np.array([5.0, 6])]
    stable, fast = (Rig(text(3, f"operation: PROD stable_prod_grad: {s}"), factors) for s in ("true", "false"))
    np.testing.assert_array_equal(stable.forward(), fast.forward())
    expected = [[15, 24], [0, 12], [0, 8]]
    np.testing.assert_array_equal(stable.backward([np.ones(2)]), expected)
    with np.errstate(invalid="ignore"):
        diffs = fast.backward([np.ones(2)])
    np.testing.assert_array_equal(np.array(diffs)[:, 1], np.array(expected)[:, 1])
    assert np.isnan(diffs[0][0])


@pytest.mark.parametrize("fields", ["", "operation: PROD", "operation: MAX", "coeff: 3 coeff: -1"])
def test_only_wanted_diffs_are_computed(fields: str) -> None:
    rig = Rig(text(2, fields), [np.array([2.0]), np.array([3.0])])
    rig.forward()
    rig.bottom[0].diff[...] = 7
    assert rig.backward([np.ones(1)], [False, True])[0] == 7


def test_bottoms_of_different_memory_orders() -> None:
    a, b = Blob((2, 3, 4, 5), CHANNELS_LAST), Blob((2, 3, 4, 5))
    for blob in (a, b):
        blob.data[...] = np.arange(120).reshape(2, 3, 4, 5)
    rig = Rig(text(2, "coeff: 1 coeff: 2"), [a.data, b.data])
    rig.bottom[:] = [a, b]
    rig.layer.reshape(rig.bottom, rig.top)
    rig.layer.forward(rig.bottom, rig.top)
    np.testing.assert_array_equal(rig.top[0].data, 3 * b.data)
    assert rig.top[0].order == CHANNELS_LAST


@pytest.mark.parametrize(
    ("bottoms", "fields", "message"),
    [
        (3, "coeff: 1 coeff: 2", "expected a coeff for each of its 3 bottoms, got 2"),
        (2, "operation: PROD coeff: 1 coeff: 2", r"expected coefficients \(coeff\) for operation SUM alone"),
    ],
)
def test_coefficients_that_do_not_fit_are_refused(bottoms: int, fields: str, message: str) -> None:
    with pytest.raises(CaffeError, match=rf"\(Eltwise\): {message}"):
        Rig(text(bottoms, fields), [np.zeros(3)] * bottoms)


def test_different_shapes_are_refused() -> None:
    with pytest.raises(CaffeError, match=r"expected bottoms of one shape, got \[2, 3\], \[3, 2\]"):
        Rig(text(2), [np.zeros((2, 3)), np.zeros((3, 2))])
