"""Small records that are read in pieces: the same batches, and errors in their turn."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.data.batches import Pieces
from pycaffe_lite.data.records import Records, Source
from pycaffe_lite.errors import CaffeError
from rigs.decoding_rig import Slow, feed


class Array(Source):
    """Record i is a small image of i's, and they come as one array; one may be broken."""

    name = "array"

    def __init__(self, length: int, broken: int = -1) -> None:
        self.length, self.broken, self.asked = length, broken, list[tuple[int, int]]()

    def __len__(self) -> int:
        return self.length

    def read(self, start: int, count: int) -> Records:
        self.asked.append((start, count))
        end = min(start + count, self.length)
        if start <= self.broken < end:
            raise CaffeError(f"record {self.broken}: broken.")
        numbers = np.arange(start, end)
        return Records(
            np.tile(numbers[:, None, None, None], (1, 1, 4, 5)), numbers.astype(np.float32), end % self.length
        )


def test_pieces_grow_and_give_the_same_batches() -> None:
    source = Array(1000)
    one = feed(source, 64)
    for start in range(0, 20 * 64, 64):
        np.testing.assert_array_equal(one.fill(None).labels, np.arange(start, start + 64) % 1000)
    assert [asked for asked in source.asked if asked[0]] == [(64, 128), (192, 256), (448, 512), (960, 1024)]
    one.restore({"position": 130})
    np.testing.assert_array_equal(one.fill(None).data[:, 0, 3, 4], np.arange(130, 194))


def test_a_broken_record_comes_in_its_turn_from_a_piece_too() -> None:
    one = feed(Array(1000, broken=300), 64)
    for start in (0, 64, 128, 192):
        np.testing.assert_array_equal(one.fill(None).labels, np.arange(start, start + 64))
    for _ in range(3):
        with pytest.raises(CaffeError, match="record 300: broken"):
            one.fill(None)


def test_large_records_are_not_read_ahead() -> None:
    source = Slow()
    pieces = Pieces(source, 8)
    for start in (0, 8, 16):
        assert len(pieces.read(start, 8).labels) == 8
