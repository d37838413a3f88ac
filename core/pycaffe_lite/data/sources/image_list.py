"""A source of images in files of their own, named by a list."""

from __future__ import annotations

import os
import re

import numpy as np

from pycaffe_lite.data.decoders import Undecoded
from pycaffe_lite.data.images import pixels, read_bytes, read_list, shuffled
from pycaffe_lite.data.records import Records, Source
from pycaffe_lite.data.shuffle import ShuffledSource
from pycaffe_lite.errors import CaffeError, FileError, MissingExtra
from pycaffe_lite.paths import shown_path, working_folder
from pycaffe_lite.rng import Generator

ENDS_IN_NUMBER = re.compile(r"\s[+-]?[0-9.]+$")


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
        path: the list, see `read_list`.
        root: put before each name as it is, without a slash between them.
        folder: where the images are looked for if they are not to be found from the working folder.
        color: three channels, or one.
        height, width: what images are resized to, if both are above 0.
        label_dim: how many labels a line has.

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
        label_dim: int = 1,
    ) -> None:
        self.name = path
        self._images = read_list(path, label_dim)
        self._color, self._height, self._width = color, height, width
        self._root = find_root(root, self._images[0].name, folder)

    def __len__(self) -> int:
        return len(self._images)

    def read(self, start: int, count: int) -> Records:
        records = self.read_undecoded(start, count)
        return records._replace(images=list(records.images))

    def take(self, numbers: np.ndarray) -> Records:
        records = self.take_undecoded(numbers)
        return records._replace(images=list(records.images))

    def read_undecoded(self, start: int, count: int) -> Records:
        end = min(start + count, len(self))
        return self.take_undecoded(np.arange(start, end))._replace(next=end % len(self))

    def take_undecoded(self, numbers: np.ndarray) -> Records:
        images = Undecoded(len(numbers), lambda i: self._pixels(int(numbers[i])))
        labels = [self._images[int(number)].label for number in numbers]
        return Records(images, np.array(labels, np.float32), 0)

    def labels(self) -> np.ndarray:
        return np.array([image.label for image in self._images], np.float32)

    def _pixels(self, number: int) -> np.ndarray:
        path = self._root + self._images[number].name
        try:
            return pixels(read_bytes(path), self._color, self._height, self._width)
        except MissingExtra:
            raise
        except CaffeError as problem:
            text = str(problem)
            text = text if text.startswith(shown_path(path)) else f"{shown_path(path)}: {text}"
            raise FileError(f"{self.where(number)}: {text if os.path.exists(path) else _missing(text, path)}") from None


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
