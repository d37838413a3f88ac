"""Damaged mean files through a Data layer, and arrays that are none through a MemoryData layer."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite.proto.caffe_pb2 import BlobProto
from rigs.data_variants import EXTREMES, MANY, Kind, check, damage_file, run_net
from rigs.idx_files import write_idx
from rigs.net_rig import layer, make_net

BATCH = 4
SHAPE = (1, 6, 5)


class Mean(Kind):
    """Images, and their mean as a .binaryproto; chance damages its bytes or its numbers."""

    names = ("m.binaryproto",)

    def make(self, folder: Path) -> None:
        write_idx(folder / "x-images", np.random.default_rng(1).integers(0, 256, (7, *SHAPE[1:])))
        blob = BlobProto(num=1, channels=1, height=6, width=5, data=np.arange(30))
        (folder / "m.binaryproto").write_bytes(blob.SerializeToString())

    def damage(self, dice: random.Random, folder: Path) -> None:
        path = folder / "m.binaryproto"
        if dice.random() < 0.5:
            damage_file(dice, path, 16)
        else:
            path.write_bytes(_hostile(dice).SerializeToString())

    def read(self, dice: random.Random) -> None:
        crop = dice.choice(("", "crop_size: 3"))
        param = f'data_param {{ source: "x-images" backend: IDX batch_size: {BATCH} }}'
        more = f'{param} transform_param {{ mean_file: "m.binaryproto" {crop} }}'
        run_net(layer("d", "Data", top=["data"], more=more), BATCH)


def _hostile(dice: random.Random) -> BlobProto:
    """A BlobProto of other shapes, of other numbers, or of more of both than go together."""
    numbers = (*(number for number in EXTREMES if number < 2**31), -1, -(2**31), 5, 6)
    count = dice.choice((0, 1, 29, 30, 31, 5000))
    values = [dice.choice((0.0, -1.5, 1e30, 1e300, float("nan"), float("inf"))) for _ in range(count)]
    blob = BlobProto(num=1, channels=1, height=6, width=5)
    if dice.random() < 0.5:
        blob.double_data.extend(values)
    else:
        blob.data.extend(value if abs(value) < 1e38 else 0 for value in values)
    if dice.random() < 0.4:
        for name in dice.sample(("num", "channels", "height", "width"), dice.choice((1, 2, 4))):
            setattr(blob, name, dice.choice(numbers))
    elif dice.random() < 0.5:
        axes = dice.choice((1, 2, 3, 3, 4, 4, 5, 40, 10000))
        blob.shape.dim.extend(dice.choice((*numbers, 2**40, 2**62)) for _ in range(axes))
    else:
        blob.shape.dim.extend(SHAPE)
    return blob


class Arrays(Kind):
    """Arrays for MemoryData that are none, are of another shape or type, or claim more than there is memory for."""

    names = ('layer "d" (MemoryData)',)

    def make(self, folder: Path) -> None:
        (folder / "chance").touch()

    def damage(self, dice: random.Random, folder: Path) -> None:
        (folder / "chance").write_text("yes")

    def read(self, dice: random.Random) -> None:
        param = f"memory_data_param {{ batch_size: {BATCH} channels: 1 height: 6 width: 5 }}"
        data, labels = np.zeros((8, *SHAPE), np.float32), np.zeros(8, np.float32)
        if Path("chance").read_text():
            data, labels = (_other(dice, array) if dice.random() < 0.7 else array for array in (data, labels))
        with contextlib.closing(make_net(layer("d", "MemoryData", top=["data", "label"], more=param))) as net:
            net.layers[0].set_input_arrays(data, labels)
            for _ in range(3):
                net.forward()
                assert net.blobs["data"].data.shape == (BATCH, *SHAPE)
                assert net.blobs["label"].data.shape == (BATCH, 1, 1, 1)


def _other(dice: random.Random, array: np.ndarray) -> Any:
    kinds = ("f8", "u1", "i8", "?", "f2", "c8", "O", "S3", "U3", "M8[s]", "m8[s]", [("a", "f4")], "V5")
    shapes = ((), (0,), (8,), (7, *SHAPE), (4, *SHAPE), (8, 1, 5, 6), (8, 30), (0, *SHAPE), (8, 1, 1, 1), (8, 1))
    huge = np.broadcast_to(np.float64(1), (2**32, *SHAPE) if array.ndim > 1 else (2**50,))
    return dice.choice(
        (
            lambda: array.astype(dice.choice(kinds[:7])),
            lambda: np.zeros(array.shape, dice.choice(kinds)),
            lambda: np.zeros(dice.choice(shapes), dice.choice(("f4", "f8"))),
            lambda: np.full(array.shape, dice.choice((1e300, np.nan, np.inf, -1e39))),
            lambda: np.full(array.shape, dice.choice((10**400, None, "x", "1.5")), object),
            lambda: np.asfortranarray(array)[::-1],
            array.tolist,
            lambda: dice.choice((None, 3, "text", b"bytes", {}, [[1], [1, 2]], [10**400], object())),
            lambda: huge,
        )
    )()


MEAN, ARRAYS = Mean(), Arrays()


@pytest.mark.parametrize("count", [40, MANY])
def test_mean_files(tmp_path: Path, count: int) -> None:
    check(MEAN, count, tmp_path, "test_fuzz_arrays:MEAN")


@pytest.mark.parametrize("count", [40, MANY])
def test_arrays_in_memory(tmp_path: Path, count: int) -> None:
    check(ARRAYS, count, tmp_path, "test_fuzz_arrays:ARRAYS")
