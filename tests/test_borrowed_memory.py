"""Borrowed memory: nobody else gets it until it is given back, and then the next one does."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from pycaffe_lite.kernels.convolution import sum_product
from pycaffe_lite.memory import BOOL, Loans, borrow, borrow_like

FLOAT = np.dtype(np.float32)


@pytest.mark.parametrize("sizes", [(100, 100), (10, 1000), (1000, 10)])
def test_nested_users_never_share(sizes: tuple[int, int]) -> None:
    for _ in range(2):
        with borrow((sizes[0],), FLOAT) as outer:
            outer.fill(1)
            with borrow((sizes[1],), FLOAT) as inner:
                inner.fill(2)
                with Loans() as loans:
                    loans.take((5, 7), BOOL).fill(True)
                    loans.take(sizes, FLOAT).fill(3)
                assert np.all(inner == 2)
            assert np.all(outer == 1)


def test_a_user_may_call_another_that_does_the_same() -> None:
    """Both add a product by way of borrowed memory, the inner one while the outer one's still holds its numbers."""
    a, b = np.ones((3, 4), np.float32), np.ones((4, 5), np.float32)
    with borrow((3, 5), FLOAT) as product:
        np.dot(a, b, out=product)
        total = np.zeros((3, 5), np.float32)
        sum_product(2 * a, b, total, first=False)
        np.testing.assert_array_equal(product, np.full((3, 5), 4))
    np.testing.assert_array_equal(total, np.full((3, 5), 8))


def test_memory_that_has_come_back_is_lent_again() -> None:
    with borrow((1000,), FLOAT) as first:
        address = first.ctypes.data
    with borrow((10, 10), np.dtype(np.float64)) as second:
        assert second.ctypes.data == address


def test_memory_comes_back_after_an_error() -> None:
    with pytest.raises(ValueError, match="oh"), borrow((1000,), FLOAT) as first:
        address = first.ctypes.data
        raise ValueError("oh")
    with borrow((1000,), FLOAT) as second:
        assert second.ctypes.data == address


def test_each_thread_has_its_own() -> None:
    addresses = []

    def other() -> None:
        with borrow((10,), FLOAT) as array:
            addresses.append(array.ctypes.data)

    with borrow((10,), FLOAT) as array:
        mine = array.ctypes.data
    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert mine not in addresses


def test_loans_like_an_array_have_its_memory_order() -> None:
    model = np.zeros((2, 3, 4, 5), np.float32).transpose(0, 3, 1, 2)
    with borrow_like(model, BOOL) as array:
        assert array.shape == model.shape
        assert array.strides == tuple(stride // 4 for stride in model.strides)
    with borrow_like(model, shape=(1, 2, 3, 4)) as array:
        assert (array.shape, array.strides) == ((1, 2, 3, 4), (96, 4, 32, 8))
