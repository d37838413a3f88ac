"""Telling from a source's files what it is, for commands that are given a path alone."""

from __future__ import annotations

import os

from pycaffe_lite.data.source import Source, open_source
from pycaffe_lite.errors import CaffeError, FileError
from pycaffe_lite.proto.caffe_pb2 import DataParameter
from pycaffe_lite.proto.files import find_file

KINDS = ("lmdb", "leveldb", "idx")

_LMDB_MAGIC = (0xBEEFC0DE).to_bytes(4, "little")
_LMDB_MAGIC_AT = 16


def kind_of(path: str) -> str:
    """One of KINDS, by what is there; a file that is no LMDB's is taken for an IDX file.

    Raises:
        FileError: there is nothing of that name, or a folder without a database.
    """
    path = find_file(path, what="data source")
    if os.path.isdir(path):
        for kind, file in (("lmdb", "data.mdb"), ("leveldb", "CURRENT")):
            if os.path.isfile(os.path.join(path, file)):
                return kind
        raise FileError(
            f"{path}: expected a database, a folder with data.mdb (LMDB) or CURRENT (LevelDB) in it, got a "
            f"folder without ({os.path.abspath(path)})."
        )
    if not os.path.isfile(path):
        raise FileError(f"{path}: expected a database's folder or an IDX file, got neither.")
    try:
        with open(path, "rb") as opened:
            head = opened.read(_LMDB_MAGIC_AT + len(_LMDB_MAGIC))
    except OSError as problem:
        raise FileError(f"{path}: cannot be read: {problem.strerror}.") from None
    return "lmdb" if head[_LMDB_MAGIC_AT:] == _LMDB_MAGIC else "idx"


def open_kind(path: str, kind: str, with_labels: bool = True, color: bool | None = None) -> Source:
    """Opens a source of that kind; see `open_source`."""
    backend = DataParameter.DB.Value(kind.upper())
    return open_source(DataParameter(source=path, backend=backend), "", with_labels, color)


def length_of(source: Source) -> int | None:
    """The number of a source's records; None if only reading it through can tell."""
    try:
        return len(source)
    except CaffeError:
        return None
