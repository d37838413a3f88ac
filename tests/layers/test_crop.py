"""Crop: the reference's diff, memory order, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import CHANNELS_LAST, Rig

TEXT = 'type: "Crop" bottom: "x" bottom: "like" top: "y" '


def test_a_reference_that_learns_gets_a_diff_of_zero() -> None:
    rig = Rig(TEXT, [np.ones((1, 1, 4, 4)), np.ones((1, 1, 2, 2))])
    for blob in rig.bottom:
        blob.diff[...] = 9
    dx, dlike = rig.backward([np.ones((1, 1, 2, 2))], [True, True])
    assert dx.sum() == 4
    assert not dlike.any()


def test_the_top_lies_in_memory_as_the_first_bottom() -> None:
    rig = Rig(TEXT, [np.ones((1, 3, 4, 4)), np.ones((1, 3, 2, 2))], order=CHANNELS_LAST)
    assert rig.top[0].order == CHANNELS_LAST


def test_a_reference_may_have_more_axes() -> None:
    assert Rig(TEXT, [np.ones((1, 1, 4, 4)), np.ones((1, 1, 2, 2, 7))]).forward()[0].shape == (1, 1, 2, 2)


@pytest.mark.parametrize(
    ("fields", "reference", "message"),
    [
        ("axis: 4", (2, 3, 2, 2), "expected an axis"),
        ("", (2, 3, 2), "reference with 4 axes"),
        ("", (2, 3, 2, 6), "along axis 3, offset 0 and length 6 out of 5"),
        ("offset: 3", (2, 3, 2, 2), "along axis 2, offset 3 and length 2 out of 4"),
        ("offset: 4294967295", (2, 3, 2, 2), "offset 4294967295"),
        ("offset: 1 offset: 1 offset: 1", (2, 3, 2, 2), "one for each of the 2 cut axes, got 3"),
    ],
)
def test_parts_that_do_not_fit_are_refused(fields: str, reference: tuple[int, ...], message: str) -> None:
    with pytest.raises(CaffeError, match=message):
        Rig(TEXT + f"crop_param {{ {fields} }}", [np.zeros((2, 3, 4, 5)), np.zeros(reference)])
