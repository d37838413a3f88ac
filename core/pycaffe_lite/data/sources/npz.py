"""Numpy's archives, which numpy.savez and savez_compressed write, as a source.

Read here rather than by numpy.load, which believes an array's head: one that promises more than its file holds
takes the memory first and fails then. Objects, which would run code, are never read.
"""

from __future__ import annotations

import contextlib
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

_MOST_EXPANSION = 1032  # what deflate can do at best
_PIECE = 1 << 20
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
        with _Archive(path) as archive:
            data, label = _names(archive, with_labels)
            images = archive.read(data)
            labels = archive.read(label) if label and with_labels else None
        super().__init__(name or str(path), images, labels)
        log.info(f"Opened npz {self.name}")


class _Head(NamedTuple):
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        shape = " x ".join(map(str, self.shape)) if len(self.shape) <= _MOST_AXES else f"{len(self.shape)} axes"
        return " ".join([shape, str(self.dtype.newbyteorder("="))]).strip()


class _Archive:
    """An archive's arrays.

    Attributes:
        heads: shape and type of each.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise FileError(f"{path}: expected an npz file, got no plain file.")
        with self._told():
            self._zip = zipfile.ZipFile(path)
        try:
            with self._told():
                self._members = {info.filename.removesuffix(".npy"): info for info in self._zip.infolist()}
                self.heads = {name: self._head(name) for name in self._members}
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> _Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def read(self, name: str) -> NDArray[Any]:
        """An array of real numbers."""
        head = self.heads[name]
        if head.dtype.kind not in "buif":
            raise FileError(f'{self.path}: expected numbers in the array "{name}", got {head}.')
        with self._told(), self._zip.open(self._members[name]) as file:
            _read_head(file)
            array = np.empty(head.shape[::-1] if head.fortran else head.shape, head.dtype)
            _fill(array, file)
        return array.T if head.fortran else array

    def __str__(self) -> str:
        arrays = [f"{name} ({head})" for name, head in self.heads.items()]
        return ", ".join(arrays[:20]) or "none"

    def _head(self, name: str) -> _Head:
        info = self._members[name]
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise FileError(f'{self.path}: expected a plain or a deflated array, got "{name}" packed in another way.')
        with self._zip.open(info) as file:
            head = _read_head(file)
            promised = file.tell() + prod(head.shape) * head.dtype.itemsize
        if promised != info.file_size or info.file_size > _MOST_EXPANSION * (info.compress_size + 1):
            raise FileError(
                f'{self.path}: damaged: the array "{name}" promises {head}, {promised} bytes, got {info.file_size} '
                f"bytes, packed in {info.compress_size}."
            )
        return head

    def _told(self) -> contextlib.AbstractContextManager[None]:
        def sentence(problem: Exception) -> str:
            text = " ".join(str(getattr(problem, "strerror", None) or problem).split()).rstrip(".")
            return f"expected an npz file that can be read: {text[:200]}"

        return file_errors(self.path, "arrays", sentence)


def _read_head(file: IO[bytes]) -> _Head:
    version = npy.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"an array of version {version[0]}.{version[1]} in place of 1.0")
    return _Head(*npy.read_array_header_1_0(file))


def _fill(array: NDArray[Any], file: IO[bytes]) -> None:
    if not array.size:
        return
    memory, at = array.reshape(-1).view(np.uint8).data, 0
    while at < len(memory):
        got = file.readinto(memory[at : at + _PIECE])  # type: ignore[attr-defined]
        if not got:
            raise EOFError(f"{len(memory) - at} bytes are missing")
        at += got
    file.read(1)  # to the end, where the checksum is compared


def _names(archive: _Archive, with_labels: bool) -> tuple[str, str]:
    """The names of images and labels; of the labels none if there are none and none are needed."""
    heads = archive.heads
    if "data" in heads and ("label" in heads or not with_labels):
        return "data", "label" if "label" in heads else ""
    if len(heads) == 1 and not with_labels:
        return next(iter(heads)), ""
    flat = [name for name, head in heads.items() if len(head.shape) == 1]
    if len(heads) == 2 and len(flat) == 1:
        return next(name for name in heads if name != flat[0]), flat[0]
    wanted = "arrays data and label" if with_labels else "an array data"
    hint = "; a layer with one top needs no labels" if with_labels and "data" in heads else ""
    raise FileError(f"{archive.path}: expected {wanted}, got {archive}{hint}.")
