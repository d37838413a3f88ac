"""Damaged npz and csv files through a Data layer."""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rigs.data_variants import EXTREMES, MANY, Kind, check, damage_file, damaged, run_net
from rigs.net_rig import layer

BATCH = 5


class Table(Kind):
    """A table of seven records, as npz or as csv."""

    def __init__(self, backend: str) -> None:
        self.backend, self.path = backend, f"x.{backend.lower()}"
        self.names = (self.path,)

    def make(self, folder: Path) -> None:
        generator = np.random.default_rng(2)
        if self.backend == "NPZ":
            images = generator.integers(0, 256, (7, 3, 4, 5)).astype(np.uint8)
            np.savez_compressed(folder / self.path, data=images, label=np.arange(7))
        else:
            rows = "\n".join(",".join(map(str, row)) for row in generator.integers(0, 256, (7, 6)))
            (folder / self.path).write_text(f"label,a,b,c,d,e\n{rows}\n")

    def damage(self, dice: random.Random, folder: Path) -> None:
        path = folder / self.path
        if dice.random() < 0.5:
            path.write_bytes(_archive(dice) if self.backend == "NPZ" else _text(dice, path.read_text()))
        else:
            damage_file(dice, path, dice.choice((64, 2000)), pipes=self.backend == "NPZ")

    def read(self, dice: random.Random) -> None:
        tops = ["data", "label"][: dice.choice((1, 2, 2, 2))]
        shuffle = dice.choice(("", "shuffle: true"))
        param = f'data_param {{ source: "{self.path}" backend: {self.backend} batch_size: {BATCH} {shuffle} }}'
        run_net(layer("d", "Data", top=tops, more=param), BATCH)


def _archive(dice: random.Random) -> bytes:
    """An archive whose members are damaged inside, or are arrays of other types, shapes and names."""
    out = io.BytesIO()
    kind = dice.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(out, "w", kind) as archive:
        for name in dice.choice(
            (("data", "label"), ("data", "label"), ("x", "y"), ("data",), ("label",), ("a", "b", "c"))
        ):
            member = _member(dice, name)
            archive.writestr(f"{name}{dice.choice(('.npy', '.npy', '.npy', '.txt'))}", member)
    return out.getvalue()


def _member(dice: random.Random, name: str) -> bytes:
    shape: tuple[int, ...] = (7,) if name in ("label", "y") else (7, 3, 4, 5)
    array: Any = np.zeros(shape, np.uint8)
    if dice.random() < 0.4:
        kind = dice.choice(("f8", "i8", "?", "c8", "S3", "U2", "M8[s]", "V5", "f2", ">i2"))
        array = np.zeros(dice.choice((shape, (), (0,), (7,), (7, 0), (6, 3), (7, 3, 4, 5, 1))), kind)
    elif dice.random() < 0.1:
        array = np.array([{"not": "a number"}] * 7, object)
    file = io.BytesIO()
    np.save(file, array)
    data = file.getvalue()
    if dice.random() < 0.3:
        wrong = (
            f"({', '.join(str(dice.choice((*EXTREMES, 2**40, 2**62, -1))) for _ in range(dice.choice((1, 4, 40))))},)"
        )
        head = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {wrong}, }}".encode().ljust(117) + b"\n"
        data = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + data[128:]
    elif dice.random() < 0.3:
        data = damaged(dice, data, 128)
    return data


WORDS = ("", "x", "nan", "-inf", "1e999", "-1", "0.5", "9" * 400, '"1"', "1;2", "label", "\u0663", "\0", " 7 ", "0x10")


def _text(dice: random.Random, text: str) -> bytes:
    rows = [line.split(",") for line in text.splitlines()]
    for _ in range(dice.choice((1, 1, 3))):
        row = dice.choice((0, 1, dice.randrange(len(rows))))
        what = dice.randrange(4)
        if what == 0:
            del rows[row][-1:]
        elif what == 1:
            rows[row].append(dice.choice(WORDS))
        elif what == 2:
            rows.insert(row, dice.choice(([], ["# comment"], ["1"] * 100_000)))
        elif rows[row]:
            rows[row][dice.randrange(len(rows[row]))] = dice.choice(WORDS)
    return dice.choice(("\n", "\r\n", "\r")).join(",".join(row) for row in rows).encode()


NPZ, CSV = Table("NPZ"), Table("CSV")


@pytest.mark.parametrize("count", [40, MANY])
def test_npz_files(tmp_path: Path, count: int) -> None:
    check(NPZ, count, tmp_path, "test_fuzz_tables:NPZ")


@pytest.mark.parametrize("count", [40, MANY])
def test_csv_files(tmp_path: Path, count: int) -> None:
    check(CSV, count, tmp_path, "test_fuzz_tables:CSV")
