"""Damaged databases through a Data layer: LMDBs, LevelDBs, and the Datums in them."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from pycaffe_lite.proto.caffe_pb2 import Datum
from rigs.data_variants import EXTREMES, MANY, Kind, check, damage_file, damaged, run_net
from rigs.golden_formats import FORMATS
from rigs.image_variants import encoded, hostile_image
from rigs.net_rig import layer

BATCH = 5


class Database(Kind):
    """A database of Caffe's in the folder `db`; chance says which, and which of its files is damaged."""

    names = ("db",)

    def __init__(self, backend: str, *golden: str) -> None:
        self.backend, self.golden = backend, golden

    def make(self, folder: Path) -> None:
        shutil.copytree(FORMATS / "db" / self.golden[0], folder / "db")

    def damage(self, dice: random.Random, folder: Path) -> None:
        shutil.rmtree(folder / "db")
        shutil.copytree(FORMATS / "db" / dice.choice(self.golden), folder / "db")
        for _ in range(dice.choice((1, 1, 1, 2))):
            files = [path for path in sorted((folder / "db").iterdir()) if path.is_file()]
            if files:
                self.damage_one(dice, dice.choice(files))

    def damage_one(self, dice: random.Random, path: Path) -> None:
        damage_file(dice, path, dice.choice((64, 4096 + 200)))

    def read(self, dice: random.Random) -> None:
        shuffle = "shuffle: true" if self.backend == "LMDB" and dice.random() < 0.3 else ""
        transform = dice.choice(("", "crop_size: 2 mirror: true", "force_color: true", "force_gray: true"))
        param = f'data_param {{ source: "db" backend: {self.backend} batch_size: {BATCH} {shuffle} }}'
        more = f"{param} transform_param {{ {transform} }}"
        run_net(layer("d", "Data", top=["data", "label"], more=more), BATCH)


class Leveldb(Database):
    """Also with what no random change makes: a table's last bytes that point far beyond it."""

    def damage_one(self, dice: random.Random, path: Path) -> None:
        data = path.read_bytes()
        if path.suffix == ".ldb" and dice.random() < 0.5:
            handles = b"".join(varint(dice.choice((*EXTREMES, 2**40, 2**60, len(data)))) for _ in range(4))
            path.write_bytes(data[:-48] + handles.ljust(40, b"\0")[:40] + data[-8:])
        elif path.suffix == ".ldb" and dice.random() < 0.5:
            path.write_bytes(data[:-48] + damaged(dice, data[-48:], 40))
        else:
            damage_file(dice, path)


class Datums(Kind):
    """An LMDB of four Datums, of which some are damaged or say what cannot be."""

    names = ("db",)

    def make(self, folder: Path) -> None:
        write_lmdb(folder / "db", [good_datum(label).SerializeToString() for label in range(4)])

    def damage(self, dice: random.Random, folder: Path) -> None:
        shutil.rmtree(folder / "db")
        values = [good_datum(label).SerializeToString() for label in range(4)]
        for place in range(4):
            if dice.random() < 0.15 or place == 3:
                values[place] = hostile_datum(dice)
        write_lmdb(folder / "db", values)

    read = Database.read
    backend = "LMDB"


def write_lmdb(path: Path, values: list[bytes]) -> None:
    import lmdb

    with lmdb.open(str(path), map_size=1 << 20, sync=False) as env, env.begin(write=True) as transaction:
        for i, value in enumerate(values):
            transaction.put(b"%04d" % i, value)


def good_datum(label: int = 1) -> Datum:
    return Datum(channels=3, height=12, width=10, data=bytes(range(180)) * 2, label=label)


def hostile_datum(dice: random.Random) -> bytes:
    """The bytes of a record that is none, or that claims what it has not."""
    what = dice.randrange(8)
    datum = good_datum(dice.choice((0, 5, 2**31 - 1, -1, -(2**31))))
    if what == 0:
        return dice.randbytes(dice.choice((0, 1, 7, 400)))
    if what == 1:
        return damaged(dice, datum.SerializeToString(), 12)
    if what == 2:
        return dice.choice((b"\x0b", b"\x22", b"\x22\xff\xff\xff\xff\x0f", b"\x08\xff", b"\x3a\x04")) * 300
    if what == 3:
        for name in dice.sample(("channels", "height", "width"), dice.choice((1, 2, 3))):
            setattr(datum, name, dice.choice((*(number for number in EXTREMES if number < 2**31), -1, -(2**31))))
    elif what == 4:
        datum.data = dice.randbytes(dice.choice((0, 1, 359, 361, 5000)))
    elif what == 5:
        datum.data = dice.choice((b"", datum.data))
        count = dice.choice((1, 359, 360, 361))
        datum.float_data.extend(dice.choice((float("nan"), float("inf"), 3e38, -1.5, 0)) for _ in range(count))
    else:
        datum.encoded = True
        if what == 6:
            datum.data = hostile_image(dice)
        else:
            datum.data = damaged(dice, encoded(dice.choice(("png", "jpg"))), 40)
    return bytes(datum.SerializeToString())


def varint(number: int) -> bytes:
    """A number as LevelDB writes it."""
    digits = bytearray()
    while number >= 128:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes([*digits, number])


LMDB = Database("LMDB", "raw_lmdb", "big_lmdb", "many_lmdb", "png_lmdb", "jpg_lmdb", "float_lmdb")
LEVELDB = Leveldb("LEVELDB", "raw_leveldb", "raw_leveldb_table", "many_leveldb", "png_leveldb", "float_leveldb")
DATUMS = Datums()


@pytest.mark.parametrize("count", [30, MANY])
def test_lmdbs(tmp_path: Path, count: int) -> None:
    pytest.importorskip("cv2")
    check(LMDB, count, tmp_path, "test_fuzz_databases:LMDB")


@pytest.mark.parametrize("count", [40, MANY])
def test_leveldbs(tmp_path: Path, count: int) -> None:
    pytest.importorskip("plyvel")
    pytest.importorskip("cv2")
    check(LEVELDB, count, tmp_path, "test_fuzz_databases:LEVELDB")


@pytest.mark.parametrize("count", [40, MANY])
def test_datums(tmp_path: Path, count: int) -> None:
    pytest.importorskip("lmdb")
    pytest.importorskip("cv2")
    check(DATUMS, count, tmp_path, "test_fuzz_databases:DATUMS")
