"""Writing files so that a fault leaves the old file or the new one, never half of one."""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pycaffe_lite.errors import FileError


class Checksum(NamedTuple):
    """Length and CRC-32 of a file."""

    size: int
    crc: int


def checksum(pieces: Iterable[bytes], size: int = 0, crc: int = 0) -> Checksum:
    """Length and CRC-32 of pieces, as one file."""
    for piece in pieces:
        size, crc = size + len(piece), zlib.crc32(piece, crc)
    return Checksum(size, crc)


class FileSet:
    """Files that belong together: none takes its place before all are complete and on the disk.

        with FileSet() as files:
            files.add("a", pieces)
            files.add("b", pieces)

    They are written under temporary names, and renamed at the end, in the order of `add`: whoever sees the last
    one sees all. If anything fails before, what was there is untouched.

    Raises:
        FileError: a file could not be written.
    """

    def __init__(self) -> None:
        self._pending: list[tuple[str, str]] = []

    def __enter__(self) -> FileSet:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: object, trace: object) -> None:
        try:
            while kind is None and self._pending:
                temporary, path = self._pending[0]
                with _told(path):
                    os.replace(temporary, path)
                del self._pending[0]
                _sync_folder(os.path.dirname(path) or ".")
        finally:
            for temporary, _ in self._pending:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)

    def add(self, path: str, pieces: Iterable[bytes]) -> Checksum:
        """Writes a file under its temporary name; returns what its length and checksum are."""
        temporary = f"{path}.{os.getpid()}.tmp"
        self._pending.append((temporary, path))
        total = Checksum(0, 0)
        with _told(path), open(temporary, "wb") as file:
            for piece in pieces:
                file.write(piece)
                total = checksum([piece], *total)
            file.flush()
            os.fsync(file.fileno())
        return total


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    """Makes a FileError of what the system says."""
    try:
        yield
    except OSError as problem:
        raise FileError(f"Cannot write {path}: {problem.strerror or problem}.") from None


def write_atomically(path: str, pieces: Iterable[bytes]) -> None:
    """Writes a file under a temporary name beside it, makes sure it is on the disk, and renames it.

    Raises:
        FileError: it could not be written; what was there before is untouched.
    """
    with FileSet() as files:
        files.add(path, pieces)


def write_output(path: str, data: bytes) -> None:
    """Writes what a user asked for: a file as `write_atomically` does it, or into a pipe or device as it is.

    A link stays a link; the file it leads to is replaced.

    Raises:
        FileError: it could not be written.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        with _told(path), open(path, "wb") as file:
            file.write(data)
    else:
        write_atomically(os.path.realpath(path), [data])


def check_output(path: str) -> None:
    """Raises a FileError if `write_output` cannot write there, as far as can be seen before the work is done."""
    absolute = os.path.abspath(path)
    folder = os.path.dirname(absolute)
    if not path or os.path.isdir(absolute) or not os.path.isdir(folder):
        reason = f"there is no folder {folder}" if path and not os.path.isdir(folder) else "that is no file"
        raise FileError(f'Cannot write "{path}": {reason} (the working folder is {os.getcwd()}).')


def _sync_folder(folder: str) -> None:
    """Puts the rename on the disk too; not every system lets a folder be synced."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
