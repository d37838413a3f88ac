"""Several ranks deal the records of a source among themselves: together they read what one process reads."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite import rng
from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.contract import Place
from pycaffe_lite.layers.feed_base import FeedLayer
from pycaffe_lite.layers.memory_data import MemoryData
from pycaffe_lite.layers.registry import create
from pycaffe_lite.phase import TEST, TRAIN
from pycaffe_lite.ranks import Share
from rigs.layer_rig import layer_param
from rigs.shared_sources import RECORDS, SHUFFLED, SOURCES, data_layer, write_source

CASES = [(kind, False) for kind in SOURCES] + [(kind, True) for kind in SHUFFLED]
BATCH = 8


class Reader:
    """A layer of a source, opened by one of several ranks."""

    def __init__(self, folder: Path, kind: str, batch: int, shuffle: bool, share: Share, phase: int = TRAIN) -> None:
        rng.set_random_seed(3)
        text = data_layer(kind, batch, shuffle).removeprefix("layer {").removesuffix("}\n")
        layer = create(layer_param(text), phase, Place(folder=str(folder), share=share))
        assert isinstance(layer, FeedLayer)
        self.layer, self.tops = layer, [Blob(), Blob()]
        layer.build([], self.tops)

    def next(self) -> list[np.ndarray]:
        self.layer.forward([], self.tops)
        return [top.data.copy() for top in self.tops]


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize(("kind", "shuffle"), CASES)
def test_the_ranks_read_what_one_process_reads(tmp_path: Path, kind: str, shuffle: bool, ranks: int) -> None:
    if kind == "windows" and ranks == 3:
        pytest.skip("a batch of three times as many has another share of objects, rounded down")
    write_source(tmp_path, kind)
    with contextlib.ExitStack() as opened:
        one = Reader(tmp_path, kind, BATCH * ranks, shuffle, Share())
        readers = [Reader(tmp_path, kind, BATCH, shuffle, Share(rank, ranks)) for rank in range(ranks)]
        for reader in (one, *readers):
            opened.callback(reader.layer.close)
        for turn in range(2 * RECORDS // (BATCH * ranks) + 2):
            whole = one.next()
            parts = [reader.next() for reader in readers]
            for top in (0, 1):
                dealt = np.empty_like(whole[top])
                for rank in range(ranks):
                    dealt[rank::ranks] = parts[rank][top]
                if kind == "windows":  # those of each kind stand together
                    dealt, whole[top] = (np.sort(a.reshape(len(a), -1), 0) for a in (dealt, whole[top]))
                np.testing.assert_array_equal(dealt, whole[top], err_msg=f"batch {turn}, top {top}")
            for reader in readers:
                ours, theirs = reader.layer.state(), one.layer.state()
                assert ours.keys() == theirs.keys()
                for name in ours:
                    np.testing.assert_array_equal(ours[name], theirs[name])


@pytest.mark.parametrize(("kind", "shuffle"), CASES)
def test_another_number_of_ranks_goes_on_from_the_same_record(tmp_path: Path, kind: str, shuffle: bool) -> None:
    write_source(tmp_path, kind)
    with contextlib.ExitStack() as opened:
        before = Reader(tmp_path, kind, BATCH, shuffle, Share(1, 2))
        one = Reader(tmp_path, kind, BATCH * 4, shuffle, Share())
        readers = [Reader(tmp_path, kind, BATCH, shuffle, Share(rank, 4)) for rank in range(4)]
        for reader in (before, one, *readers):
            opened.callback(reader.layer.close)
        for _ in range(11):  # into the second epoch
            before.next()
        for reader in (one, *readers):
            reader.layer.restore({**reader.layer.state(), **before.layer.common_state()})
        for _ in range(6):
            whole = one.next()[1]
            parts = [reader.next()[1] for reader in readers]
            if kind != "windows":
                np.testing.assert_array_equal(np.stack(parts, 1).ravel(), whole)


def test_layers_for_testing_read_all(tmp_path: Path) -> None:
    write_source(tmp_path, "idx")
    readers = [Reader(tmp_path, "idx", BATCH, False, share, TEST) for share in (Share(), Share(1, 2))]
    values = [reader.next()[0] for reader in readers]
    for reader in readers:
        reader.layer.close()
    np.testing.assert_array_equal(*values)


def test_arrays_in_memory() -> None:
    text = 'name: "m" type: "MemoryData" memory_data_param { batch_size: 4 channels: 1 height: 1 width: 1 }'
    data, labels = np.arange(20, dtype=np.float32).reshape(20, 1, 1, 1), np.arange(20, dtype=np.float32)
    seen = []
    for share in (Share(0, 3), Share(1, 3), Share(2, 3)):
        layer, tops = create(layer_param(text), TRAIN, Place(share=share)), [Blob(), Blob()]
        assert isinstance(layer, MemoryData)
        layer.build([], tops)
        layer.set_input_arrays(data, labels)
        for _ in range(3):
            layer.forward([], tops)
            seen.append(tops[1].data.ravel().copy())
    dealt = np.array(seen).reshape(3, 12).T.ravel()
    np.testing.assert_array_equal(dealt, np.arange(36) % 20)


def test_a_leveldb_stays_as_it_is(tmp_path: Path) -> None:
    write_source(tmp_path, "leveldb")
    folder = tmp_path / "train-leveldb"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    readers = [Reader(tmp_path, "leveldb", BATCH, False, Share(rank, 2)) for rank in (0, 1)]
    for reader in readers:
        reader.next()
        reader.layer.close()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
