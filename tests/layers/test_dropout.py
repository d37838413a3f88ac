"""Dropout: Caffe's own mask, and the ratios at the ends."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite import rng
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.phase import TEST
from rigs.layer_rig import CHANNELS_LAST, Rig

SHAPE = (3, 4, 5, 6)


def dropout_text(ratio: float) -> str:
    return f'type: "Dropout" bottom: "x" top: "y" dropout_param {{ dropout_ratio: {ratio} }}'


@pytest.mark.parametrize("order", [None, CHANNELS_LAST])
def test_mask_is_the_generators_words_in_logical_order(order: tuple[int, ...] | None) -> None:
    (y,) = Rig(dropout_text(0.25), [np.ones(SHAPE)], order=order).forward()
    words = np.random.RandomState(1).randint(0, 2**32, SHAPE, np.uint32)
    kept = words.astype(np.float32) <= np.float32(0.75) * np.float32(2**32)
    np.testing.assert_array_equal(y, kept * np.float32(1 / 0.75))


def test_each_forward_draws_anew() -> None:
    rig = Rig(dropout_text(0.5), [np.ones(SHAPE)])
    first = rig.forward()[0]
    rig.layer.forward(rig.bottom, rig.top)
    assert np.any(rig.top[0].data != first)


def test_backward_uses_the_mask_of_the_last_forward() -> None:
    rig = Rig(dropout_text(0.5), [np.ones(SHAPE)])
    (y,) = rig.forward()
    np.testing.assert_array_equal(rig.backward([np.ones(SHAPE)])[0], y)


def test_nothing_is_dropped_or_drawn_in_testing() -> None:
    x = np.arange(6.0).reshape(2, 3)
    rig = Rig(dropout_text(0.5), [x], phase=TEST)
    np.testing.assert_array_equal(rig.forward()[0], x)
    assert rng.word() == np.random.RandomState(1).randint(0, 2**32, dtype=np.uint32)


@pytest.mark.parametrize(("ratio", "factor"), [(0, 1), (1, 0)])
def test_ratios_at_the_ends(ratio: float, factor: float) -> None:
    x = np.arange(6.0).reshape(2, 3)
    rig = Rig(dropout_text(ratio), [x])
    np.testing.assert_array_equal(rig.forward()[0], factor * x)
    np.testing.assert_array_equal(rig.backward([x])[0], factor * x)


@pytest.mark.parametrize("ratio", ["-0.1", "1.5", "nan"])
def test_a_ratio_that_is_no_probability_is_refused(ratio: str) -> None:
    with pytest.raises(CaffeError, match=rf"\(Dropout\): expected a dropout_ratio from 0 to 1, got {ratio}"):
        Rig(f'type: "Dropout" bottom: "x" top: "y" dropout_param {{ dropout_ratio: {ratio} }}', [np.zeros(2)])
