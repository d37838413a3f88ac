"""Arrays in memory as a source, for archives and tables of numbers, IDX files, and whoever has arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.data.records import Records, Source
from pycaffe_lite.errors import FileError


class ArraySource(Source):
    """Records that are rows of two arrays; `Feed` makes batches of them.

    Args:
        name: what errors call it, for example the path as the user gave it.
        images: N x C x H x W, N x H x W (one channel) or N x D (D x 1 x 1); real numbers of any type.
        labels: N, or N x k; None for zeros.

    Raises:
        FileError: the shapes are not like that.
    """

    def __init__(self, name: str, images: NDArray[Any], labels: NDArray[Any] | None = None) -> None:
        self.name = name
        shape = images.shape
        if not 2 <= len(shape) <= 4 or min(shape) < 1:
            raise FileError(f"{name}: expected images, with 2 to 4 axes of 1 or more each, got shape {list(shape)}.")
        self._images = images.reshape((shape[0], 1, *shape[1:]) if len(shape) == 3 else shape + (1,) * (4 - len(shape)))
        self._labels = np.zeros(len(images), np.float32) if labels is None else self._as_labels(labels)

    def _as_labels(self, labels: NDArray[Any]) -> NDArray[np.float32]:
        count = len(self)
        if labels.ndim not in (1, 2) or len(labels) != count or not labels.size:
            raise FileError(
                f"{self.name}: expected {count} labels, one for each image, or a row of them for each, got shape "
                f"{list(labels.shape)}."
            )
        with np.errstate(over="ignore"):
            values = labels.astype(np.float32)
        return values.reshape(count) if values.size == count else values

    def __len__(self) -> int:
        return len(self._images)

    def read(self, start: int, count: int) -> Records:
        end = min(start + count, len(self))
        return Records(self._images[start:end], self._labels[start:end], end % len(self))

    def take(self, numbers: NDArray[np.integer[Any]]) -> Records:
        return Records(self._images[numbers], self._labels[numbers], 0)

    def labels(self) -> NDArray[np.float32]:
        return self._labels
