"""IDX files as a source: images in one, their labels in another beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite import log
from pycaffe_lite.data.records import Records, Source
from pycaffe_lite.data.sources.idx_file import IdxFile
from pycaffe_lite.errors import FileError


class IdxSource(Source):
    """Images of an IDX file, and the labels found beside it.

    The images' axes are N x H x W (one channel), N x C x H x W, or N x C. The labels of
    `train-images-idx3-ubyte.gz` are in `train-labels-idx1-ubyte.gz`, or the same without `.gz`. Both files
    may be gzipped or not, whatever they are called.

    Args:
        path: the images' file.
        name: the path as the user gave it.
        with_labels: whether the labels are needed; without them they are all 0.

    Raises:
        FileError: a file is missing, damaged or of another kind, or there are not as many labels as images.
    """

    def __init__(self, path: Path, name: str = "", with_labels: bool = True) -> None:
        self.name = name or str(path)
        if os.path.isdir(path):
            raise FileError(f"{path}: expected the images' IDX file, got a folder{_idx_files(path)}.")
        self._file = IdxFile(path)
        try:
            self._images = self._file.array.reshape(_image_shape(path, self._file.array.shape))
            self._labels = _read_labels(path, len(self)) if with_labels else np.zeros(len(self), np.float32)
        except BaseException:
            self.close()
            raise
        log.info(f"Opened idx {self.name}")

    def __len__(self) -> int:
        return len(self._images)

    def read(self, start: int, count: int) -> Records:
        end = min(start + count, len(self))
        self._file.wait(end)
        return Records(self._images[start:end], self._labels[start:end], end % len(self))

    def take(self, numbers: NDArray[np.integer[Any]]) -> Records:
        self._file.wait(int(numbers.max()) + 1)
        return Records(self._images[numbers], self._labels[numbers], 0)

    def labels(self) -> NDArray[np.float32]:
        return self._labels

    def close(self) -> None:
        self._file.close()


def _image_shape(path: Path, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape as N x C x H x W."""
    if not 2 <= len(shape) <= 4:
        raise FileError(f"{path}: expected images, with 2 to 4 axes, got shape {list(shape)}.")
    if len(shape) == 3:
        return (shape[0], 1, *shape[1:])
    return shape + (1,) * (4 - len(shape))


def _read_labels(images: Path, count: int) -> NDArray[np.float32]:
    path = _labels_beside(images)
    file = IdxFile(path)
    shape = file.array.shape
    if shape != (count,):
        raise FileError(f"{path}: expected {count} labels, as {images.name} has images, got shape {list(shape)}.")
    file.wait(count)
    return file.array.astype(np.float32)


def _labels_beside(images: Path) -> Path:
    """The file with the labels of an images' file."""
    name = images.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
    if name == images.name:
        raise FileError(
            f'{images}: expected a name with "images" in it, so that its labels can be found under the same '
            'name with "labels"; a layer with one top needs no labels.'
        )
    tried = [images.with_name(one) for one in (name, name.removesuffix(".gz"), name + ".gz")]
    for path in tried:
        if os.path.isfile(path):
            return path
    raise FileError(
        f"{images}: expected its labels beside it in {tried[0].name}, with or without .gz, got no such file; "
        "a layer with one top needs no labels."
    )


def _idx_files(folder: Path) -> str:
    """What the folder has to offer."""
    try:
        names = sorted(name for name in os.listdir(folder) if "idx" in name and "images" in name)
    except OSError:
        names = []
    return f"; it holds {', '.join(names[:8])}" if names else " without one"
