"""IDX, the file format MNIST is published in: one array, raw or gzipped.

    00 00, type, axes        four bytes; type: 08 uint8, 09 int8, 0b int16, 0c int32, 0d float32, 0e float64
    axes x uint32            the lengths of the axes
    values                   C order; all numbers big-endian

A raw file is mapped. A gzipped one is decompressed on a thread of its own into an array made beforehand, so
that the first records can be used long before the last ones are there.

Source: Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits.
"""

from __future__ import annotations

import threading
import zlib
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.errors import FileError

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"
_MOST_EXPANSION = 1032  # what deflate can do at best
_MOST_AXES = 32  # as NumPy has had from the beginning
_PIECE = 1 << 18
_UNREADABLE = (OSError, EOFError, zlib.error)


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

    Attributes:
        path: the file.
        array: the values, of the file's type; read only the records that `wait` has returned for.

    Raises:
        FileError: not an IDX file, or not as long as its head says. What only decompressing shows is
            raised by `wait`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._loading: _Loading | None = None
        try:
            self.array = self._open()
        except _UNREADABLE as problem:
            raise _unreadable(path, problem) from None

    def wait(self, records: int) -> None:
        """Returns as soon as the first `records` records are there.

        Raises:
            FileError: the file turned out to be damaged before that point.
        """
        if self._loading is not None:
            self._loading.wait(records * (self.array.nbytes // len(self.array)))

    def close(self) -> None:
        """Stops decompressing."""
        if self._loading is not None:
            self._loading.stop()

    def _open(self) -> NDArray[Any]:
        if self.path.exists() and not self.path.is_file():
            raise FileError(f"{self.path}: expected an IDX file, got no plain file.")
        with open(self.path, "rb") as file:
            start = file.read(2)
            file.seek(0)
            if not start:
                raise FileError(f"{self.path}: expected an IDX file, got an empty file.")
            if start == _GZIP:
                return self._open_gzip(file)
            return self._map(file)

    def _map(self, file: BinaryIO) -> NDArray[Any]:
        head = _read_head(self.path, file)
        self._check_length(file.seek(0, 2), head)
        return np.memmap(self.path, head.dtype, "r", head.length, head.shape)

    def _open_gzip(self, file: BinaryIO) -> NDArray[Any]:
        size = file.seek(-4, 2) + 4
        length_in_trailer = int.from_bytes(file.read(4), "little")
        stream = _inflating(self.path)
        try:
            head = _read_head(self.path, stream)
            self._check_plausible(head, size, length_in_trailer)
            return self._start_loading(head, stream)
        except BaseException:
            stream.close()
            raise

    def _check_plausible(self, head: _Head, size: int, length_in_trailer: int) -> None:
        """Raises a FileError if a gzip file cannot hold what its head promises; takes no memory for it."""
        if head.promised > _MOST_EXPANSION * size:
            raise FileError(
                f"{self.path}: its head promises shape {list(head.shape)}, {head.promised} bytes, "
                f"more than a gzip file of {size} bytes can hold."
            )
        if length_in_trailer != head.promised % 2**32:
            # Truncated, or in several members: reading it through tells.
            self._check_length(_inflated_length(self.path), head)

    def _start_loading(self, head: _Head, stream: BinaryIO) -> NDArray[Any]:
        try:
            array = np.empty(head.shape, head.dtype)
        except MemoryError:
            raise FileError(f"{self.path}: not enough memory for its {head.promised} bytes.") from None
        self._loading = _Loading(self.path, stream, array)
        return array

    def _check_length(self, got: int, head: _Head) -> None:
        if got != head.promised:
            word = "truncated" if got < head.promised else "too long"
            raise FileError(
                f"{self.path}: {word}: its head promises shape {list(head.shape)}, "
                f"{head.promised} bytes in all, got {got}."
            )


def _read_head(path: Path, file: BinaryIO) -> _Head:
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


def _inflating(path: Path) -> BinaryIO:
    """A gzip file, of any number of members, as the stream of its contents."""
    import gzip

    return cast(BinaryIO, gzip.open(path))


def _inflated_length(path: Path) -> int:
    total = 0
    with _inflating(path) as stream:
        while piece := stream.read(_PIECE):
            total += len(piece)
    return total


def _unreadable(path: Path, problem: BaseException) -> FileError:
    if isinstance(problem, EOFError):
        return FileError(f"{path}: truncated: the gzip file ends before its contents do.")
    reason = getattr(problem, "strerror", None) or str(problem)
    return FileError(f"{path}: cannot be read: {reason}.")


class _Loading:
    """Fills an array from a stream, on its own thread."""

    def __init__(self, path: Path, stream: BinaryIO, array: NDArray[Any]) -> None:
        self.path = path
        self.ready = 0
        self.problem: FileError | None = None
        self.stopped = False
        self.changed = threading.Condition()
        memory = array.reshape(-1).view(np.uint8).data
        threading.Thread(target=self._run, args=(stream, memory), daemon=True, name="idx").start()

    def wait(self, length: int) -> None:
        if self.ready < length:
            with self.changed:
                self.changed.wait_for(lambda: self.ready >= length or self.problem is not None)
            if self.ready < length and self.problem is not None:
                raise self.problem

    def stop(self) -> None:
        self.stopped = True

    def _run(self, stream: BinaryIO, memory: memoryview) -> None:
        try:
            with stream:
                self._fill(stream, memory)
        except FileError as problem:
            self._report(self.ready, problem)
        except Exception as problem:  # whatever it is, the reader must not wait for ever
            self._report(self.ready, _unreadable(self.path, problem))

    def _fill(self, stream: BinaryIO, memory: memoryview) -> None:
        at = 0
        while at < len(memory):
            got = 0 if self.stopped else stream.readinto(memory[at : at + _PIECE])  # type: ignore[attr-defined]
            if not got:
                raise FileError(f"{self.path}: truncated: {len(memory) - at} of its bytes are missing.")
            at += got
            # The last bytes count only once the end, with its checksum, has been seen.
            self._report(min(at, len(memory) - 1))
        if stream.read(1):
            raise FileError(f"{self.path}: too long: bytes follow the {len(memory)} that its head promises.")
        self._report(at)

    def _report(self, ready: int, problem: FileError | None = None) -> None:
        with self.changed:
            self.ready, self.problem = ready, problem
            self.changed.notify_all()
