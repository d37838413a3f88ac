"""elementwise: every element once, whatever the size, the shape and the memory order; shared zeros."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.kernels.elementwise import PIECE, WORTH_SHARING, elementwise, zeros_like
from pycaffe_lite.parallel import set_num_threads

LONG = 2 * WORTH_SHARING


def add_one(x: np.ndarray, y: np.ndarray) -> None:
    np.add(x, 1, out=y)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("shape", [(), (0,), (5, 3), (LONG,), (1, LONG), (7, LONG // 5), (2, 3, 300, 301)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_element_is_written_once(shape: tuple[int, ...], order: str, threads: int) -> None:
    set_num_threads(threads)
    x = np.asarray(np.random.default_rng(1).normal(size=shape), np.float32, order="C").copy(order)
    elementwise(add_one, x, x)
    expected = np.random.default_rng(1).normal(size=shape).astype(np.float32) + np.float32(1)
    np.testing.assert_array_equal(x, expected)


def test_large_arrays_are_cut_into_pieces_that_fit_a_cache() -> None:
    sizes = []
    elementwise(lambda x: sizes.append(x.size), np.zeros((LONG // 4, 4), np.float32))
    assert sum(sizes) == LONG
    assert max(sizes) <= PIECE


def test_small_arrays_are_not_cut() -> None:
    x = np.zeros((WORTH_SHARING // 4 - 1, 4), np.float32)
    sizes = []
    elementwise(lambda x: sizes.append(x.size), x)
    assert sizes == [x.size]


@pytest.mark.parametrize(("shape", "whole"), [((LONG // 4, 4), 0), ((3, LONG), 1), ((LONG,), 0)])
def test_the_whole_axis_is_not_cut(shape: tuple[int, ...], whole: int) -> None:
    lengths = set()
    elementwise(lambda x: lengths.add(x.shape[whole]), np.zeros(shape, np.float32), whole=whole)
    assert lengths == {shape[whole]}


def test_pieces_follow_the_memory_order() -> None:
    shapes = set()
    channels_last = np.zeros((4, 300, 200, 8), np.float32).transpose(0, 3, 1, 2)[:1]
    elementwise(lambda x: shapes.add(x.shape[1:2] + x.shape[3:]), channels_last)
    assert shapes == {(8, 200)}  # cut along the rows, the outermost axis of more than one element


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3, 4, 5), (3, 100_000)])
def test_zeros_of_shape_and_type(shape: tuple[int, ...], dtype: type) -> None:
    zeros = zeros_like(np.ones(shape, dtype))
    assert (zeros.shape, zeros.dtype) == (shape, dtype)
    assert not zeros.any()


def test_zeros_have_the_memory_order_of_their_model() -> None:
    model = np.zeros((2, 3, 4, 5), np.float32).transpose(0, 3, 1, 2)
    assert zeros_like(model).strides == model.strides


def test_zeros_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        zeros_like(np.ones(3, np.float32))[0] = 1
