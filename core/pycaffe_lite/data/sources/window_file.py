"""A window file: images, and windows in them that are objects or are not, as R-CNN's tools write it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.errors import FileError
from pycaffe_lite.paths import unreadable

_NUMBERS = 6
_LONGEST_LINE = 1 << 16


class WindowFile(NamedTuple):
    """What a window file holds.

    Attributes:
        path: the file.
        images: the images' names.
        foreground, background: windows, one a row: image, label, x1, y1, x2, y2; the label of background is 0. The
            corners are pixels that belong to the window, counted from 0.
    """

    path: str
    images: list[str]
    foreground: NDArray[np.int64]
    background: NDArray[np.int64]


def read_window_file(path: str, foreground: float, background: float) -> WindowFile:
    """Reads a window file: for each image `# number`, its name, channels, height, width, the number of its windows,
    and for each of these label, overlap, x1, y1, x2, y2, with white space between all of them.

    Args:
        path: the file.
        foreground: a window whose overlap is this or more is foreground.
        background: else one whose overlap is below this is background; others are left out.

    Raises:
        FileError: the file cannot be read, or is not like that; the text names the image.
    """
    kinds: tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]] = ([], [])
    images: list[str] = []
    try:
        with open(path, "rb") as file:
            words = _words(file)
            for mark in words:
                where = f"{path}: image {len(images)}"
                images.append(_read_header(mark, words, where))
                windows, overlap = _read_windows(words, where)
                windows[:, 0] = len(images) - 1
                is_object = overlap >= np.float32(foreground)
                if (windows[is_object, 1] < 1).any():
                    raise FileError(f"{where}: expected labels of 1 or more for foreground windows, got less.")
                kinds[0].append(windows[is_object])
                kinds[1].append(windows[~is_object & (overlap < np.float32(background))])
    except OSError as problem:
        raise FileError(f"Cannot read {path}: {unreadable(problem)}.") from None
    if not images:
        raise FileError(f"{path}: expected images and windows in them, got none.")
    found, others = (np.concatenate(kind) for kind in kinds)
    others[:, 1] = 0
    return WindowFile(path, images, found, others)


def _words(file: object) -> Iterator[str]:
    while line := file.readline(_LONGEST_LINE):  # type: ignore[attr-defined]
        yield from line.decode("utf-8", "surrogateescape").split()


def _read_header(mark: str, words: Iterator[str], where: str) -> str:
    """The name of an image; its size is looked at when it is decoded."""
    header = list(islice(words, 5))
    numbers = [header[i] for i in (0, 2, 3, 4) if i < len(header)]
    if mark != "#" or len(header) < 5 or not all(number.isdecimal() for number in numbers):
        shown = " ".join([mark, *header])[:80]
        raise FileError(f"{where}: expected `# number`, a name, channels, height and width, got {shown!r}.")
    if header[2] != "3":
        raise FileError(f"{where}: expected an image of 3 channels, got {header[2][:20]}.")
    return header[1]


def _read_windows(words: Iterator[str], where: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The windows of an image, and their overlaps."""
    count = next(words, "nothing")
    if not count.isdecimal():
        raise FileError(f"{where}: expected the number of its windows, got {count[:40]!r}.")
    numbers = list(islice(words, _NUMBERS * int(count))) if len(count) < 10 else []
    try:
        rows = np.array(numbers, np.float64).reshape(int(count), _NUMBERS)
        if not (np.abs(rows) < 2**31).all():
            raise ValueError
    except ValueError:
        raise FileError(
            f"{where}: expected label, overlap, x1, y1, x2 and y2 for each of {count[:20]} windows, got other "
            "words or fewer."
        ) from None
    windows = rows.astype(np.int64)
    overlap = rows[:, 1].astype(np.float32)
    windows[:, 1] = windows[:, 0]
    return windows, overlap
