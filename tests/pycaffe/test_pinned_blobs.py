"""Blobs whose memory is handed out lie in C order and stay where they are; the layers' numbers stay Caffe's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pycaffe_lite.blob import Blob
from rigs.golden_layers import Golden, manifest

CHANNELS_LAST = (0, 2, 3, 1)
CASES = [entry for entry in manifest() if entry["backward"]]
NAMES = [f"{entry['type']}-{entry['variant']}" for entry in CASES]


@pytest.mark.parametrize("pinned", ["all", "bottoms", "tops"])
@pytest.mark.parametrize("entry", CASES, ids=NAMES)
def test_layers_give_caffes_numbers(entry: dict[str, Any], pinned: str) -> None:
    golden = Golden(entry)
    below = [blob for node in golden.net.nodes[:-1] for blob in node.tops]
    above = golden.net.nodes[-1].tops
    params = golden.net.parameters.blobs
    for blob in {"all": [*below, *above, *params], "bottoms": [*below, *params], "tops": above}[pinned]:
        blob.pin()
    golden.check()


def images(order: tuple[int, ...] | None = CHANNELS_LAST) -> Blob:
    """A blob of 2 x 3 x 4 x 5 values, 0, 1, 2, … in logical order."""
    blob = Blob((2, 3, 4, 5), order)
    blob.data[...] = np.arange(blob.count).reshape(blob.shape)
    return blob


def test_pinning_keeps_the_values_and_gives_c_order() -> None:
    blob = images()
    blob.diff[...] = 3
    blob.pin()
    assert blob.order is None
    assert blob.data.flags.c_contiguous
    np.testing.assert_array_equal(blob.data.reshape(-1), np.arange(120))
    assert (blob.diff == 3).all()


def test_a_pinned_blob_stays_where_it_is() -> None:
    blob = images()
    blob.pin()
    held, held_diff = blob.data, blob.diff
    blob.data = np.full(blob.shape, 4, np.float32)
    blob.diff = np.full(blob.shape, 5, np.float32)
    blob.reshape(2, 3, 4, 5, order=CHANNELS_LAST)
    assert (held == 4).all()
    assert (held_diff == 5).all()
    assert np.shares_memory(held, blob.data)


def test_a_reshape_keeps_what_lies_in_memory() -> None:
    blob = images()
    blob.pin()
    held = blob.data
    blob.reshape(1, 3, 4, 5)
    np.testing.assert_array_equal(blob.data.reshape(-1), np.arange(60))
    blob.reshape(2, 3, 4, 5)
    np.testing.assert_array_equal(blob.data.reshape(-1), np.arange(120))
    assert np.shares_memory(held, blob.data)
    blob.reshape(3, 3, 4, 5)
    np.testing.assert_array_equal(blob.data.reshape(-1)[:120], np.arange(120))
    assert not blob.data.reshape(-1)[120:].any()


def test_a_pinned_blob_can_share_and_be_shared() -> None:
    one, other = images(), images(None)
    one.pin()
    other.share_data(one)
    one.data[0, 0, 0, 0] = 7
    assert other.data[0, 0, 0, 0] == 7
    other.pin()
    assert np.shares_memory(one.data, other.data)


def test_unpinning_gives_the_order_back() -> None:
    blob = images()
    blob.pin()
    blob.data[0, 0, 0, 1] = 9
    blob.unpin()
    assert blob.order == CHANNELS_LAST
    assert blob.data.transpose(CHANNELS_LAST).flags.c_contiguous
    assert blob.data.ravel()[:3].tolist() == [0, 9, 2]


def test_unpinning_after_a_reshape_gives_the_order_asked_for_last() -> None:
    blob = images()
    blob.pin()
    blob.reshape(1, 3, 4, 5, order=CHANNELS_LAST)
    blob.unpin()
    assert blob.order == CHANNELS_LAST
    assert blob.data.shape == (1, 3, 4, 5)


def test_blobs_that_share_memory_move_together() -> None:
    one, other = images(), Blob((2, 3, 4, 5), CHANNELS_LAST)
    other.data = one.data
    one.pin([one, other])
    one.data[...] = 8
    assert (other.data == 8).all()
    one.unpin([one, other])
    assert np.shares_memory(one.data, other.data)
