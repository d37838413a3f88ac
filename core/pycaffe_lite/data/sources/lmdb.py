"""An LMDB of Datums as a source."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite import log
from pycaffe_lite.data.records import Records
from pycaffe_lite.data.sources.datum import DatumSource
from pycaffe_lite.data.sources.lmdb_file import LmdbFile
from pycaffe_lite.errors import FileError


class LmdbSource(DatumSource):
    """An LMDB whose values are Datums, in key order. Nothing is written, and any number of readers may read.

    Args:
        path: the LMDB's folder, or the data file in it.
        name: the path as the user gave it.
        color: how encoded images are decoded, see `pycaffe_lite.data.decode`.

    Raises:
        FileError: empty, truncated, damaged, or not an LMDB.
    """

    def __init__(self, path: Path, name: str = "", color: bool | None = None) -> None:
        super().__init__(name or str(path), color)
        self._file = LmdbFile(_data_file(path))
        log.info(f"Opened lmdb {self.name}")

    def __len__(self) -> int:
        return len(self._file)

    def values(self, start: int, count: int) -> tuple[list[memoryview], int]:
        end = min(start + count, len(self))
        return self._file.values(np.arange(start, end)), end % len(self)

    def take(self, numbers: NDArray[np.integer[Any]]) -> Records:
        return self.parse(self._file.values(numbers), numbers)

    def take_undecoded(self, numbers: NDArray[np.integer[Any]]) -> Records:
        return self.parse_undecoded(self._file.values(numbers), numbers)

    def keys(self, count: int) -> list[bytes]:
        return [self._file.key(record) for record in range(min(count, len(self)))]

    def where(self, record: int) -> str:
        return f"{self.name}, record {record} (key {repr(self._file.key(record)[:60])[1:]})"


def _data_file(path: Path) -> Path:
    if not os.path.isdir(path):
        return path
    inside = path / "data.mdb"
    if not os.path.isfile(inside):
        raise FileError(f"{path}: expected an LMDB, a folder with data.mdb in it, got a folder without.")
    return inside
