"""STOCHASTIC pooling: what is drawn, and what the average of the draws is."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite import rng
from pycaffe_lite.phase import TEST
from rigs.layer_rig import CHANNELS_LAST, Rig

TEXT = 'type: "Pooling" bottom: "x" top: "y" pooling_param { pool: STOCHASTIC kernel_size: 2 stride: 2 }'


def image(generator: np.random.Generator) -> np.ndarray:
    return generator.uniform(0, 1, (2, 3, 5, 6))


@pytest.mark.parametrize("order", [None, CHANNELS_LAST])
def test_the_first_pixel_whose_sum_reaches_u_times_the_whole_sum(
    generator: np.random.Generator, order: tuple[int, ...] | None
) -> None:
    """u is drawn in logical order, whatever the memory."""
    x = image(generator).astype(np.float32)
    rig = Rig(TEXT, [x], order=order)
    (y,) = rig.forward()
    rng.set_random_seed(1)
    u = rng.uniform(y.size).reshape(y.shape)
    dy = np.arange(1, y.size + 1, dtype=np.float64).reshape(y.shape)
    dx = np.zeros(x.shape)
    for n, c, i, j in np.ndindex(y.shape):
        window = x[n, c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        sums = np.cumsum(window.ravel(), dtype=np.float32)
        first = int(np.argmax(sums >= u[n, c, i, j] * sums[-1]))
        assert y[n, c, i, j] == window.ravel()[first]
        row, column = np.unravel_index(first, window.shape)
        dx[n, c, 2 * i + row, 2 * j + column] += dy[n, c, i, j]
    np.testing.assert_array_equal(rig.backward([dy])[0], dx)


def test_each_forward_draws_anew(generator: np.random.Generator) -> None:
    rig = Rig(TEXT, [image(generator)])
    first = rig.forward()[0]
    rig.layer.forward(rig.bottom, rig.top)
    assert np.any(rig.top[0].data != first)


def test_in_the_mean_the_draws_are_what_test_computes(generator: np.random.Generator) -> None:
    x = np.tile(np.array([[0.1, 0.0], [0.3, 0.6]]), (50, 50))[None, None]
    drawn = Rig(TEXT, [x]).forward()[0]
    averaged = Rig(TEXT, [x], phase=TEST).forward()[0]
    np.testing.assert_allclose(averaged, 0.46, rtol=1e-6)  # 0.1² + 0.3² + 0.6², the sum being 1
    assert drawn.mean() == pytest.approx(0.46, abs=0.02)
    assert not np.any(drawn == 0)


def test_windows_of_zeros_give_zero_and_no_gradient_in_test() -> None:
    x = np.zeros((1, 1, 4, 4))
    assert not Rig(TEXT, [x]).forward()[0].any()
    rig = Rig(TEXT, [x], phase=TEST)
    assert not rig.forward()[0].any()
    assert not rig.backward([np.ones((1, 1, 2, 2))])[0].any()


def test_a_window_with_nan_gives_nan_in_training(generator: np.random.Generator) -> None:
    x = image(generator)
    x[0, 0, 0, 1] = np.nan
    y = Rig(TEXT, [x]).forward()[0]
    assert np.isnan(y[0, 0, 0, 0])
    assert np.count_nonzero(np.isnan(y)) == 1
