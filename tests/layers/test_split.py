"""Split: shares memory forward, sums backward."""

from __future__ import annotations

import numpy as np

from rigs.layer_rig import Rig

TEXT = 'type: "Split" bottom: "x" top: "y" top: "z"'


def test_tops_are_the_bottoms_memory() -> None:
    rig = Rig(TEXT, [np.ones((2, 3))])
    rig.forward()
    assert all(np.shares_memory(top.data, rig.bottom[0].data) for top in rig.top)


def test_tops_follow_a_bottom_that_hands_out_another_array() -> None:
    rig = Rig(TEXT, [np.ones((2, 3))])
    rig.forward()
    rig.bottom[0].data = np.full((2, 3), 5, np.float32)
    rig.layer.forward(rig.bottom, rig.top)
    assert all(np.all(top.data == 5) for top in rig.top)


def test_diffs_are_added_from_left_to_right() -> None:
    rig = Rig('type: "Split" bottom: "x" top: "a" top: "b" top: "c"', [np.zeros(1)])
    rig.forward()
    small = np.float32(2**-24)
    (dx,) = rig.backward([np.ones(1), np.full(1, small), np.full(1, small)])
    assert dx == 1  # from the right it would be 1 + 2**-23


def test_a_top_without_a_diff_counts_zero_and_stays_without() -> None:
    rig = Rig(TEXT, [np.zeros((2, 3))])
    rig.forward()
    rig.top[1].diff[...] = 4
    rig.layer.backward(rig.top, [True], rig.bottom)
    assert np.all(rig.bottom[0].diff == 4)
    assert not rig.top[0].has_diff


def test_no_diffs_at_all_are_zero() -> None:
    rig = Rig(TEXT, [np.zeros((2, 3))])
    rig.bottom[0].diff[...] = 4
    rig.layer.backward(rig.top, [True], rig.bottom)
    assert not rig.bottom[0].diff.any()
