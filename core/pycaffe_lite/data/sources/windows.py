"""Windows in images that are objects or are not, for detection: the file R-CNN's tools write, and batches of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.data.batches import Batch, Feed, FeedState
from pycaffe_lite.data.images import pixels, read_bytes, resize
from pycaffe_lite.errors import CaffeError, FileError
from pycaffe_lite.paths import shown_path, unreadable
from pycaffe_lite.ranks import ALL, Share
from pycaffe_lite.rng import Generator

Corners = tuple[int, int, int, int]

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


def _words(file: BinaryIO) -> Iterator[str]:
    while line := file.readline(_LONGEST_LINE):
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


class Placing(NamedTuple):
    """Where a window goes.

    Attributes:
        corners: x1, y1, x2, y2 of what is cut out of the image, all four inside.
        size: height and width it is resized to.
        offset: row and column of it in the crop; what is around it stays 0.
    """

    corners: Corners
    size: tuple[int, int]
    offset: tuple[int, int]


@dataclass(frozen=True)
class Cutter:
    """How windows are cut out.

    Attributes:
        crop: height and width of the result.
        pad: pixels of context on each side of the window within the result.
        square: whether the window is made square first, so that it is not distorted.
    """

    crop: int
    pad: int = 0
    square: bool = False

    def place(self, corners: Corners, height: int, width: int, mirrored: bool) -> Placing:
        """Where a window of an image goes, in Caffe's single precision and with its roundings.

        Raises:
            CaffeError: the window is not in the image.
        """
        offset = [0, 0]
        size = [self.crop, self.crop]
        if self.pad or self.square:
            x, y = self._grown(corners)
            columns, rows = _Side.of(*x, width, self.crop), _Side.of(*y, height, self.crop)
            corners = (columns.first, rows.first, columns.last, rows.last)
            offset = [rows.before, columns.after if mirrored else columns.before]
            size = [min(rows.length, self.crop - offset[0]), min(columns.length, self.crop - offset[1])]
        x1, y1, x2, y2 = corners
        if not (0 <= x1 <= x2 < width and 0 <= y1 <= y2 < height and min(size) > 0):
            raise CaffeError(
                f"expected a window inside its image of height {height} and width {width}, got x1 {x1}, y1 {y1}, "
                f"x2 {x2}, y2 {y2}."
            )
        return Placing(corners, (size[0], size[1]), (offset[0], offset[1]))

    def _grown(self, corners: Corners) -> tuple[tuple[int, int], tuple[int, int]]:
        """First and last column, first and last row of a window with its context; it may reach out of the image."""
        x1, y1, x2, y2 = corners
        scale = np.float32(self.crop) / np.float32(self.crop - 2 * self.pad)
        half_width, half_height = np.float32(x2 - x1 + 1) / np.float32(2), np.float32(y2 - y1 + 1) / np.float32(2)
        center_x, center_y = np.float32(x1) + half_width, np.float32(y1) + half_height
        if self.square:
            half_width = half_height = max(half_width, half_height)
        return _around(center_x, half_width * scale), _around(center_y, half_height * scale)


class _Side(NamedTuple):
    """A window along one axis: first and last pixel in the image; in the result its length and what is around it."""

    first: int
    last: int
    length: int
    before: int
    after: int

    @classmethod
    def of(cls, first: int, last: int, end: int, crop: int) -> _Side:
        before, after = max(0, -first), max(0, last - end + 1)
        scale = np.float32(crop) / np.float32(last - first + 1)
        inside = last - after - first - before + 1
        return cls(first + before, last - after, *(_round(np.float32(n) * scale) for n in (inside, before, after)))


def _around(center: np.float32, half: np.float32) -> tuple[int, int]:
    return _round(center - half), _round(center + half)


def _round(value: np.floating[Any]) -> int:
    """The nearest integer, halves away from 0, as in C."""
    return int(math.copysign(math.floor(abs(float(value)) + 0.5), value))


class WindowFeed(Feed):
    """Batches of windows by chance, without end, first background, then foreground.

    The generator gives as many words as in Caffe: for each window one that chooses it and, with `mirror`, one whose
    last bit mirrors it.

    Args:
        windows: the windows.
        root: put before each image's name as it is.
        cutter: how they are cut out.
        batch_size: windows in a batch.
        foreground: the share of them that are foreground, 0 to 1.
        mirror: whether windows are mirrored by chance.
        mean: an image C x crop x crop, or C x 1 x 1, that is subtracted; None for none.
        scale: what the difference is multiplied with.
        seed: of the generator.
        share: all ranks draw the windows of all of them, and of each kind a rank cuts out one in so many.

    Raises:
        CaffeError: there are no windows of a kind that batches need.
    """

    def __init__(
        self,
        windows: WindowFile,
        root: str,
        cutter: Cutter,
        batch_size: int,
        foreground: float,
        mirror: bool,
        mean: NDArray[np.float32] | None,
        scale: float,
        seed: int,
        share: Share = ALL,
    ) -> None:
        super().__init__()
        self._windows, self._root, self._cutter = windows, root, cutter
        self._mirror, self._mean, self._scale = mirror, mean, np.float32(scale)
        self._generator, self._share = Generator(seed), share
        objects = int(np.float32(batch_size) * np.float32(foreground))
        self._parts = ((windows.background, batch_size - objects), (windows.foreground, objects))
        for name, (part, count) in zip(("background", "foreground"), self._parts, strict=True):
            if count and not len(part):
                raise CaffeError(
                    f"{windows.path}: expected {name} windows, of which a batch has {count}, got none; see "
                    "fg_threshold, bg_threshold and fg_fraction."
                )
        self._shape = (batch_size, 3, cutter.crop, cutter.crop)

    def shapes(self) -> list[tuple[int, ...]]:
        return [self._shape, self._shape[:1]]

    def state(self) -> FeedState:
        words, position = self._generator.get_state()
        return {"generator": words, "generator_position": position}

    def restore(self, state: FeedState) -> None:
        self._generator.set_state(state.get("generator", np.zeros(0)), int(state.get("generator_position", -1)))

    def _fill(self, batch: Batch | None) -> Batch:
        if batch is None:
            batch = Batch([np.empty(shape, np.float32) for shape in self.shapes()])
        chosen = list(self._draw())
        batch.labels[:] = [label for _, label, _, _ in chosen]
        data = batch.data

        def cut(i: int) -> None:
            image, _, corners, mirrored = chosen[i]
            data[i].fill(0)
            self._cut(image, corners, mirrored, data[i])

        self._pool.run(len(chosen), cut)
        return batch

    def _draw(self) -> Iterator[tuple[int, int, Corners, bool]]:
        """Windows by chance: image, label, corners, and whether mirrored."""
        for part, count in self._parts:
            for i in range(count * self._share.size):
                image, label, x1, y1, x2, y2 = part[self._generator.word() % len(part)].tolist()
                mirrored = self._mirror and self._generator.word() % 2 == 1
                if i % self._share.size == self._share.rank:
                    yield image, label, (x1, y1, x2, y2), mirrored

    def _cut(self, number: int, corners: Corners, mirrored: bool, out: NDArray[np.float32]) -> None:
        path = self._root + self._windows.images[number]
        try:
            image = pixels(read_bytes(path), True)
            _, rows, columns = image.shape
            place = self._cutter.place(corners, rows, columns, mirrored)
            x1, y1, x2, y2 = place.corners
            window = resize(image[:, y1 : y2 + 1, x1 : x2 + 1], *place.size)
        except FileError:
            raise
        except CaffeError as problem:
            raise FileError(f"{shown_path(path)}: {problem}") from None
        (row, column), (height, width) = place.offset, place.size
        inside = (slice(None), slice(row, row + height), slice(column, column + width))
        out[inside] = window[:, :, ::-1] if mirrored else window
        if self._mean is not None:
            out[inside] -= self._mean[inside] if self._mean.shape[1:] != (1, 1) else self._mean
        if self._scale != 1:
            out[inside] *= self._scale
