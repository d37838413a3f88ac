"""SPP: the Poolings it is made of, images of several sizes, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import CHANNELS_LAST, Rig


def text(fields: str) -> str:
    return f'type: "SPP" bottom: "x" top: "y" spp_param {{ {fields} }}'


@pytest.mark.parametrize("order", [None, CHANNELS_LAST])
def test_each_level_is_a_pooling(generator: np.random.Generator, order: tuple[int, ...] | None) -> None:
    x = generator.normal(size=(2, 3, 8, 6))
    pyramid = Rig(text("pyramid_height: 2"), [x], order=order)
    (y,) = pyramid.forward()
    dy = generator.normal(size=y.shape)
    (dx,) = pyramid.backward([dy])
    total, begin = np.zeros(x.shape), 0
    for bins, kernel in ((1, (8, 6)), (2, (4, 3))):
        sides = " ".join(f"{name}_{s}: {k}" for name in ("kernel", "stride") for s, k in zip("hw", kernel, strict=True))
        level = Rig(f'type: "Pooling" bottom: "x" top: "y" pooling_param {{ {sides} }}', [x], order=order)
        end = begin + 3 * bins * bins
        np.testing.assert_array_equal(level.forward()[0].reshape(2, -1), y[:, begin:end])
        total += level.backward([dy[:, begin:end].reshape(2, 3, bins, bins)])[0]
        begin = end
    np.testing.assert_allclose(dx, total, rtol=1e-5, atol=1e-6)


def test_images_of_any_size_give_as_many_values() -> None:
    rig = Rig(text("pyramid_height: 3"), [np.ones((2, 3, 8, 8))])
    for size in ((8, 8), (13, 31), (4, 40)):
        rig.put([np.ones((2, 3, *size))])
        rig.reshape()
        assert rig.forward()[0].shape == (2, 63)


@pytest.mark.parametrize(
    ("fields", "shape", "message"),
    [
        ("", (1, 1, 4, 4), "pyramid_height of 1 or more"),
        ("pyramid_height: 3", (1, 1, 4, 3), r"large enough for 4 bins a side.*pyramid_height 2 would do"),
        ("pyramid_height: 3", (1, 1, 5, 8), "large enough for 4 bins"),
        ("pyramid_height: 4294967295", (1, 1, 4, 4), "large enough for 8 bins"),
        ("pyramid_height: 1", (1, 1, 4), "4 axes"),
        ("pyramid_height: 1", (1, 1, 0, 4), "4 axes"),
    ],
)
def test_images_that_are_too_small_are_refused(fields: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(CaffeError, match=message):
        Rig(text(fields), [np.zeros(shape)])
