"""Damaged HDF5 files, and lists of them, through an HDF5Data layer."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rigs.data_variants import MANY, Kind, check, damage_file, damaged, run_net
from rigs.net_rig import layer

BATCH = 4


class HDF5(Kind):
    """A list of two files; chance damages the list, a file's bytes, or makes a file of datasets that will not do."""

    names = ("list.txt", "one.h5", "two.h5", "There is no HDF5 file", "/dev/zero", "../variant")

    def make(self, folder: Path) -> None:
        import h5py

        for name, rows in (("one.h5", 5), ("two.h5", 3)):
            with h5py.File(folder / name, "w") as file:
                values = np.random.default_rng(rows).normal(size=(rows, 2, 3, 4)).astype(np.float32)
                file.create_dataset("data", data=values, chunks=(2, 2, 3, 4), compression="gzip")
                file.create_dataset("label", data=np.arange(rows))
        (folder / "list.txt").write_text("one.h5\ntwo.h5\n")

    def damage(self, dice: random.Random, folder: Path) -> None:
        path = folder / dice.choice(("one.h5", "one.h5", "two.h5"))
        what = dice.random()
        if what < 0.1:
            damage_file(dice, folder / "list.txt", pipes=False)
        elif what < 0.2:
            lines = [
                "one.h5",
                dice.choice(("no.h5", "../variant", "/dev/zero", "list.txt", "n" * 5000, "\0", "two.h5", "\x1b[1m")),
            ]
            (folder / "list.txt").write_text("\n".join(lines))
        elif what < 0.55:
            _make_unfit(dice, path)
        else:
            damage_file(dice, path, dice.choice((100, 3000)))
            if dice.random() < 0.3 and path.is_file() and path.stat().st_size:
                path.write_bytes(damaged(dice, path.read_bytes()[: 1 << 20], 2000))

    def read(self, dice: random.Random) -> None:
        shuffle = dice.choice(("", "shuffle: true"))
        param = f'hdf5_data_param {{ source: "list.txt" batch_size: {BATCH} {shuffle} }}'
        run_net(layer("d", "HDF5Data", top=["data", "label"], more=param), BATCH)


KINDS = ("S5", "O", "?", "c8", "f2", "u8", "i1", "f8", "V7", [("a", "f4"), ("b", "i4")])
SHAPES = (
    (),
    (0,),
    (5,),
    (4, 2, 3, 4),
    (5, 0),
    (5, *[1] * 31),
    (5, 2**31),
    (2**40,),
    (5, 10**6, 300),
    (5, 2**28),
    (2**27,),
)


def _make_unfit(dice: random.Random, path: Path) -> None:
    """One of the two datasets is something else."""
    import h5py

    path.unlink()
    with h5py.File(path, "w") as file:
        bad, good = dice.sample(("data", "label"), 2)
        file.create_dataset(good, data=np.zeros((5, 2, 3, 4) if good == "data" else 5, np.float32))
        what = dice.randrange(6)
        if what == 0:
            file.create_dataset(bad, dice.choice(((5,), (5, 2, 3, 4))), _kind(dice, h5py))
        elif what <= 3:
            _claim(dice, file, bad)
        elif what == 4:
            link = (h5py.SoftLink("/no"), h5py.SoftLink(f"/{bad}"), h5py.ExternalLink("no.h5", "x"), h5py.Empty("f4"))
            file[bad] = dice.choice((*link, h5py.ExternalLink(path.name, bad), np.dtype("f4"), "text"))
        elif dice.random() < 0.5:
            file.create_group(bad)


def _kind(dice: random.Random, h5py: Any) -> Any:
    kind = dice.choice(KINDS)
    return h5py.string_dtype() if kind == "O" else np.dtype(kind)


def _claim(dice: random.Random, file: Any, name: str) -> None:
    """A dataset of any shape, of which nothing is in the file."""
    shape = dice.choice(SHAPES)
    options: dict[str, Any] = {}
    if shape and min(shape) and dice.random() < 0.7:
        most = dice.choice((1, 1000, 2**20, 2**28))
        chunks = [min(length, max(1, most)) for length in shape]
        while np.prod(chunks, dtype=object) > most:
            chunks[int(np.argmax(chunks))] //= 2
        options = {"chunks": tuple(max(1, length) for length in chunks), "compression": dice.choice((None, "gzip"))}
        if dice.random() < 0.2:
            options["maxshape"] = (None,) * len(shape)
    file.create_dataset(name, shape, dice.choice(("f4", "f8", "u1")), **options)


FILES = HDF5()


@pytest.mark.parametrize("count", [50, MANY])
def test_hdf5_files(tmp_path: Path, count: int) -> None:
    pytest.importorskip("h5py")
    check(FILES, count, tmp_path, "test_fuzz_hdf5:FILES")
