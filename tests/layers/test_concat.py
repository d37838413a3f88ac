"""Concat: memory order, one bottom, bottoms without a diff, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import CHANNELS_LAST, Rig

TWO = 'type: "Concat" bottom: "a" bottom: "b" top: "y" '
ONE = 'type: "Concat" bottom: "a" top: "y" '


def test_channels_last_bottoms_give_a_channels_last_top() -> None:
    rig = Rig(TWO, [np.ones((2, 3, 4, 5)), np.ones((2, 1, 4, 5))], order=CHANNELS_LAST)
    assert rig.top[0].order == CHANNELS_LAST


def test_the_largest_bottom_decides_the_memory_order() -> None:
    rig = Rig(TWO, [np.ones((2, 3, 4, 5)), np.full((2, 4, 4, 5), 2.0)])
    rig.bottom[1].reshape(2, 4, 4, 5, order=CHANNELS_LAST)
    rig.bottom[1].data[...] = 2
    rig.layer.reshape(rig.bottom, rig.top)
    rig.layer.forward(rig.bottom, rig.top)
    assert rig.top[0].order == CHANNELS_LAST
    assert np.all(rig.top[0].data[:, :3] == 1)
    assert np.all(rig.top[0].data[:, 3:] == 2)


@pytest.mark.parametrize("order", [None, CHANNELS_LAST])
def test_one_bottom_is_handed_on_without_a_copy(order: tuple[int, ...] | None) -> None:
    rig = Rig(ONE, [np.ones((2, 3, 4, 5))], order=order)
    rig.forward()
    assert np.shares_memory(rig.top[0].data, rig.bottom[0].data)
    rig.backward([np.full((2, 3, 4, 5), 7.0)])
    assert np.shares_memory(rig.top[0].diff, rig.bottom[0].diff)
    assert rig.bottom[0].diff.strides == rig.bottom[0].data.strides


def test_a_bottom_that_wants_no_diff_gets_none() -> None:
    rig = Rig(TWO, [np.ones((2, 3)), np.ones((2, 1))])
    rig.top[0].diff[...] = np.arange(8).reshape(2, 4)
    rig.layer.backward(rig.top, [False, True], rig.bottom)
    assert not rig.bottom[0].has_diff
    assert np.array_equal(rig.bottom[1].diff, [[3], [7]])


def test_empty_parts_are_parts() -> None:
    rig = Rig(TWO, [np.ones((2, 0, 4)), np.ones((2, 3, 4))])
    assert rig.forward()[0].shape == (2, 3, 4)


@pytest.mark.parametrize(
    ("fields", "shapes", "message"),
    [
        ("axis: 1 concat_dim: 1", ((2, 3), (2, 3)), "expected axis or concat_dim"),
        ("axis: 2", ((2, 3), (2, 3)), "expected an axis of its bottom"),
        ("axis: -3", ((2, 3), (2, 3)), "expected an axis"),
        ("concat_dim: 4294967295", ((2, 3), (2, 3)), "expected an axis"),
        ("", ((2, 3, 4, 4), (2, 3)), r"one shape but for axis 1, got \[2, 3, 4, 4\] and, as bottom 1, \[2, 3\]"),
        ("", ((2, 3, 4), (2, 3, 5)), "one shape but for axis 1"),
        ("axis: 0", ((2, 3), (2, 4)), "one shape but for axis 0"),
    ],
)
def test_bottoms_that_do_not_fit_are_refused(fields: str, shapes: tuple[tuple[int, ...], ...], message: str) -> None:
    with pytest.raises(CaffeError, match=message):
        Rig(TWO + f"concat_param {{ {fields} }}", [np.zeros(shape) for shape in shapes])


def test_a_loss_weight_survives_a_layer_below_that_works_in_place() -> None:
    """The one top diff that holds a loss weight is not shared with the bottom."""
    rig = Rig(ONE + "loss_weight: 3", [np.ones((2, 2))])
    rig.layer.forward(rig.bottom, rig.top)
    rig.layer.backward(rig.top, [True], rig.bottom)
    assert np.all(rig.bottom[0].diff == 3)
    rig.bottom[0].diff[...] = 0
    assert np.all(rig.top[0].diff == 3)
