"""MNIST's IDX files as records for databases, as Caffe's convert_mnist_data makes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.data.sources.idx import read_idx
from pycaffe_lite.errors import FileError
from pycaffe_lite.paths import find_file
from pycaffe_lite.tools.databases import plain_datum


class Mnist(NamedTuple):
    """Images and labels of IDX files.

    Attributes:
        images: N x C x H x W, uint8.
        labels: N integers of 32 bits.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.integer[Any]]

    def records(self, numbers: Iterable[int]) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of the records with these numbers: `%08d` and a Datum."""
        for number in numbers:
            yield b"%08d" % number, plain_datum(self.images[number], int(self.labels[number]))


def read_mnist(images: str, labels: str) -> Mnist:
    """Reads the two files, raw or gzipped.

    Raises:
        FileError: one is missing, damaged or of another kind, or they have not equally many records.
    """
    image_file, label_file = _read(images, "IDX file of images"), _read(labels, "IDX file of labels")
    if image_file.dtype != np.uint8 or image_file.ndim not in (3, 4):
        raise FileError(
            f"{images}: expected images, bytes with 3 or 4 axes, got {image_file.dtype} of shape "
            f"{list(image_file.shape)}{_swapped(image_file)}."
        )
    if label_file.dtype.kind not in "iu" or label_file.shape != (len(image_file),):
        raise FileError(
            f"{labels}: expected {len(image_file)} labels, as {images} has images, got {label_file.dtype} of "
            f"shape {list(label_file.shape)}."
        )
    shape = image_file.shape
    return Mnist(image_file.reshape(shape if len(shape) == 4 else (shape[0], 1, *shape[1:])), label_file)


def _read(path: str, what: str) -> NDArray[Any]:
    found = Path(find_file(path, what=what))
    if not found.is_file():
        raise FileError(f"{path}: expected an {what}, got no plain file.")
    return read_idx(found)


def _swapped(array: NDArray[Any]) -> str:
    return "; the images' file comes first, then the labels'" if array.ndim == 1 else ""
