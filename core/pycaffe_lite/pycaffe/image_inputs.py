"""The images that a command is given: a file, a folder of them, or an array of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pycaffe_lite.errors import FileError, file_errors
from pycaffe_lite.paths import find_file
from pycaffe_lite.pycaffe.io import load_image


class ImageInputs(NamedTuple):
    """Images, of which each is read when it is asked for.

    Attributes:
        names: what they are called: their paths, or for those of an array its path and number.
        load: an image, by its number: H x W x K.
    """

    names: list[str]
    load: Callable[[int], np.ndarray]


def image_inputs(path: str, ext: str, color: bool) -> ImageInputs:
    """The images of an .npy file of N x H x W x K, of a folder, in the order of their names, or of one image file.

    Args:
        path: the file or folder.
        ext: what the names of a folder's images end with, without the dot.
        color: whether image files are read as RGB, else as gray.

    Raises:
        FileError: there is none.
    """
    path = find_file(os.path.expanduser(path), what="image, folder of images or .npy file")
    if path.lower().endswith(".npy"):
        array = read_array(path)
        if array.ndim != 4 or array.dtype.kind not in "fiub" or not array.size:
            raise FileError(f"{path}: expected images of N x H x W x K, got shape {list(array.shape)}.")
        return ImageInputs([f"{path}:{i}" for i in range(len(array))], lambda i: array[i])
    names = [path]
    if os.path.isdir(path):
        ending = "." + ext.lstrip(".")
        names = [os.path.join(path, name) for name in sorted(os.listdir(path)) if name.endswith(ending)]
        if not names:
            raise FileError(f"{path}: there is no file *{ending} in this folder; --ext names another extension.")
    return ImageInputs(names, lambda i: load_image(names[i], color))


def read_array(path: str) -> np.ndarray:
    """The array of an .npy file.

    Raises:
        FileError: it is none, or one of Python's objects.
    """
    with file_errors(path, "array", lambda problem: "expected an array of numbers in an .npy file, got none"):
        return np.lib.format.open_memmap(path, mode="r")
