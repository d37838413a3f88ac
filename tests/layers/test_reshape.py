"""Reshape and Flatten: shared memory, what needs a copy, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import CHANNELS_LAST, Rig

FLATTEN = 'type: "Flatten" bottom: "x" top: "y" '
RESHAPE = 'type: "Reshape" bottom: "x" top: "y" '
IMAGE = np.arange(120.0).reshape(2, 3, 4, 5)


def test_plain_memory_is_shared_both_ways() -> None:
    rig = Rig(FLATTEN, [IMAGE])
    np.testing.assert_array_equal(rig.forward()[0], IMAGE.reshape(2, 60))
    assert np.shares_memory(rig.top[0].data, rig.bottom[0].data)
    rig.backward([np.ones((2, 60))])
    assert np.shares_memory(rig.top[0].diff, rig.bottom[0].diff)


def test_channels_last_memory_is_copied_in_logical_order() -> None:
    rig = Rig(FLATTEN, [IMAGE], order=CHANNELS_LAST)
    np.testing.assert_array_equal(rig.forward()[0], IMAGE.reshape(2, 60))
    (dx,) = rig.backward([IMAGE.reshape(2, 60)])
    np.testing.assert_array_equal(dx, IMAGE)
    assert rig.bottom[0].diff.strides == rig.bottom[0].data.strides


def test_pixels_of_channels_last_memory_are_joined_without_a_copy() -> None:
    rig = Rig(FLATTEN + "flatten_param { axis: 2 }", [IMAGE], order=CHANNELS_LAST)
    np.testing.assert_array_equal(rig.forward()[0], IMAGE.reshape(2, 3, 20))
    assert np.shares_memory(rig.top[0].data, rig.bottom[0].data)
    np.testing.assert_array_equal(rig.backward([IMAGE.reshape(2, 3, 20)])[0], IMAGE)
    assert rig.bottom[0].diff.strides == rig.bottom[0].data.strides


def test_a_producer_may_change_its_memory_between_two_passes() -> None:
    rig = Rig(FLATTEN, [IMAGE])
    rig.forward()
    for order in (CHANNELS_LAST, None):
        rig.bottom[0].reshape(*IMAGE.shape, order=order)
        rig.bottom[0].data[...] = 2 * IMAGE
        rig.layer.forward(rig.bottom, rig.top)
        np.testing.assert_array_equal(rig.top[0].data, 2 * IMAGE.reshape(2, 60))
        rig.top[0].diff[...] = IMAGE.reshape(2, 60)
        rig.layer.backward(rig.top, [True], rig.bottom)
        np.testing.assert_array_equal(rig.bottom[0].diff, IMAGE)


@pytest.mark.parametrize("order", [None, CHANNELS_LAST])
def test_a_loss_weight_is_not_shared(order: tuple[int, ...] | None) -> None:
    rig = Rig(FLATTEN + "loss_weight: 2", [IMAGE], order=order)
    rig.layer.forward(rig.bottom, rig.top)
    rig.layer.backward(rig.top, [True], rig.bottom)
    assert np.all(rig.bottom[0].diff == 2)
    rig.bottom[0].diff[...] = 0
    assert np.all(rig.top[0].diff == 2)


@pytest.mark.parametrize("type_", ["Flatten", "Reshape"])
def test_in_place_is_refused(type_: str) -> None:
    with pytest.raises(CaffeError, match="cannot work in place"):
        Rig(f'type: "{type_}" bottom: "x" top: "x" reshape_param {{ shape {{ dim: -1 }} }}', [IMAGE])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("axis: 4", "expected an axis"),
        ("end_axis: -5", "expected an axis"),
        ("axis: 2 end_axis: 1", "end_axis not before axis, got axis 2, end_axis 1"),
    ],
)
def test_axes_to_flatten_that_are_not_there_are_refused(fields: str, message: str) -> None:
    with pytest.raises(CaffeError, match=message):
        Rig(FLATTEN + f"flatten_param {{ {fields} }}", [IMAGE])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("shape { dim: 7 dim: -1 }", "product divides the 120 elements"),
        ("shape { dim: 7 }", r"shape of 120 elements, as its bottom \[2, 3, 4, 5\], got \[7\]"),
        ("", "shape of 120 elements"),
        ("shape { dim: -1 dim: -1 }", "at most one -1"),
        ("shape { dim: -2 }", "lengths of 0 or more"),
        ("shape { dim: 2 dim: 3 dim: 20 dim: 1 dim: 0 }", r"expected a bottom axis 4 to copy \(dim: 0\)"),
        ("shape { dim: -1 } axis: 5", "got axis 5, num_axes -1"),
        ("shape { dim: -1 } axis: -6", "got axis -6"),
        ("shape { dim: -1 } axis: 3 num_axes: 2", "within its 4-axis bottom"),
        ("shape { dim: -1 } num_axes: -2", "num_axes of 0 or more, or -1"),
        ("shape { dim: 9223372036854775807 dim: 2 }", "shape of 120 elements"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(fields: str, message: str) -> None:
    with pytest.raises(CaffeError, match=message):
        Rig(RESHAPE + f"reshape_param {{ {fields} }}", [IMAGE])


def test_nothing_is_reshaped_to_nothing_but_not_inferred_from_it() -> None:
    empty = np.zeros((0, 3))
    assert Rig(RESHAPE + "reshape_param { shape { dim: 0 dim: 3 dim: 1 } }", [empty]).top[0].shape == (0, 3, 1)
    with pytest.raises(CaffeError, match="product divides the 0 elements"):
        Rig(RESHAPE + "reshape_param { shape { dim: 0 dim: -1 } }", [empty])
