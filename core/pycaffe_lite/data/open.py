"""Opening a source: what a Data layer names, or what the files of a path tell that it is."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from pycaffe_lite.data.records import Source
from pycaffe_lite.data.sources.csv import CsvSource
from pycaffe_lite.data.sources.idx import IdxSource
from pycaffe_lite.data.sources.leveldb import LeveldbSource
from pycaffe_lite.data.sources.lmdb import LmdbSource
from pycaffe_lite.data.sources.npz import NpzSource
from pycaffe_lite.errors import CaffeError, FileError
from pycaffe_lite.paths import find_file, unreadable
from pycaffe_lite.proto.caffe_pb2 import DataParameter

_ARRAYS: dict[str, Callable[[Path, str, bool], Source]] = {"IDX": IdxSource, "NPZ": NpzSource, "CSV": CsvSource}

KINDS = ("lmdb", "leveldb", "idx", "npz", "csv")
"""What a Data layer reads: its backends."""

HDF5, HDF5_LIST, IMAGE_LIST, WINDOWS, MEAN = "hdf5", "hdf5 list", "image list", "window file", "mean"

READERS = {
    HDF5: "an HDF5 file, which an HDF5Data layer reads by way of a list of such files",
    HDF5_LIST: "a list of HDF5 files, which an HDF5Data layer reads",
    IMAGE_LIST: "a list of images, which an ImageData layer reads",
    WINDOWS: "a window file, which a WindowData layer reads",
    MEAN: "a mean image, which transform_param { mean_file: … } names",
}

_FOLDERS = (("lmdb", "data.mdb"), ("leveldb", "CURRENT"))
_LMDB_MAGIC = (0xBEEFC0DE).to_bytes(4, "little")
_LMDB_MAGIC_AT = 16
_HEADS = (
    ("npz", re.compile(rb"PK(\x03\x04|\x05\x06)")),
    (HDF5, re.compile(rb"\x89HDF\r\n\x1a\n")),
    ("idx", re.compile(rb"\0\0[\x08\x09\x0b-\x0e][\x01-\x20]", re.DOTALL)),
    (MEAN, re.compile(rb"\x08\x01\x10[\x01-\x7f]\x18")),
)
_LEVELDB_FILE = re.compile(r"CURRENT|LOCK|LOG|MANIFEST-[0-9]+|[0-9]+\.(ldb|sst|log)")
_IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".webp", ".jp2")
_GZIP = b"\x1f\x8b"
_LONGEST_LINE = 1 << 16
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def kind_of(path: str) -> str:
    """What a path holds: one of KINDS or of READERS.

    Raises:
        FileError: there is nothing of that name, or nothing of these kinds.
    """
    path = find_file(path, what="data source")
    kind = _seen(path)
    if kind is None and os.path.isdir(path):
        raise FileError(
            f"{path}: expected a database, a folder with data.mdb (LMDB) or CURRENT (LevelDB) in it, got a "
            f"folder without ({os.path.abspath(path)})."
        )
    if kind is None and not os.path.isfile(path):
        raise FileError(f"{path}: expected a database's folder or a file of data, got neither.")
    kind = kind or _by_text(path)
    if kind is None:
        raise FileError(
            f"{path}: expected a database, an IDX, npz, csv or HDF5 file, a list of images or HDF5 files, a window "
            f"file or a mean image, got none of these ({os.path.abspath(path)})."
        )
    return kind


def check_backend(path: Path, backend: str) -> None:
    """Raises a FileError that names what is there if that is plainly no source for a backend."""
    kind = _seen(str(path))
    if kind is None and backend != "CSV" and path.is_file():
        kind = _by_text(str(path))
    if kind in READERS:
        raise FileError(f"{path}: expected a source for backend: {backend}, got {READERS[kind]}.")
    if kind is not None and kind.upper() != backend:
        raise FileError(f"{path}: expected a source for backend: {backend}, got one for {kind.upper()}.")


def open_source(
    param: DataParameter,
    folder: str = "",
    with_labels: bool = True,
    color: bool | None = None,
    shared: bool = False,
) -> Source:
    """Opens what a Data layer's parameters name.

    Args:
        param: a DataParameter.
        folder: where `source` is looked for besides the working folder.
        with_labels: whether labels are needed; a source of images alone will do otherwise.
        color: how encoded images are decoded: True to 3 channels, False to 1, None to what the file has.
        shared: whether other processes read it at the same time, to which a LevelDB has to be told.

    Raises:
        CaffeError: missing, damaged, of another kind, or in need of a package that is not installed.
    """
    if not param.source:
        raise CaffeError("expected data_param { source: ... }, got none.")
    path = Path(find_file(param.source, folder, "data source"))
    backend = param.DB.Name(param.backend)
    check_backend(path, backend)
    if backend in _ARRAYS:
        return _ARRAYS[backend](path, param.source, with_labels)
    if backend == "LMDB":
        return LmdbSource(path, param.source, color)
    return LeveldbSource(path.parent if in_leveldb(str(path)) else path, param.source, color, shared)


def open_kind(path: str, kind: str, with_labels: bool = True, color: bool | None = None) -> Source:
    """Opens a source of that kind; see `open_source`.

    Raises:
        FileError: it is none that a Data layer reads.
    """
    if kind in READERS:
        raise FileError(f"{path}: expected a source for a Data layer, got {READERS[kind]}.")
    backend = DataParameter.DB.Value(kind.upper())
    return open_source(DataParameter(source=path, backend=backend), "", with_labels, color)


def _seen(path: str) -> str | None:
    """The kind that a folder's files or a file's first bytes tell; None if they tell none."""
    if os.path.isdir(path):
        return next((kind for kind, file in _FOLDERS if os.path.isfile(os.path.join(path, file))), None)
    if not os.path.isfile(path):
        return None
    head = _head(path)
    if head[_LMDB_MAGIC_AT : _LMDB_MAGIC_AT + len(_LMDB_MAGIC)] == _LMDB_MAGIC:
        return "lmdb"
    if in_leveldb(path):
        return "leveldb"
    return next((kind for kind, pattern in _HEADS if pattern.match(head)), None)


def in_leveldb(path: str) -> bool:
    """Whether a path is one of the files of a LevelDB."""
    folder, name = os.path.split(path)
    return bool(_LEVELDB_FILE.fullmatch(name)) and os.path.isfile(os.path.join(folder, "CURRENT"))


def _head(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_LONGEST_LINE)
    except OSError as problem:
        raise FileError(f"Cannot read {path}: {unreadable(problem)}.") from None


def _by_text(path: str) -> str | None:
    """The kind that a text's first line tells; a gzipped file is taken for an IDX file."""
    head = _head(path)
    if head.startswith(_GZIP):
        return "idx"
    if path.endswith(".binaryproto"):
        return MEAN
    if path.lower().endswith(".csv"):
        return "csv"
    text = head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    line = next(filter(None, map(str.strip, text.splitlines())), "")
    words, cells = line.split(), [cell.strip().strip('"') for cell in line.split(",")]
    if not words or b"\0" in head:
        return None
    if len(cells) > 1 and ("label" in cells or all(map(_NUMBER.fullmatch, cells))):
        return "csv"
    if words[0] == "#" and len(words) == 2 and words[1].isdecimal():
        return WINDOWS
    if len(words) > 1 and _NUMBER.fullmatch(words[-1]):
        return IMAGE_LIST
    name = words[0].lower()
    if len(words) == 1 and name.endswith(_IMAGES):
        return IMAGE_LIST
    return HDF5_LIST if name.endswith((".h5", ".hdf5", ".hdf")) else None
