"""Channels: one value for each channel, whatever the shape, the memory order and the size of the pieces."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pycaffe_lite.blob import Blob
from pycaffe_lite.kernels import channels
from pycaffe_lite.kernels.channels import Channels
from pycaffe_lite.kernels.normalization import mean_and_variance
from rigs.layer_rig import with_gaps

SHAPES = st.lists(st.integers(0, 5), min_size=0, max_size=4)


@pytest.fixture(params=["whole", "cut"])
def pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small arrays once as one piece, and once in many, as large ones are."""
    if request.param == "cut":
        monkeypatch.setattr(channels, "PIECE", 4)
        monkeypatch.setattr(channels, "RUN", 2)
        monkeypatch.setattr(channels, "SHORT", 3)


def make(shape: tuple[int, ...], order: tuple[int, ...], gaps: bool = False) -> Blob:
    blob = Blob(shape, order)
    values = np.random.default_rng(5).normal(size=shape).astype(np.float32)
    if gaps:
        blob.data = with_gaps(values)
    blob.data[...] = values
    return blob


def check(blob: Blob, first: int, last: int) -> None:
    """Both walks against NumPy's broadcasting and sums over the logical array."""
    over = Channels(blob, first, last)
    vector = np.arange(1, over.count + 1, dtype=np.float32)
    x, y = blob.data, np.empty_like(blob.data)
    over.map(lambda x, y, v: np.multiply(x, v, out=y), x, y, vectors=[vector])
    shape = (*[1] * first, *x.shape[first:last], *[1] * (x.ndim - last))
    np.testing.assert_array_equal(y, x * vector.reshape(shape))
    others = tuple(axis for axis in range(x.ndim) if not first <= axis < last)

    def body(add: channels.Callable[..., None], x: np.ndarray, y: np.ndarray, v: np.ndarray) -> None:
        add(1, np.add(x, v, out=y))
        add(0, x)

    sums = over.sums(2, body, x, y, vectors=[vector], written=1)
    np.testing.assert_allclose(sums[0], x.sum(axis=others).reshape(-1), atol=1e-5)
    np.testing.assert_allclose(sums[1], (x + vector.reshape(shape)).sum(axis=others).reshape(-1), atol=1e-4)
    np.testing.assert_array_equal(y, x + vector.reshape(shape))
    assert over.count * over.size == x.size or x.size == 0


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("order", list(permutations(range(4))))
@pytest.mark.parametrize(("first", "last"), [(0, 0), (0, 1), (1, 2), (0, 2), (1, 3), (2, 4), (3, 4), (0, 4), (4, 4)])
def test_any_memory_order(order: tuple[int, ...], first: int, last: int) -> None:
    check(make((2, 6, 4, 5), order), first, last)


@settings(max_examples=60, deadline=None)
@given(shape=SHAPES, data=st.data(), gaps=st.booleans())
def test_any_shape(shape: list[int], data: st.DataObject, gaps: bool) -> None:
    first = data.draw(st.integers(0, len(shape)))
    last = data.draw(st.integers(first, len(shape)))
    order = data.draw(st.permutations(range(len(shape))))
    check(make(tuple(shape), tuple(order), gaps and bool(shape)), first, last)


@pytest.mark.parametrize(
    ("shape", "order"),
    [
        ((3, 5, 200, 300), (0, 1, 2, 3)),  # an image of one channel is cut
        ((70, 7, 50, 50), (0, 2, 3, 1)),
        ((300, 7, 11, 10), (0, 1, 2, 3)),
        ((2, 150_000), (0, 1)),  # so are the channels
        ((100_003, 3), (0, 1)),  # a prime: nothing divides the rows
        ((400_000,), (0,)),
    ],
)
def test_large_arrays(shape: tuple[int, ...], order: tuple[int, ...]) -> None:
    blob = make(shape, order)
    blob.data[...] = np.random.default_rng(3).integers(-8, 8, shape)  # sums of whole numbers are exact
    check(blob, min(1, len(shape) - 1), min(2, len(shape)))
    layout = Channels(blob, 1, 2).layout if len(shape) > 1 else Channels(blob, 0, 1).layout
    assert len(layout.cuts) > 1
    widths = [(c.rows.stop - c.rows.start) * (c.columns.stop - c.columns.start) for c in layout.cuts]
    assert max(widths) <= 2 * channels.PIECE


def test_runs_are_long_where_channels_are_last() -> None:
    layout = Channels(Blob((4, 64, 56, 56), (0, 2, 3, 1)), 1, 2).layout
    assert layout.shape[1] >= channels.RUN


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1)])
@pytest.mark.parametrize("mean", [0, 1e3, -1e5])
def test_mean_and_variance_lose_no_digits(mean: float, order: tuple[int, ...]) -> None:
    blob = Blob((20, 3, 30, 30), order)
    blob.data[...] = np.random.default_rng(5).normal(mean, 0.5, blob.shape)
    exact = blob.data.astype(np.float64)
    ours = mean_and_variance(Channels(blob, 1, 2), blob.data)
    np.testing.assert_allclose(ours[0], exact.mean(axis=(0, 2, 3)), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(ours[1], exact.var(axis=(0, 2, 3)), rtol=1e-4)


def test_variance_of_equal_values_is_0() -> None:
    blob = Blob((5, 2, 7, 9))
    blob.data[...] = 0.1
    np.testing.assert_array_equal(mean_and_variance(Channels(blob, 1, 2), blob.data)[1], [0, 0])
