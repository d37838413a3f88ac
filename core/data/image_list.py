"""A source of images in files of their own, named by a list."""

from __future__ import annotations

import os

import numpy as np

from pycaffe_lite.data.image_files import pixels, read_bytes, read_list, shuffled
from pycaffe_lite.data.shuffle import ShuffledSource
from pycaffe_lite.data.source import Records, Source
from pycaffe_lite.errors import CaffeError, FileError, MissingExtra
from pycaffe_lite.rng import Generator


def find_root(root: str, first: str, folder: str) -> str:
    """What to put before images' names: the root as it is given, or if the first image is not there, in a folder."""
    beside = os.path.join(folder, root)
    return beside if not os.path.exists(root + first) and os.path.exists(beside + first) else root


class ImageListSource(Source):
    """The images of a list, decoded when they are read.

    Args:
        path: the list, see `read_list`.
        root: put before each name as it is, without a slash between them.
        folder: where the images are looked for if they are not to be found from the working folder.
        color: three channels, or one.
        height, width: what images are resized to, if both are above 0.

    Raises:
        FileError: the list cannot be read, or is none.
    """

    def __init__(
        self, path: str, root: str = "", folder: str = "", color: bool = True, height: int = 0, width: int = 0
    ) -> None:
        self.name = path
        self._images = read_list(path)
        self._color, self._height, self._width = color, height, width
        self._root = find_root(root, self._images[0].name, folder)

    def __len__(self) -> int:
        return len(self._images)

    def read(self, start: int, count: int) -> Records:
        records = self.take(np.arange(start, min(start + count, len(self))))
        end = start + len(records.labels)
        return records._replace(next=end if end < len(self) else 0)

    def take(self, numbers: np.ndarray) -> Records:
        images = [self._pixels(int(number)) for number in numbers]
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
            raise FileError(
                f"{self.where(number)}: " + (text if text.startswith(path) else f"{path}: {text}")
            ) from None


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
