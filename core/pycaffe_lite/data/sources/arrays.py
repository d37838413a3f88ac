"""Sources that are arrays in memory: what numpy's archives and tables of numbers have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.data.records import Records, Source
from pycaffe_lite.errors import FileError


class ArraySource(Source):
    """Records that are rows of two arrays.

    Args:
        name: the path as the user gave it.
        images: N x C x H x W, N x H x W (one channel) or N x D (D x 1 x 1); real numbers of any type.
        labels: N, or N x k; None for zeros.

    Raises:
        FileError: the shapes are not like that.
    """

    def __init__(self, name: str, images: NDArray[Any], labels: NDArray[Any] | None) -> None:
        self.name = name
        self._images = images.reshape(_image_shape(name, images.shape))
        if labels is None:
            self._labels = np.zeros(len(images), np.float32)
        else:
            self._labels = _float_labels(name, labels, len(images))

    def __len__(self) -> int:
        return len(self._images)

    def read(self, start: int, count: int) -> Records:
        end = min(start + count, len(self))
        return Records(self._images[start:end], self._labels[start:end], end % len(self))

    def take(self, numbers: NDArray[np.integer[Any]]) -> Records:
        return Records(self._images[numbers], self._labels[numbers], 0)

    def labels(self) -> NDArray[np.float32]:
        return self._labels


def _image_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape as N x C x H x W."""
    if not 2 <= len(shape) <= 4 or min(shape) < 1:
        raise FileError(f"{name}: expected images, with 2 to 4 axes of 1 or more each, got shape {list(shape)}.")
    if len(shape) == 3:
        return (shape[0], 1, *shape[1:])
    return shape + (1,) * (4 - len(shape))


def _float_labels(name: str, labels: NDArray[Any], count: int) -> NDArray[np.float32]:
    if labels.ndim not in (1, 2) or len(labels) != count or not labels.size:
        raise FileError(
            f"{name}: expected {count} labels, one for each image, or a row of them for each, got shape "
            f"{list(labels.shape)}."
        )
    with np.errstate(over="ignore"):
        values = labels.astype(np.float32)
    return values.reshape(count) if values.size == count else values
