"""The file PREFIX_iter_N.resume: what Caffe's own two files of a snapshot do not hold.

It is a .npz file without pickles, so `numpy.load` opens it: arrays, and one text `state.json` that says where each of
them belongs. The archive's comment is a CRC-32 of all bytes before it, so that a damaged file is never believed.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from typing import Any

import numpy as np

from pycaffe_lite.errors import FileError
from pycaffe_lite.formats.reading import file_bytes
from pycaffe_lite.words import short

WHAT = "what an exact resume needs (.resume)"
VERSION = 1
_TEXT = "state.json"
_DIGITS = 8
_ARRAY = "array in"
_THEN = (1980, 1, 1, 0, 0, 0)  # the earliest date of a ZIP archive: equal states give equal bytes


def encode(state: dict[str, Any]) -> bytes:
    """The bytes of a file.

    Args:
        state: texts, numbers, lists, dicts and arrays, nested.

    Raises:
        FileError: there is something else in it.
    """
    try:
        return _encode(state)
    except (TypeError, ValueError) as problem:
        raise FileError(f"Cannot write the state for an exact resume: {problem}.") from None


def _encode(state: dict[str, Any]) -> bytes:
    arrays: list[np.ndarray] = []
    text = json.dumps({"version": VERSION, **_without_arrays(state, arrays)}, indent=1)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo(_TEXT, _THEN), text)
        for index, array in enumerate(arrays):
            with archive.open(zipfile.ZipInfo(_name(index), _THEN), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
        archive.comment = b"crc32 " + b"0" * _DIGITS
    body = stream.getvalue()[:-_DIGITS]
    return body + b"%08x" % zlib.crc32(body)


def read(path: str) -> dict[str, Any]:
    """The state in a file.

    Raises:
        FileError: it is missing, damaged, or not such a file.
    """
    data = file_bytes(path, WHAT)
    body, digits = data[:-_DIGITS], data[-_DIGITS:]
    if digits != b"%08x" % zlib.crc32(body):
        kind = "is truncated or damaged" if data.startswith(b"PK") else "is not a file of"
        raise FileError(
            f"{path} {kind}{', expected' if 'damaged' in kind else ''} {WHAT}; remove it to resume as Caffe does, "
            "with the data from its beginning."
        )
    try:
        state = _decode(data)
    except (ValueError, KeyError, TypeError, RecursionError, zipfile.BadZipFile, MemoryError) as problem:
        raise FileError(f"{path} is not a file of {WHAT}: {problem}.") from None
    version = state.get("version")
    if not isinstance(version, int) or version != VERSION:
        raise FileError(f"{path}: expected version {VERSION} of {WHAT}, got {short(str(version))}.")
    return state


def _decode(data: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        state = _with_arrays(json.loads(archive.read(_TEXT)), archive)
    if not isinstance(state, dict):
        raise ValueError("its text is no object")
    return state


def _name(index: int) -> str:
    return f"{index}.npy"


def _without_arrays(value: Any, arrays: list[np.ndarray]) -> Any:
    """The value with each array replaced by the name it is stored under."""
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {_ARRAY: _name(len(arrays) - 1)}
    if isinstance(value, dict):
        return {str(key): _without_arrays(inner, arrays) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_arrays(inner, arrays) for inner in value]
    return value.item() if isinstance(value, np.generic) else value


def _with_arrays(value: Any, archive: zipfile.ZipFile) -> Any:
    if isinstance(value, dict):
        if set(value) == {_ARRAY}:
            with archive.open(os.fspath(value[_ARRAY])) as member:
                return np.lib.format.read_array(member, allow_pickle=False)
        return {key: _with_arrays(inner, archive) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_arrays(inner, archive) for inner in value]
    return value
