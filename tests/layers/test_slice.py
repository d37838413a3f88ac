"""Slice: memory order, tops nobody asks a diff of, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import CHANNELS_LAST, Rig

TWO = 'type: "Slice" bottom: "x" top: "y" top: "z" '


def test_channels_last_bottoms_give_channels_last_tops() -> None:
    rig = Rig(TWO, [np.ones((2, 4, 3, 5))], order=CHANNELS_LAST)
    assert [blob.order for blob in rig.top] == [CHANNELS_LAST] * 2


def test_tops_are_copies_that_layers_may_overwrite() -> None:
    rig = Rig(TWO, [np.ones((2, 4))])
    rig.forward()
    rig.top[0].data[...] = 5
    assert np.all(rig.bottom[0].data == 1)


def test_a_single_top_shares_its_memory() -> None:
    rig = Rig('type: "Slice" bottom: "x" top: "y"', [np.ones((2, 4))])
    rig.forward()
    assert np.shares_memory(rig.top[0].data, rig.bottom[0].data)


def test_a_top_without_a_diff_counts_zero_and_stays_without() -> None:
    rig = Rig(TWO, [np.ones((2, 4))])
    rig.top[0].diff[...] = 2
    rig.bottom[0].diff[...] = 9
    rig.layer.backward(rig.top, [True], rig.bottom)
    assert np.array_equal(rig.bottom[0].diff, [[2, 2, 0, 0]] * 2)
    assert not rig.top[1].has_diff


def test_the_last_part_may_be_empty() -> None:
    rig = Rig(TWO + "slice_param { slice_point: 4 }", [np.ones((2, 4))])
    assert [top.shape for top in rig.forward()] == [(2, 4), (2, 0)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("axis: 1 slice_dim: 1", "expected axis or slice_dim"),
        ("axis: 3", "expected an axis of its bottom"),
        ("slice_point: 1 slice_point: 2", r"expected 1 slice_point\(s\) for its 2 tops .* got 2"),
        ("slice_point: 0", "expected rising slice_points from 1 to 5, got"),
        ("slice_point: 6", "expected rising slice_points"),
        ("", "whose length its 2 tops divide, got 5"),
        ("axis: 2 slice_point: 1", "got 1 and length 1"),
    ],
)
def test_parts_that_do_not_fit_are_refused(fields: str, message: str) -> None:
    with pytest.raises(CaffeError, match=message):
        Rig(TWO + f"slice_param {{ {fields} }}", [np.zeros((2, 5, 1))])


def test_points_must_rise() -> None:
    three = 'type: "Slice" bottom: "x" top: "a" top: "b" top: "c" slice_param { slice_point: 3 slice_point: 3 }'
    with pytest.raises(CaffeError, match="rising slice_points"):
        Rig(three, [np.zeros((2, 5))])
