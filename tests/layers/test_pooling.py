"""Pooling: against plain loops, ties, windows without pixels, memory orders, random draws, and what it refuses."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pycaffe_lite import rng
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.kernels.pooling import LEAST
from pycaffe_lite.phase import TEST
from rigs.layer_rig import CHANNELS_LAST, Rig

Pair = tuple[int, int]


def text(fields: str, tops: str = 'top: "y"') -> str:
    return f'type: "Pooling" bottom: "x" {tops} pooling_param {{ {fields} }}'


def spans(size: int, kernel: int, stride: int, pad: int) -> list[tuple[int, int]]:
    """Caffe's windows along an axis: from where to where, padding up to one pad past the edge."""
    count = ceil((size + 2 * pad - kernel) / stride) + 1
    if pad and (count - 1) * stride >= size + pad:
        count -= 1
    return [(i * stride - pad, min(i * stride - pad + kernel, size + pad)) for i in range(count)]


def naive(x: np.ndarray, dy: np.ndarray, kind: str, kernel: Pair, stride: Pair, pad: Pair) -> tuple[np.ndarray, ...]:
    """Top, bottom diff and indices, window by window."""
    rows, columns = (spans(*axis) for axis in zip(x.shape[2:], kernel, stride, pad, strict=True))
    y, dx = np.zeros((*x.shape[:2], len(rows), len(columns))), np.zeros(x.shape)
    where = np.zeros(y.shape)
    for n, c, i, j in np.ndindex(y.shape):
        (top, bottom), (left, right) = rows[i], columns[j]
        inside = np.s_[n, c, max(top, 0) : min(bottom, x.shape[2]), max(left, 0) : min(right, x.shape[3])]
        if kind == "AVE":
            area = (bottom - top) * (right - left)
            y[n, c, i, j] = x[inside].sum() / area
            dx[inside] += dy[n, c, i, j] / area
        else:
            first = np.unravel_index(np.argmax(x[inside]), x[inside].shape)
            y[n, c, i, j] = x[inside][first]
            dx[inside][first] += dy[n, c, i, j]
            where[n, c, i, j] = (max(top, 0) + first[0]) * x.shape[3] + max(left, 0) + first[1]
    return y, dx, where


@st.composite
def geometry(draw: st.DrawFn) -> tuple[Pair, Pair, Pair, Pair]:
    """Size, kernel, stride and pad; every window sees a pixel."""
    axes = []
    for _ in range(2):
        kernel = draw(st.integers(1, 5))
        stride, pad = draw(st.integers(1, kernel)), draw(st.integers(0, kernel - 1))
        axes.append((draw(st.integers(kernel, kernel + 7)), kernel, stride, pad))
    size, kernel_, stride_, pad_ = zip(*axes, strict=True)
    return size, kernel_, stride_, pad_


@settings(max_examples=80, deadline=None)
@given(geometry(), st.sampled_from(["MAX", "AVE"]), st.sampled_from([None, CHANNELS_LAST]), st.booleans())
def test_any_geometry_gives_what_plain_loops_give(
    sides: tuple[Pair, Pair, Pair, Pair], kind: str, order: tuple[int, ...] | None, gaps: bool
) -> None:
    """With whole numbers from 0 to 3 most windows have ties."""
    size, kernel, stride, pad = sides
    generator = np.random.default_rng(0)
    x = generator.integers(0, 4, (2, 3, *size)).astype(np.float64)
    names = [("kernel", kernel), ("stride", stride), ("pad", pad)]
    fields = " ".join(f"{name}_{side}: {value}" for name, pair in names for side, value in zip("hw", pair, strict=True))
    tops = 'top: "y" top: "where"' if kind == "MAX" else 'top: "y"'
    rig = Rig(text(f"pool: {kind} {fields}", tops), [x], dtype=np.float64, order=order, gaps=gaps)
    dy = generator.normal(size=rig.top[0].shape)
    y, dx, where = naive(x, dy, kind, kernel, stride, pad)
    ours = rig.forward()
    np.testing.assert_allclose(ours[0], y, rtol=1e-12)
    if kind == "MAX":
        np.testing.assert_array_equal(ours[1], where)
    diffs = [dy, np.zeros(dy.shape)][: len(ours)]
    np.testing.assert_allclose(rig.backward(diffs)[0], dx, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernel", [16, 20, 260])
def test_kernels_with_many_taps(kernel: int) -> None:
    """Winners are counted in the smallest type that holds the kernel."""
    x = np.random.default_rng(1).integers(0, 50, (1, 2, kernel + 3, kernel + 4)).astype(np.float64)
    rig = Rig(text(f"kernel_size: {kernel} stride: 3"), [x], dtype=np.float64)
    dy = np.random.default_rng(2).normal(size=rig.top[0].shape)
    y, dx, _ = naive(x, dy, "MAX", (kernel, kernel), (3, 3), (0, 0))
    np.testing.assert_array_equal(rig.forward()[0], y)
    np.testing.assert_allclose(rig.backward([dy])[0], dx, rtol=1e-12)


def test_a_window_with_nothing_but_nan_gives_no_gradient() -> None:
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    x[0, 0, :2, :2] = np.nan
    rig = Rig(text("kernel_size: 2 stride: 2"), [x])
    y = rig.forward()[0]
    assert np.isnan(y[0, 0, 0, 0])
    assert np.all(np.isfinite(y.ravel()[1:]))
    (dx,) = rig.backward([np.ones((1, 1, 2, 2))])
    assert dx.sum() == 3
    assert dx[0, 0, 1, 3] == dx[0, 0, 3, 1] == dx[0, 0, 3, 3] == 1


def test_nan_in_overlapping_windows_leaves_the_others_their_gradient() -> None:
    x = np.arange(25.0).reshape(1, 1, 5, 5)
    x[0, 0, 0, 0] = np.nan
    rig = Rig(text("kernel_size: 3 pad: 1"), [x])
    rig.forward()
    (dx,) = rig.backward([np.ones((1, 1, 5, 5))])
    assert dx.sum() == 25 - 4  # four windows see the corner


@pytest.mark.parametrize("kind", ["MAX", "AVE"])
def test_a_window_beyond_the_image_has_no_pixel(kind: str) -> None:
    """With a stride longer than the kernel the last window may begin behind the edge; Caffe keeps it."""
    x = np.ones((1, 1, 5, 5))
    rig = Rig(text(f"pool: {kind} kernel_size: 1 stride: 3"), [x])
    y = rig.forward()[0]
    assert y.shape == (1, 1, 3, 3)
    assert np.all(y[0, 0, 2] == (LEAST if kind == "MAX" else 0))
    (dx,) = rig.backward([np.ones(y.shape)])
    assert dx.sum() == 4


def test_the_stride_of_a_single_window_does_not_matter() -> None:
    x = np.random.default_rng(3).normal(size=(2, 1, 4, 4))
    for kind in ("MAX", "AVE"):
        near, far = (
            Rig(text(f"pool: {kind} kernel_size: 3 stride: {s} round_mode: FLOOR"), [x]) for s in (3, 2**31 - 1)
        )
        np.testing.assert_array_equal(near.forward()[0], far.forward()[0])
        np.testing.assert_array_equal(*(rig.backward([np.ones((2, 1, 1, 1))])[0] for rig in (near, far)))


@pytest.mark.parametrize("kind", ["MAX", "AVE"])
def test_no_images(kind: str) -> None:
    rig = Rig(text(f"pool: {kind} kernel_size: 2 stride: 2"), [np.zeros((0, 3, 6, 6))])
    assert rig.forward()[0].shape == (0, 3, 3, 3)
    assert rig.backward([np.zeros((0, 3, 3, 3))])[0].shape == (0, 3, 6, 6)


def test_global_pooling_follows_the_image() -> None:
    rig = Rig(text("pool: AVE global_pooling: true"), [np.ones((1, 2, 3, 4))])
    rig.put([np.full((2, 2, 5, 1), 3.0)])
    rig.reshape()
    np.testing.assert_array_equal(rig.forward()[0], np.full((2, 2, 1, 1), 3))


@pytest.mark.parametrize("order", [None, CHANNELS_LAST])
def test_the_top_lies_in_memory_as_the_bottom(order: tuple[int, ...] | None) -> None:
    rig = Rig(text("kernel_size: 2"), [np.zeros((2, 3, 4, 5))], order=order)
    assert rig.top[0].order == order


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("", "expected kernel_size, or kernel_h and kernel_w"),
        ("kernel_h: 2", "expected kernel_size, or"),
        ("kernel_size: 2 kernel_h: 2 kernel_w: 2", "got both"),
        ("kernel_size: 2 stride_h: 2", "expected stride, or stride_h and stride_w"),
        ("kernel_size: 0", "kernel and stride of 1 or more"),
        ("kernel_size: 2 stride: 0", "kernel and stride of 1 or more"),
        ("kernel_size: 2 pad: 2", "pad less than the kernel"),
        ("kernel_size: 9", "larger than the padded image"),
        ("kernel_size: 2 global_pooling: true", "no kernel size with global_pooling"),
        ("pad: 1 global_pooling: true", "pad 0 and stride 1 with global_pooling"),
        ("pool: STOCHASTIC kernel_size: 2 pad: 1", "no pad with STOCHASTIC"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(fields: str, message: str) -> None:
    with pytest.raises(CaffeError, match=message):
        Rig(text(fields), [np.zeros((2, 3, 5, 5))])


def test_only_max_has_indices() -> None:
    with pytest.raises(CaffeError, match="only MAX pooling has a second top"):
        Rig(text("pool: AVE kernel_size: 2", 'top: "y" top: "where"'), [np.zeros((2, 3, 5, 5))])


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 0, 4), (2, 3, 4, 0, 4)])
def test_a_bottom_that_is_no_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(CaffeError, match="4 axes"):
        Rig(text("kernel_size: 2"), [np.zeros(shape)])


# -- STOCHASTIC -----------------------------------------------------------------------------------------------------

STOCHASTIC = 'type: "Pooling" bottom: "x" top: "y" pooling_param { pool: STOCHASTIC kernel_size: 2 stride: 2 }'


def positive(generator: np.random.Generator) -> np.ndarray:
    return generator.uniform(0, 1, (2, 3, 5, 6))


@pytest.mark.parametrize("order", [None, CHANNELS_LAST])
def test_the_first_pixel_whose_sum_reaches_u_times_the_whole_sum(
    generator: np.random.Generator, order: tuple[int, ...] | None
) -> None:
    """u is drawn in logical order, whatever the memory."""
    x = positive(generator).astype(np.float32)
    rig = Rig(STOCHASTIC, [x], order=order)
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
    rig = Rig(STOCHASTIC, [positive(generator)])
    first = rig.forward()[0]
    rig.layer.forward(rig.bottom, rig.top)
    assert np.any(rig.top[0].data != first)


def test_in_the_mean_the_draws_are_what_test_computes(generator: np.random.Generator) -> None:
    x = np.tile(np.array([[0.1, 0.0], [0.3, 0.6]]), (50, 50))[None, None]
    drawn = Rig(STOCHASTIC, [x]).forward()[0]
    averaged = Rig(STOCHASTIC, [x], phase=TEST).forward()[0]
    np.testing.assert_allclose(averaged, 0.46, rtol=1e-6)  # 0.1² + 0.3² + 0.6², the sum being 1
    assert drawn.mean() == pytest.approx(0.46, abs=0.02)
    assert not np.any(drawn == 0)


def test_windows_of_zeros_give_zero_and_no_gradient_in_test() -> None:
    x = np.zeros((1, 1, 4, 4))
    assert not Rig(STOCHASTIC, [x]).forward()[0].any()
    rig = Rig(STOCHASTIC, [x], phase=TEST)
    assert not rig.forward()[0].any()
    assert not rig.backward([np.ones((1, 1, 2, 2))])[0].any()


def test_a_window_with_nan_gives_nan_in_training(generator: np.random.Generator) -> None:
    x = positive(generator)
    x[0, 0, 0, 1] = np.nan
    y = Rig(STOCHASTIC, [x]).forward()[0]
    assert np.isnan(y[0, 0, 0, 0])
    assert np.count_nonzero(np.isnan(y)) == 1
