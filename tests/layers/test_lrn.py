"""LRN: against plain loops, in any memory order and in pieces, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.kernels import neighbours as lrn_region
from rigs.layer_rig import CHANNELS_LAST, Rig


def text(fields: str, top: str = "y") -> str:
    return f'type: "LRN" bottom: "x" top: "{top}" lrn_param {{ {fields} }}'


def naive(x: np.ndarray, size: int, alpha: float, beta: float, k: float, within: bool) -> np.ndarray:
    half = size // 2
    y = np.empty_like(x)
    for n, c, h, w in np.ndindex(x.shape):
        if within:
            near = x[n, c, max(0, h - half) : h + half + 1, max(0, w - half) : w + half + 1]
            scale = 1 + alpha / size**2 * (near**2).sum()
        else:
            scale = k + alpha / size * (x[n, max(0, c - half) : c + half + 1, h, w] ** 2).sum()
        y[n, c, h, w] = x[n, c, h, w] * scale**-beta
    return y


@pytest.mark.parametrize("piece", [6, 40, lrn_region.PIECE])
@pytest.mark.parametrize("order", [None, CHANNELS_LAST, (1, 0, 2, 3), (2, 3, 0, 1)])
@pytest.mark.parametrize("within", [False, True])
@settings(max_examples=12, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 5)] * 4),
    size=st.sampled_from([1, 3, 5, 7, 11]),
    beta=st.sampled_from([0, 0.5, 0.75, 1]),
)
def test_any_shape_and_size(
    piece: int, order: tuple[int, ...] | None, within: bool, shape: tuple[int, ...], size: int, beta: float
) -> None:
    x = np.random.default_rng(4).normal(size=shape)
    region = "WITHIN_CHANNEL" if within else "ACROSS_CHANNELS"
    fields = f"local_size: {size} alpha: 0.5 beta: {beta} k: 2 norm_region: {region}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lrn_region, "PIECE", piece)
        (y,) = Rig(text(fields), [x], order=order).forward()
    np.testing.assert_allclose(y, naive(x, size, 0.5, beta, 2, within), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("region", ["ACROSS_CHANNELS", "WITHIN_CHANNEL"])
def test_the_derivative_does_not_need_the_top(region: str) -> None:
    x = np.random.default_rng(4).normal(size=(2, 4, 3, 3))
    rig = Rig(text(f"local_size: 3 norm_region: {region}"), [x])
    rig.forward()
    expected = rig.backward([x])
    rig.top[0].data[...] = 0
    np.testing.assert_array_equal(rig.backward([x]), expected)


@pytest.mark.parametrize("size", [0, 4])
def test_an_even_size_is_refused(size: int) -> None:
    with pytest.raises(CaffeError, match=rf"\(LRN\): expected an odd local_size, got {size}"):
        Rig(text(f"local_size: {size}"), [np.zeros((1, 2, 3, 4))])


def test_other_than_four_axes_are_refused() -> None:
    with pytest.raises(CaffeError, match=r"expected a bottom of 4 axes \(N, C, H, W\), got shape \[2, 3\]"):
        Rig(text(""), [np.zeros((2, 3))])


def test_a_huge_size_costs_no_memory() -> None:
    x = np.ones((1, 2, 2, 2))
    (y,) = Rig(text("local_size: 2147483647 norm_region: WITHIN_CHANNEL"), [x]).forward()
    np.testing.assert_allclose(y, x, rtol=1e-6)
