"""zeros_like: zeros, whatever was there before, that nobody can write to."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.kernels.zeros import zeros_like


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
