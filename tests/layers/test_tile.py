"""Tile: memory order and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import CHANNELS_LAST, Rig

TEXT = 'type: "Tile" bottom: "x" top: "y" '


def test_the_whole_blob_comes_again_and_not_each_value() -> None:
    rig = Rig(TEXT + "tile_param { tiles: 2 }", [np.array([[1.0, 2.0]])], order=None)
    np.testing.assert_array_equal(rig.forward()[0], [[1, 2, 1, 2]])


def test_the_top_lies_in_memory_as_the_bottom() -> None:
    rig = Rig(TEXT + "tile_param { tiles: 2 }", [np.ones((1, 2, 3, 4))], order=CHANNELS_LAST)
    assert rig.top[0].order == CHANNELS_LAST


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("", "tiles of 1 or more, got 0"),
        ("tiles: -1", "tiles of 1 or more, got -1"),
        ("tiles: 2 axis: 2", "expected an axis"),
        ("tiles: 2000000000", r'layer "layer" \(Tile\): .*2\*\*31'),
    ],
)
def test_tiles_that_make_no_sense_are_refused(fields: str, message: str) -> None:
    with pytest.raises(CaffeError, match=message):
        Rig(TEXT + f"tile_param {{ {fields} }}", [np.ones((2, 3))])
