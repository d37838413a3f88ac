"""Writing files so that a fault leaves the old file or the new one, never half of one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

from pycaffe_lite.errors import FileError


def write_atomically(path: str, pieces: Iterable[bytes]) -> None:
    """Writes a file under a temporary name beside it, makes sure it is on the disk, and renames it.

    Raises:
        FileError: it could not be written; what was there before is untouched.
    """
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as problem:  # an interrupt, too, leaves nothing behind
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if not isinstance(problem, OSError):
            raise
        raise FileError(f"Cannot write {path}: {problem.strerror or problem}.") from None
    _sync_folder(os.path.dirname(path) or ".")


def write_output(path: str, data: bytes) -> None:
    """Writes what a user asked for: a file as `write_atomically` does it, or into a pipe or device as it is.

    A link stays a link; the file it leads to is replaced.

    Raises:
        FileError: it could not be written.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        try:
            with open(path, "wb") as file:
                file.write(data)
        except OSError as problem:
            raise FileError(f"Cannot write {path}: {problem.strerror or problem}.") from None
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
