"""Batches of windows cut out of images, for detection: part of them objects, the others not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.data.batches import Batch, Feed, State
from pycaffe_lite.data.decoders import Decoders
from pycaffe_lite.data.images import pixels, read_bytes, resize
from pycaffe_lite.data.sources.window_file import WindowFile
from pycaffe_lite.errors import CaffeError, FileError
from pycaffe_lite.paths import shown_path
from pycaffe_lite.rng import Generator

Corners = tuple[int, int, int, int]


class Place(NamedTuple):
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

    def place(self, corners: Corners, height: int, width: int, mirrored: bool) -> Place:
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
        return Place(corners, (size[0], size[1]), (offset[0], offset[1]))

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
    """Batches of windows by chance, first background, then foreground, with as many words of the generator as in
    Caffe: for each window one that chooses it and, with `mirror`, one whose last bit mirrors it.

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
    ) -> None:
        self._windows, self._root, self._cutter = windows, root, cutter
        self._mirror, self._mean, self._scale = mirror, mean, np.float32(scale)
        self._generator = Generator(seed)
        self._decoders = Decoders()
        objects = int(np.float32(batch_size) * np.float32(foreground))
        self._parts = ((windows.background, batch_size - objects), (windows.foreground, objects))
        for name, (part, count) in zip(("background", "foreground"), self._parts, strict=True):
            if count and not len(part):
                raise CaffeError(
                    f"{windows.path}: expected {name} windows, of which a batch has {count}, got none; see "
                    "fg_threshold, bg_threshold and fg_fraction."
                )
        self._shape = (batch_size, 3, cutter.crop, cutter.crop)

    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return self._shape, self._shape[:1]

    def state(self) -> State:
        words, position = self._generator.get_state()
        return {"generator": words, "generator_position": position}

    def restore(self, state: State) -> None:
        self._generator.set_state(state.get("generator", np.zeros(0)), int(state.get("generator_position", -1)))

    def records(self) -> None:
        """There is no end to windows chosen by chance."""

    def labels(self) -> None:
        """They are classes of windows, and stand in the windows' file."""

    def close(self) -> None:
        self._decoders.close()

    def fill(self, batch: Batch | None) -> Batch:
        """The next batch; `batch` is one whose arrays may be written over."""
        before = self.state()
        if batch is None:
            batch = Batch(np.empty(self._shape, np.float32), np.empty(self._shape[0], np.float32))
        try:
            self._choose(batch)
        except BaseException:
            self.restore(before)
            raise
        batch.after = self.state()
        return batch

    def _choose(self, batch: Batch) -> None:
        chosen = list(self._draw())
        batch.labels[:] = [label for _, label, _, _ in chosen]

        def cut(i: int) -> None:
            image, _, corners, mirrored = chosen[i]
            batch.data[i].fill(0)
            self._cut(image, corners, mirrored, batch.data[i])

        self._decoders.for_each(len(chosen), cut)

    def _draw(self) -> Iterator[tuple[int, int, Corners, bool]]:
        """Windows by chance: image, label, corners, and whether mirrored."""
        for part, count in self._parts:
            for _ in range(count):
                image, label, x1, y1, x2, y2 = part[self._generator.word() % len(part)].tolist()
                mirrored = self._mirror and self._generator.word() % 2 == 1
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
