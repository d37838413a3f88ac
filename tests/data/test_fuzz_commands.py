"""Commands over damaged inputs: each does its work or ends with one sentence, and half of nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST
from rigs.cli_rig import Command
from rigs.data_tools import write_cifar10
from rigs.data_variants import MANY, Kind, check, damage_file, damaged
from rigs.golden_formats import FORMATS
from rigs.idx_files import write_idx
from rigs.image_variants import encoded, hostile_image
from rigs.net_rig import inner_product, layer

DATA = 'data_param { source: "x-images" backend: IDX batch_size: 3 }'
COMMANDS = (
    ("convert-mnist", ("x-images", "x-labels", "out"), ("x-images", "x-labels")),
    ("convert-imageset", ("", "list.txt", "out"), ("a.png", "b.jpg", "list.txt")),
    (
        "convert-imageset",
        ("", "list.txt", "out", "--encode_type", "jpg", "--resize_width", "9", "--resize_height", "7"),
        ("a.png", "list.txt"),
    ),
    ("convert-cifar", ("cifar", "made"), ("cifar/data_batch_1.bin", "cifar/data_batch_5.bin", "cifar/test_batch.bin")),
    ("compute-image-mean", ("db", "out"), ("db/data.mdb",)),
    ("compute-image-mean", ("x-images", "out"), ("x-images",)),
    ("data-info", ("db", "-o", "out.png"), ("db/data.mdb",)),
    ("data-info", ("x-images",), ("x-images", "x-labels")),
    ("data-info", ("list.txt",), ("a.png", "b.jpg", "list.txt")),
    ("data-info", ("x.h5",), ("x.h5",)),
    ("data-info", ("m.binaryproto", "-o", "out.png"), ("m.binaryproto",)),
    (
        "extract-features",
        ("net.caffemodel", "net.prototxt", "ip", "out", "3", "lmdb"),
        ("net.caffemodel", "net.prototxt", "x-images"),
    ),
)
"""Commands, their arguments, and the files that they read."""


class Commands(Kind):
    """Everything that the commands read; chance chooses a command and one of its files."""

    names = (
        "x-",
        "list.txt",
        "cifar",
        "db",
        "net.",
        "Expected images in the folder",
        "a.png",
        "b.jpg",
        "x.h5",
        "m.binary",
    )
    least_refused = 0.2

    def __init__(self) -> None:
        self.chosen = ("convert-mnist", "x-images", "x-labels", "out")

    def make(self, folder: Path) -> None:
        write_idx(folder / "x-images", np.random.default_rng(3).integers(0, 256, (7, 6, 5)))
        write_idx(folder / "x-labels", np.arange(7) % 3)
        for name in ("a.png", "b.jpg"):
            (folder / name).write_bytes(encoded(name[-3:]))
        (folder / "list.txt").write_text("a.png 0\nb.jpg 1\n")
        for name in ("cifar", "made"):
            (folder / name).mkdir()
        write_cifar10(folder / "cifar", records=2)
        shutil.copytree(FORMATS / "db" / "raw_lmdb", folder / "db")
        shutil.copyfile(FORMATS / "mean" / "raw.binaryproto", folder / "m.binaryproto")
        shutil.copyfile(FORMATS / "hdf5" / "two.h5", folder / "x.h5")
        net = layer("d", "Data", top=["data", "label"], more=DATA) + inner_product("ip", "data", 2)
        (folder / "net.prototxt").write_text(net)
        os.chdir(folder)
        with contextlib.closing(Net("net.prototxt", phase=TEST)) as built:
            built.save("net.caffemodel")

    def damage(self, dice: random.Random, folder: Path) -> None:
        name, arguments, files = dice.choice(COMMANDS)
        self.chosen = (name, *arguments)
        path = folder / dice.choice(files)
        if path.suffix in (".png", ".jpg") and dice.random() < 0.7:
            path.write_bytes(hostile_image(dice))
        elif path.suffix == ".bin" and dice.random() < 0.5:
            path.write_bytes(damaged(dice, path.read_bytes(), 1))
        else:
            damage_file(dice, path, pipes=path.suffix not in (".txt", ".prototxt", ".caffemodel"))

    def read(self, dice: random.Random) -> None:
        before = {path.name for path in Path().iterdir()}
        command = Command(*self.chosen)
        new = {path.name for path in Path().iterdir()} - before
        assert not any(name.endswith(".tmp") for name in new), new
        if command.status:
            assert not new & {"out", "out.png"}, f"half of a file is left: {new}"
            raise CaffeError(command.sentence())


INPUTS = Commands()


@pytest.mark.parametrize("count", [36, MANY])
def test_commands(tmp_path: Path, count: int) -> None:
    pytest.importorskip("lmdb")
    pytest.importorskip("cv2")
    check(INPUTS, count, tmp_path, "test_fuzz_commands:INPUTS")
