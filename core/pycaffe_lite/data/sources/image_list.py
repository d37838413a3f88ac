"""A source of images in files of their own, which a list names with their labels."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite import log
from pycaffe_lite.data.images import pixels, read_bytes
from pycaffe_lite.data.records import Records, ShuffledSource, Source, Undecoded
from pycaffe_lite.errors import CaffeError, FileError, MissingExtra
from pycaffe_lite.paths import find_file, shown_path, unreadable, working_folder
from pycaffe_lite.rng import Generator

Item = TypeVar("Item")

_LONGEST_LINE = 1 << 16
_NAME_ALONE = re.compile(rb"(?=.*[0-9A-Za-z\x80-\xff])[^\s\0-\x1f\x7f]{1,4096}")
_INTEGER = re.compile(rb"[+-]?[0-9]{1,10}")
_NUMBER = re.compile(rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?")
ENDS_IN_NUMBER = re.compile(r"\s[+-]?[0-9.]+$")


class ListedImage(NamedTuple):
    """A line of a list.

    Attributes:
        name: the file's path, to be read from the list's root folder; bytes that are not UTF-8 as
            `surrogateescape` leaves them.
        label: a whole number of 32 bits; or where a line has several, or a real one, all of them.
    """

    name: str
    label: int | tuple[float, ...]


def read_image_list(path: str, label_dim: int | None = None) -> list[ListedImage]:
    """The images of a list, a text with lines of a name, a space and a whole number; blank lines are none.

    The name may have spaces in it, and end in numbers: only what is told tells how many labels a line has. A line of
    a name without spaces and nothing else has label 0, as in Caffe; the log says how many such lines there are.

    Args:
        path: the list.
        label_dim: how many numbers end each line, real ones, with white space between them, 1 or more; None for one
            whole number, as in Caffe.

    Raises:
        FileError: the file is missing or cannot be read, or a line is not like that; the text names the line.
    """
    path = find_file(path, what="list of images")
    images: list[ListedImage] = []
    without = 0
    try:
        with open(path, "rb") as file:
            number = 0
            while line := file.readline(_LONGEST_LINE):
                number += 1
                if line := line.removeprefix(b"\xef\xbb\xbf").strip():
                    if label_dim in (None, 1) and _NAME_ALONE.fullmatch(line):
                        without += 1
                        line += b" 0"
                    where = f"{path}:{number}"
                    images.append(_listed(line, where) if not label_dim else _with_labels(line, label_dim, where))
    except OSError as problem:
        raise FileError(f"Cannot read {path}: {unreadable(problem)}.") from None
    if not images:
        raise FileError(f"{path}: expected lines with the name of an image and its label, got none.")
    if without:
        log.warning(f"{path}: {without} of {len(images)} lines have no label and get 0, as in Caffe.")
    return _whole(images) if label_dim == 1 else images


def _listed(line: bytes, where: str) -> ListedImage:
    name, *label = line.rsplit(maxsplit=1)
    if not label or not _INTEGER.fullmatch(label[0]) or not -(2**31) <= int(label[0]) < 2**31:
        shown = line[:60].decode("utf-8", "backslashreplace")
        raise FileError(
            f"{where}: expected the name of an image, a space and its label, a whole number of 32 bits, "
            f"got {shown!r}; label_dim: 1, or --label-dim 1, takes a real number, and more than 1 several."
        )
    return ListedImage(name.decode("utf-8", "surrogateescape"), int(label[0]))


def _with_labels(line: bytes, label_dim: int, where: str) -> ListedImage:
    name, *labels = line.rsplit(maxsplit=label_dim)
    if len(labels) < label_dim or not all(_NUMBER.fullmatch(one) and abs(float(one)) < 2.0**127 for one in labels):
        shown = line[:60].decode("utf-8", "backslashreplace")
        many = (
            "a number, its label, with a space" if label_dim == 1 else f"{label_dim} numbers, its labels, with spaces"
        )
        raise FileError(f"{where}: expected the name of an image and {many} between them, got {shown!r}.")
    return ListedImage(name.decode("utf-8", "surrogateescape"), tuple(map(float, labels)))


def _whole(images: list[ListedImage]) -> list[ListedImage]:
    """Images of one label each, with whole numbers, as Caffe has them, if all their labels are such."""
    labels = [image.label[0] for image in images if isinstance(image.label, tuple)]
    if not all(label.is_integer() and -(2**31) <= label < 2**31 for label in labels):
        return images
    return [ListedImage(image.name, int(label)) for image, label in zip(images, labels, strict=True)]


def listed_labels(images: Sequence[ListedImage]) -> NDArray[np.float32]:
    """The labels of n images: n of them, or n x k if each image has k."""
    labels = np.array([image.label for image in images], np.float32)
    return labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels


def find_folder(name: str) -> str:
    """The root folder of a list's images, as it was given; "" is the working folder.

    Raises:
        FileError: there is no such folder.
    """
    if name and not os.path.isdir(find_file(name, what="root folder of images")):
        raise FileError(f"{name}: expected the root folder of images, got a file ({os.path.abspath(name)}).")
    return name


def find_root(root: str, first: str, folder: str) -> str:
    """What to put before images' names: the root as it is given, or if the first image is not there, in a folder."""
    beside = os.path.join(folder, root)
    return beside if not os.path.exists(root + first) and os.path.exists(beside + first) else root


def _missing(text: str, path: str) -> str:
    """What may help to find a file that is not there."""
    label = "; where a line has several labels, image_data_param { label_dim: … } says so"
    return f"{text[:-1]}, looked for from {working_folder()}{label if ENDS_IN_NUMBER.search(path) else ''}."


class ImageListSource(Source):
    """The images of a list, decoded when they are read.

    Args:
        path: the list, see `read_image_list`.
        root: put before each name as it is, without a slash between them.
        folder: where the images are looked for if they are not to be found from the working folder.
        color: three channels, or one.
        height, width: what images are resized to, if both are above 0.
        label_dim: see `read_image_list`.

    Raises:
        FileError: the list cannot be read, or is none.
    """

    def __init__(
        self,
        path: str,
        root: str = "",
        folder: str = "",
        color: bool = True,
        height: int = 0,
        width: int = 0,
        label_dim: int | None = None,
    ) -> None:
        self.name = path
        self._images = read_image_list(path, label_dim)
        self._color, self._height, self._width = color, height, width
        self._root = find_root(root, self._images[0].name, folder)

    def __len__(self) -> int:
        return len(self._images)

    def read(self, start: int, count: int) -> Records:
        records = self.read_undecoded(start, count)
        return records._replace(images=list(records.images))

    def take(self, numbers: NDArray[np.integer[Any]]) -> Records:
        records = self.take_undecoded(numbers)
        return records._replace(images=list(records.images))

    def read_undecoded(self, start: int, count: int) -> Records:
        end = min(start + count, len(self))
        return self.take_undecoded(np.arange(start, end))._replace(next=end % len(self))

    def take_undecoded(self, numbers: NDArray[np.integer[Any]]) -> Records:
        images = Undecoded(len(numbers), lambda i: self._pixels(int(numbers[i])))
        return Records(images, listed_labels([self._images[int(number)] for number in numbers]), 0)

    def labels(self) -> NDArray[np.float32]:
        return listed_labels(self._images)

    def _pixels(self, number: int) -> NDArray[np.uint8]:
        path = self._root + self._images[number].name
        try:
            return pixels(read_bytes(path), self._color, self._height, self._width)
        except MissingExtra:
            raise
        except CaffeError as problem:
            text = str(problem)
            text = text if text.startswith(shown_path(path)) else f"{shown_path(path)}: {text}"
            raise FileError(f"{self.where(number)}: {text if os.path.exists(path) else _missing(text, path)}") from None


def shuffled(items: Sequence[Item], generator: Generator) -> list[Item]:
    """The items in a random order, the one Caffe's shuffle gives with the same words of the generator."""
    result = list(items)
    for i in range(len(result) - 1, 0, -1):
        j = _below(i + 1, generator)
        result[i], result[j] = result[j], result[i]
    return result


def _below(end: int, generator: Generator) -> int:
    """A number from 0 to end - 1: a word in equal parts; the few words beyond the last part are passed over."""
    most = 2**32 - 1
    part = most // end + (most % end == end - 1)
    while (number := generator.word() // part) >= end:
        pass
    return number


class ShuffledList(ShuffledSource):
    """A list in Caffe's own random order: each epoch shuffles the order of the one before."""

    def __init__(self, source: Source, seed: int) -> None:
        super().__init__(source, seed)
        self._generator = Generator(seed)

    def _shuffle(self, epoch: int) -> None:
        seed, last = self._order_is_of
        if (seed, last) == (self.seed, epoch):
            return
        if seed != self.seed or last > epoch:
            self._generator, self._order, last = Generator(self.seed), np.arange(len(self)), -1
        for _ in range(epoch - last):
            self._order = np.array(shuffled(self._order.tolist(), self._generator), np.intp)
        self._order_is_of = (self.seed, epoch)
