"""Reading a file that should be of some kind: all of its bytes, and what it is instead."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from pycaffe_lite.errors import FileError
from pycaffe_lite.paths import not_found, unreadable

LARGEST = 2**31 - 1
"""Bytes in a file: protobuf's own limit."""
MOST = 100_000
"""Layers in a file, or blobs in a layer: far more than nets have."""
Check = Callable[[bytes], None]
"""Is given the bytes of a file before anything else looks at them, and raises a FileError if they are not right."""
_PIECE = 2**16


class Unfit(Exception):
    """A file in the right form that is not what was looked for; its text goes on a sentence."""


def file_bytes(path: str, what: str, check: Check | None = None) -> bytes:
    """All bytes of a file, which is opened once.

    Args:
        path: the file, or a pipe.
        what: what it should be, for messages.
        check: see Check.

    Raises:
        FileError: the file is missing, unreadable, empty, a device, or larger than 2 GiB.
    """
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if stat.S_ISCHR(status.st_mode):
                raise FileError(f"{path} is a device, expected a file of {what}.")
            pieces, length = [file.read(min(status.st_size, LARGEST))], status.st_size
            while length <= LARGEST and (piece := file.read(_PIECE)):  # what a pipe brings
                pieces.append(piece)
                length += len(piece)
            data = b"".join(pieces)
    except MemoryError:
        raise FileError(f"{path} does not fit into memory.") from None
    except FileNotFoundError:
        raise FileError(not_found(path, "file", [os.path.abspath(path)])) from None
    except (OSError, ValueError) as problem:
        raise FileError(f"Cannot read {path}: {unreadable(problem)}.") from None
    if length > LARGEST:
        raise FileError(f"{path} is larger than 2 GiB, which no file of {what} is.")
    if not data:
        raise FileError(f"{path} is empty; expected {what}.")
    if check is not None:
        check(data)
    return data


def not_of_kind(path: str, which: str, what: str, data: bytes, reason: str) -> FileError:
    """The error for a file that is something else; if its beginning tells what, that is said in place of the reason."""
    kind = _kind(data)
    if kind:
        return FileError(f"{path} is not a file of {what}: it holds {kind}.")
    return FileError(f"{path} {which} a file of {what}: {reason}.")


_MAGIC = (
    (b"\x89HDF", "HDF5 data; name it with .h5 at the end"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip data; unpack it first"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"version https://git-lfs", "a Git LFS pointer; fetch the file itself"),
)


def _kind(data: bytes) -> str:
    """What a file is that is not what it should be, where that can be seen; else nothing."""
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return kind
    head = data[:512]
    if head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        return "a web page; download the file itself"
    if head.isascii() and all(byte >= 32 or byte in b"\t\n\r\f" for byte in head):
        return "text"
    if data[0] == 0 and data.count(0) == len(data):
        return "nothing but zeros"
    return ""
