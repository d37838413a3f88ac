"""IDX, the file format MNIST is published in, as a source: images in one file, their labels in another beside it.

    00 00, type, axes        four bytes; type: 08 uint8, 09 int8, 0b int16, 0c int32, 0d float32, 0e float64
    axes x uint32            the lengths of the axes
    values                   C order; all numbers big-endian

A raw file is mapped. A gzipped one is decompressed into an array made beforehand, as far as records are asked for,
so that the first ones can be used long before the last ones are there.

Source: Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits.
"""

from __future__ import annotations

import gzip
import io
import os
import zlib
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite import log
from pycaffe_lite.data.records import Records
from pycaffe_lite.data.sources.arrays import ArraySource
from pycaffe_lite.errors import FileError

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"
_MOST_EXPANSION = 1032  # what deflate can do at best
_MOST_AXES = 32  # as NumPy has had from the beginning
_PIECE = 1 << 18
_UNREADABLE = (OSError, EOFError, zlib.error)


class IdxSource(ArraySource):
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
        if os.path.isdir(path):
            raise FileError(f"{path}: expected the images' IDX file, got a folder{_idx_files(path)}.")
        self._file = IdxFile(path)
        super().__init__(name or str(path), self._file.array)
        if with_labels:
            self._labels = _read_labels(path, len(self))
        log.info(f"Opened idx {self.name}")

    def read(self, start: int, count: int) -> Records:
        self._file.read(min(start + count, len(self)))
        return super().read(start, count)

    def take(self, numbers: NDArray[np.integer[Any]]) -> Records:
        self._file.read(int(numbers.max()) + 1)
        return super().take(numbers)


def _read_labels(images: Path, count: int) -> NDArray[np.float32]:
    path = _labels_beside(images)
    labels = read_idx(path)
    if labels.shape != (count,):
        shape = list(labels.shape)
        raise FileError(f"{path}: expected {count} labels, as {images.name} has images, got shape {shape}.")
    return labels.astype(np.float32)


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


class _Head(NamedTuple):
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    length: int

    @property
    def promised(self) -> int:
        """The length of the whole file, in bytes, if it is what the head says."""
        return self.length + prod(self.shape) * self.dtype.itemsize


class IdxFile:
    """An IDX file as an array that is there at once, or grows while it is used.

    Args:
        path: the file.

    Attributes:
        array: the values, of the file's type; of a gzipped file only the records that `read` has been called for.

    Raises:
        FileError: not an IDX file, or not as long as its head says. What only decompressing shows is raised by `read`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._packed = b""
        self._stream: gzip.GzipFile | None = None
        self._process = os.getpid()
        self._begin = 0  # of the array in the contents
        self._done = 0  # bytes of the array
        self._problem: FileError | None = None
        try:
            self.array = self._open()
        except _UNREADABLE as problem:
            raise self._unreadable(problem) from None

    def read(self, records: int) -> None:
        """Makes sure that the first `records` records are there.

        Raises:
            FileError: the file has turned out to be damaged before that point.
        """
        end = records * (self.array.nbytes // len(self.array))
        if self._stream is None or end <= self._done:
            return
        if self._problem is None:
            try:
                self._fill(self._stream, end)
            except FileError as problem:
                self._problem = problem
            except _UNREADABLE as problem:
                self._problem = self._unreadable(problem)
        if self._problem is not None:
            raise self._problem

    def _fill(self, stream: gzip.GzipFile, end: int) -> None:
        memory, at = self.array.reshape(-1).view(np.uint8).data, self._done
        if self._process != os.getpid():
            # After a fork: another thread may have been in the middle of it.
            self._stream = stream = _inflating(self._packed)
            self._process = os.getpid()
            stream.seek(self._begin + at)
        while at < end:
            if not (got := stream.readinto(memory[at:end])):
                raise FileError(f"{self.path}: truncated: {len(memory) - at} of its bytes are missing.")
            at += got
        if at == len(memory):
            # The last bytes count only once the end, with its checksum, has been seen.
            if stream.read(1):
                raise FileError(f"{self.path}: too long: bytes follow the {at} that its head promises.")
            self._stream, self._packed = None, b""
        self._done = at

    def _open(self) -> NDArray[Any]:
        if self.path.exists() and not self.path.is_file():
            raise FileError(f"{self.path}: expected an IDX file, got no plain file.")
        with open(self.path, "rb") as file:
            start = file.read(2)
            file.seek(0)
            if not start:
                raise FileError(f"{self.path}: expected an IDX file, got an empty file.")
            if start == _GZIP:
                return self._open_gzip(file.read())
            head = _read_head(self.path, file)
            self._check_length(file.seek(0, 2), head)
            return np.memmap(self.path, head.dtype, "r", head.length, head.shape)

    def _open_gzip(self, packed: bytes) -> NDArray[Any]:
        self._packed, self._stream = packed, _inflating(packed)
        head = _read_head(self.path, self._stream)
        self._begin = head.length
        if head.promised > _MOST_EXPANSION * len(packed):
            raise FileError(
                f"{self.path}: its head promises shape {list(head.shape)}, {head.promised} bytes, "
                f"more than a gzip file of {len(packed)} bytes can hold."
            )
        if int.from_bytes(packed[-4:], "little") != head.promised % 2**32:
            # Truncated, or in several members: reading it through tells.
            whole = _inflating(packed)
            self._check_length(sum(map(len, iter(lambda: whole.read(_PIECE), b""))), head)
        try:
            return np.empty(head.shape, head.dtype)
        except MemoryError:
            raise FileError(f"{self.path}: not enough memory for its {head.promised} bytes.") from None

    def _check_length(self, got: int, head: _Head) -> None:
        if got != head.promised:
            word = "truncated" if got < head.promised else "too long"
            raise FileError(
                f"{self.path}: {word}: its head promises shape {list(head.shape)}, "
                f"{head.promised} bytes in all, got {got}."
            )

    def _unreadable(self, problem: BaseException) -> FileError:
        if isinstance(problem, EOFError):
            return FileError(f"{self.path}: truncated: the gzip file ends before its contents do.")
        reason = getattr(problem, "strerror", None) or str(problem)
        return FileError(f"{self.path}: cannot be read: {reason}.")


def read_idx(path: Path) -> NDArray[Any]:
    """The values of an IDX file, raw or gzipped, of the file's type; see `IdxFile` for its errors."""
    file = IdxFile(path)
    file.read(len(file.array))
    return file.array


def _inflating(packed: bytes) -> gzip.GzipFile:
    """The contents of a gzip file, of any number of members, as a stream."""
    return gzip.GzipFile(fileobj=io.BytesIO(packed))


def _read_head(path: Path, file: IO[bytes] | gzip.GzipFile) -> _Head:
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _TYPES or not start[3]:
        raise FileError(
            f"{path}: expected an IDX file, which begins with 00 00, a type (08 to 0e) and a number of axes; "
            f"got {start.hex(' ') or 'nothing'}."
        )
    axes = file.read(4 * start[3])
    if len(axes) < 4 * start[3]:
        raise FileError(f"{path}: truncated: expected the lengths of {start[3]} axes, got {len(axes)} bytes.")
    shape = tuple(np.frombuffer(axes, ">u4").tolist())
    if len(shape) > _MOST_AXES:
        raise FileError(f"{path}: expected at most {_MOST_AXES} axes, got {len(shape)}.")
    if not prod(shape):
        raise FileError(f"{path}: expected at least one value, got shape {list(shape)}.")
    return _Head(np.dtype(_TYPES[start[2]]), shape, 4 + len(axes))
