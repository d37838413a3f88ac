"""Image files: a list of them with their labels, and their pixels as Caffe reads them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.data.decode import decode
from pycaffe_lite.errors import CaffeError, FileError, MissingExtra
from pycaffe_lite.paths import find_file, shown_path, unreadable
from pycaffe_lite.rng import Generator

Item = TypeVar("Item")

_LONGEST_LINE = 1 << 16
_LARGEST_FILE = 1 << 30
_INTEGER = re.compile(rb"[+-]?[0-9]{1,10}")
_NUMBER = re.compile(rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?")


class ListedImage(NamedTuple):
    """A line of a list.

    Attributes:
        name: the file's path, to be read from the list's root folder; bytes that are not UTF-8 as
            `surrogateescape` leaves them.
        label: a number of 32 bits; or where a line has several, all of them.
    """

    name: str
    label: int | tuple[float, ...]


def read_list(path: str, label_dim: int = 1) -> list[ListedImage]:
    """The images of a list, a text with lines of a name, a space and a whole number; blank lines are none.

    The name may have spaces in it, and end in numbers: only what is told tells how many labels a line has.

    Args:
        path: the list.
        label_dim: how many numbers end each line, with white space between them, 1 or more; whole ones or not where
            they are several.

    Raises:
        FileError: the file is missing or cannot be read, or a line is not like that; the text names the line.
    """
    path = find_file(path, what="list of images")
    images = []
    try:
        with open(path, "rb") as file:
            number = 0
            while line := file.readline(_LONGEST_LINE):
                number += 1
                if line := line.removeprefix(b"\xef\xbb\xbf").strip():
                    where = f"{path}:{number}"
                    images.append(_listed(line, where) if label_dim == 1 else _with_labels(line, label_dim, where))
    except OSError as problem:
        raise FileError(f"Cannot read {path}: {unreadable(problem)}.") from None
    if not images:
        raise FileError(f"{path}: expected lines with the name of an image and its label, got none.")
    return images


def _listed(line: bytes, where: str) -> ListedImage:
    name, *label = line.rsplit(maxsplit=1)
    if not label or not _INTEGER.fullmatch(label[0]) or not -(2**31) <= int(label[0]) < 2**31:
        shown = line[:60].decode("utf-8", "backslashreplace")
        raise FileError(
            f"{where}: expected the name of an image, a space and its label, a whole number of 32 bits, "
            f"got {shown!r}; write 0 for an image without a class."
        )
    return ListedImage(name.decode("utf-8", "surrogateescape"), int(label[0]))


def _with_labels(line: bytes, label_dim: int, where: str) -> ListedImage:
    name, *labels = line.rsplit(maxsplit=label_dim)
    if len(labels) < label_dim or not all(_NUMBER.fullmatch(one) and abs(float(one)) < 2.0**127 for one in labels):
        shown = line[:60].decode("utf-8", "backslashreplace")
        raise FileError(
            f"{where}: expected the name of an image and {label_dim} numbers, its labels, with spaces between them, "
            f"got {shown!r}."
        )
    return ListedImage(name.decode("utf-8", "surrogateescape"), tuple(map(float, labels)))


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


def find_folder(name: str) -> str:
    """The root folder of a list's images, as it was given; "" is the working folder.

    Raises:
        FileError: there is no such folder.
    """
    if name and not os.path.isdir(find_file(name, what="root folder of images")):
        raise FileError(f"{name}: expected the root folder of images, got a file ({os.path.abspath(name)}).")
    return name


def read_bytes(path: str) -> bytes:
    """An image file as it is.

    Raises:
        FileError: it is missing, no plain file, empty, larger than 1 GiB, or cannot be read.
    """
    try:
        if not os.path.isfile(path):
            reason = "not a plain file" if os.path.exists(path) else "no such file"
            raise FileError(f"{shown_path(path)}: {reason} ({shown_path(os.path.abspath(path))}).")
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if not 0 < size <= _LARGEST_FILE:
                raise FileError(f"{shown_path(path)}: expected an image file, got {size} bytes.")
            return file.read(size)  # never more: read() makes room for all that it is asked for
    except (OSError, ValueError) as problem:
        raise FileError(f"{shown_path(path)}: {unreadable(problem)}.") from None


def pixels(data: bytes, color: bool | None = True, height: int = 0, width: int = 0) -> NDArray[np.uint8]:
    """The pixels of an image file, C x H x W, colours in the order blue, green, red.

    Args:
        data: the file's bytes.
        color: see `decode`.
        height, width: if both are above 0, the image is resized to them by OpenCV's bilinear interpolation.

    Raises:
        CaffeError: not an image, or the size is more than OpenCV can make.
        MissingExtra: OpenCV is not installed.
    """
    image = decode(data, color)
    return resize(image, height, width) if height > 0 and width > 0 else image


def resize(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """An image, C x H x W, in another size, by OpenCV's bilinear interpolation as Caffe does it."""
    try:
        import cv2
    except ImportError:
        raise MissingExtra("Resized images", "images") from None
    try:
        resized: NDArray[Any] = cv2.resize(np.ascontiguousarray(image.transpose(1, 2, 0)), (width, height))
    except cv2.error:
        raise CaffeError(f"OpenCV cannot resize an image to height {height} and width {width}.") from None
    return resized.transpose(2, 0, 1) if resized.ndim == 3 else resized[np.newaxis]
