"""The binary version of CIFAR-10 and CIFAR-100 as records for databases.

A record is the label, one byte, in CIFAR-100 two (of 20 coarse and of 100 fine classes), and the pixels: three
planes, red, green, blue, of 32 x 32 bytes.

Source: A. Krizhevsky, Learning multiple layers of features from tiny images, 2009.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite import log
from pycaffe_lite.errors import FileError
from pycaffe_lite.paths import find_file, unreadable
from pycaffe_lite.tools.databases import plain_datum
from pycaffe_lite.tools.means import MeanImage

LABELS = ("fine", "coarse")

_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32


class Cifar(NamedTuple):
    """Which of the two it is, and how its files are laid out.

    Attributes:
        name: cifar10 or cifar100, with which Caffe's database names begin.
        train, test: the files, in order.
        label_bytes: how many bytes of labels a record begins with.
        label: which of them counts.
        classes: how many classes that label tells apart.
    """

    name: str
    train: list[Path]
    test: list[Path]
    label_bytes: int
    label: int
    classes: int

    def images(self, path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Images, N x 3 x 32 x 32, red, green, blue, and labels of one of the files.

        Raises:
            FileError: the file is missing, damaged, or has labels of no class.
        """
        length = self.label_bytes + _PIXELS
        try:
            size = path.stat().st_size if path.is_file() else 0
            if not size or size % length:
                raise FileError(f"{path}: expected a file of records of {length} bytes, got {size} bytes.")
            rows = np.fromfile(path, np.uint8).reshape(-1, length)
        except OSError as problem:
            raise FileError(f"{path}: cannot be read: {unreadable(problem)}.") from None
        labels = rows[:, self.label]
        if labels.max() >= self.classes:
            record = int((labels >= self.classes).argmax())
            raise FileError(
                f"{path}, record {record}: expected a label below {self.classes}, got {labels[record]}; "
                f"that is no file of {self.name}'s binary version."
            )
        return rows[:, self.label_bytes :].reshape(-1, *_SHAPE), labels

    def records(self, paths: list[Path], mean: MeanImage | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of the records of files: `%05d`, counted from 0, and a Datum.

        Args:
            paths: `train` or `test`.
            mean: to which the images are added.
        """
        number = 0
        for batch, path in enumerate(paths, 1):
            if paths is self.train:
                log.info(f"Training Batch {batch}")
            for image, label in zip(*self.images(path), strict=True):
                if mean is not None:
                    mean.add(image)
                yield b"%05d" % number, plain_datum(image, int(label))
                number += 1


def find_cifar(folder: str, labels: str = "fine") -> Cifar:
    """Finds the files of a folder, or of the folder inside it that CIFAR's own archive makes.

    Args:
        folder: where data_batch_1.bin … data_batch_5.bin and test_batch.bin (CIFAR-10), or train.bin and
            test.bin (CIFAR-100) are.
        labels: one of LABELS; CIFAR-10 has the one kind.

    Raises:
        FileError: there is no such folder, or not all of the files are there.
    """
    root = Path(find_file(folder, what="folder with CIFAR's binary files"))
    for place in (root, root / "cifar-10-batches-bin", root / "cifar-100-binary"):
        if (place / "train.bin").exists():
            coarse = labels == "coarse"
            files = [place / "train.bin"], [place / "test.bin"]
            return Cifar("cifar100", *files, 2, 0 if coarse else 1, 20 if coarse else 100)
        if (place / "data_batch_1.bin").exists():
            return _cifar10(place)
    raise FileError(
        f"{folder}: expected CIFAR's binary version, data_batch_1.bin … data_batch_5.bin and test_batch.bin, or "
        f"train.bin and test.bin, got none of them in {os.path.abspath(folder)}{_python_version(root)}."
    )


def _cifar10(place: Path) -> Cifar:
    train = [place / f"data_batch_{i}.bin" for i in range(1, 6)]
    return Cifar("cifar10", train, [place / "test_batch.bin"], 1, 0, 10)


def _python_version(root: Path) -> str:
    pickles = ("data_batch_1", "train", "cifar-10-batches-py", "cifar-100-python")
    found = [name for name in pickles if (root / name).exists()]
    return f"; {found[0]} is of CIFAR's Python version" if found else ""
