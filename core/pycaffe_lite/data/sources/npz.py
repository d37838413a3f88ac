"""Numpy's archives, which numpy.savez and savez_compressed write, as a source.

They are zip files of arrays, which numpy.lib.format reads, but only once their heads have been seen: numpy takes
memory for what a head claims, and would run code for arrays of objects.
"""

from __future__ import annotations

import zipfile
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from pycaffe_lite import log
from pycaffe_lite.data.sources.arrays import ArraySource
from pycaffe_lite.errors import FileError, file_errors

_MOST_AXES = 8  # that are told


class NpzSource(ArraySource):
    """Images and labels of an archive: its arrays `data` and `label`.

    An archive of just two arrays may have other names for them if one of the two has one axis: that is the labels.

    Args:
        path: the archive.
        name: the path as the user gave it.
        with_labels: whether the labels are needed; without them they are all 0.

    Raises:
        FileError: missing, damaged, of another kind, or without such arrays.
    """

    def __init__(self, path: Path, name: str = "", with_labels: bool = True) -> None:
        if not path.is_file():
            raise FileError(f"{path}: expected an npz file, got no plain file.")
        with file_errors(path, "arrays", _sentence), zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            heads = {name: _checked_head(path, name, archive, info) for name, info in members.items()}
            data, label = _names(path, heads, with_labels)
            images = _read(path, data, heads[data], archive, members[data])
            labels = _read(path, label, heads[label], archive, members[label]) if label and with_labels else None
        super().__init__(name or str(path), images, labels)
        log.info(f"Opened npz {self.name}")


class _Head(NamedTuple):
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        shape = " x ".join(map(str, self.shape)) if len(self.shape) <= _MOST_AXES else f"{len(self.shape)} axes"
        return " ".join([shape, str(self.dtype.newbyteorder("="))]).strip()


def _checked_head(path: Path, name: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Head:
    """An array's head, which must promise as many bytes as the archive has of it."""
    with archive.open(info) as file:
        head = _read_head(file)
        promised = file.tell() + prod(head.shape) * head.dtype.itemsize
    if promised != info.file_size:
        raise FileError(
            f'{path}: damaged: the array "{name}" promises {head}, {promised} bytes, got {info.file_size} bytes.'
        )
    return head


def _read_head(file: IO[bytes]) -> _Head:
    version = npy.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"an array of version {version[0]}.{version[1]} in place of 1.0")
    return _Head(*npy.read_array_header_1_0(file))


def _read(path: Path, name: str, head: _Head, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    if head.dtype.kind not in "buif":
        raise FileError(f'{path}: expected numbers in the array "{name}", got {head}.')
    with archive.open(info) as file:
        return npy.read_array(file, allow_pickle=False)


def _names(path: Path, heads: dict[str, _Head], with_labels: bool) -> tuple[str, str]:
    """The names of images and labels; of the labels none if there are none and none are needed."""
    if "data" in heads and ("label" in heads or not with_labels):
        return "data", "label" if "label" in heads else ""
    if len(heads) == 1 and not with_labels:
        return next(iter(heads)), ""
    flat = [name for name, head in heads.items() if len(head.shape) == 1]
    if len(heads) == 2 and len(flat) == 1:
        return next(name for name in heads if name != flat[0]), flat[0]
    wanted = "arrays data and label" if with_labels else "an array data"
    hint = "; a layer with one top needs no labels" if with_labels and "data" in heads else ""
    arrays = ", ".join([f"{name} ({head})" for name, head in heads.items()][:20]) or "none"
    raise FileError(f"{path}: expected {wanted}, got {arrays}{hint}.")


def _sentence(problem: Exception) -> str:
    text = " ".join(str(getattr(problem, "strerror", None) or problem).split()).rstrip(".")
    return f"expected an npz file that can be read: {text[:200]}"
