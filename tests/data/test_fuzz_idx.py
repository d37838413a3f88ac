"""Damaged IDX files: images or labels, raw or gzipped, through a Data layer."""

from __future__ import annotations

import gzip
import random
import struct
from pathlib import Path

import numpy as np
import pytest

from rigs.data_variants import EXTREMES, MANY, Kind, check, damage_file, damaged, run_net
from rigs.idx_files import write_idx
from rigs.net_rig import layer

BATCH = 5


class Idx(Kind):
    """Seven images and their labels; of each both forms are there, and chance says which is damaged."""

    names = ("x-images", "x-labels")

    def make(self, folder: Path) -> None:
        generator = np.random.default_rng(3)
        write_idx(folder / "x-images", generator.integers(0, 256, (7, 6, 5)))
        write_idx(folder / "x-labels", np.arange(7))

    def damage(self, dice: random.Random, folder: Path) -> None:
        path = folder / dice.choice(("x-images", "x-images", "x-labels"))
        data = path.read_bytes()
        if dice.random() < 0.4:
            data = _hostile(dice, data)
            path.write_bytes(data)
        if dice.random() < 0.5:
            packed = gzip.compress(damaged(dice, data, 16) if dice.random() < 0.5 else data, 1, mtime=0)
            if dice.random() < 0.2:
                packed += gzip.compress(dice.randbytes(100), mtime=0)
            path.write_bytes(packed)
        if dice.random() < 0.7:
            damage_file(dice, path, 16)

    def read(self, dice: random.Random) -> None:
        tops = ["data", "label"][: dice.choice((1, 2, 2, 2))]
        shuffle = dice.choice(("", "shuffle: true"))
        transform = dice.choice(("", "", "transform_param { crop_size: 3 mirror: true scale: 0.5 }"))
        param = f'data_param {{ source: "x-images" backend: IDX batch_size: {BATCH} {shuffle} }} {transform}'
        run_net(layer("d", "Data", top=tops, more=param), BATCH)


def _hostile(dice: random.Random, data: bytes) -> bytes:
    """Another head: other types, axes and lengths, up to far more than any disk holds."""
    axes = dice.choice((0, 1, 2, 3, 3, 3, 4, 4, 5, 33, 255))
    shape = [dice.choice((*EXTREMES, 7, 6, 5, 10**6)) for _ in range(axes)]
    kind = dice.choice((8, 8, 8, 9, 0x0B, 0x0C, 0x0D, 0x0E, dice.randrange(256)))
    return struct.pack(f">BBBB{axes}I", 0, 0, kind, axes, *shape) + data[16:]


IDX = Idx()


@pytest.mark.parametrize("count", [40, MANY])
def test_idx_files(tmp_path: Path, count: int) -> None:
    check(IDX, count, tmp_path, "test_fuzz_idx:IDX")
