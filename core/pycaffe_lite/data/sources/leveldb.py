"""A LevelDB of Datums as a source."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from pycaffe_lite import log
from pycaffe_lite.data.sources.datum import DatumSource
from pycaffe_lite.errors import FileError, MissingExtra
from pycaffe_lite.formats.wire import Malformed, read_varint
from pycaffe_lite.paths import unreadable
from pycaffe_lite.words import printable

_TABLES = (".ldb", ".sst")
_TABLE_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_LONGEST = 200  # of what LevelDB says
_FOOTER, _HANDLES = 48, 40  # the bytes of a table's end, and of the numbers in it


class LeveldbSource(DatumSource):
    """A LevelDB whose values are Datums, in key order.

    It is the nature of a LevelDB that it can only be read from one record to the next, by one process at a
    time, and that its folder is written to. So its length is not known, and to go on from record n, n records
    are passed over.

    Args:
        path: the LevelDB's folder.
        name: the path as the user gave it.
        color: how encoded images are decoded, see `pycaffe_lite.data.images.decode`.

    Raises:
        FileError: missing, damaged, in use, in a folder that cannot be written to, or without records.
        MissingExtra: plyvel is not installed.
    """

    def __init__(self, path: Path, name: str = "", color: bool | None = None) -> None:
        super().__init__(name or str(path), color)
        self._path = path
        self._db = _open(path)
        self._next_record = 0
        self._rest = self._from_start()
        self._ahead = next(self._rest, None)
        if self._ahead is None:
            raise FileError(f"{path}: expected a LevelDB with records, got an empty one.")
        log.info(f"Opened leveldb {self.name}", "db_leveldb.cpp:18")

    def values(self, start: int, count: int) -> tuple[list[Any], int]:
        if start != self._next_record:
            self._seek(start)
        self._next_record = -1  # until nothing has gone wrong
        values = [self._ahead, *islice(self._rest, count - 1)]
        self._ahead = next(self._rest, None)
        self._next_record = start + len(values)
        if self._ahead is None:
            self._seek(0)
        return values, self._next_record

    def keys(self, count: int) -> list[bytes]:
        with self._db.iterator(include_value=False) as keys:
            return list(islice(keys, count))

    def check(self, start: int) -> None:
        """Only reading can tell."""

    def close(self) -> None:
        self._rest.close()
        self._db.close()

    def _seek(self, record: int) -> None:
        self._rest = self._from_start()
        self._ahead = next(islice(self._rest, record, None), None)
        if self._ahead is None:
            raise FileError(f"{self._path}: expected more than {record} records, got fewer.")
        self._next_record = record

    def _from_start(self) -> Any:
        """The values in key order."""
        import plyvel

        def values() -> Iterator[bytes]:
            try:
                yield from self._db.iterator(include_key=False, verify_checksums=True)
            except plyvel.Error as problem:
                raise FileError(f"{self._path}: damaged LevelDB: {_text(problem)}.") from None

        return values()


def _open(path: Path) -> Any:
    try:
        import plyvel
    except ImportError:
        raise MissingExtra("LevelDB sources", "leveldb") from None
    if not os.path.isfile(path / "CURRENT"):
        raise FileError(f"{path}: expected a LevelDB, a folder with a file CURRENT in it, got none.")
    try:
        _check_tables(path)
        return plyvel.DB(str(path), create_if_missing=False, paranoid_checks=True)
    except (plyvel.Error, OSError) as problem:
        raise FileError(f"{path}: cannot be opened as a LevelDB: {_text(problem)}.") from None


def _check_tables(path: Path) -> None:
    """Raises a FileError for what LevelDB would trust: pipes, devices, and a table whose end leads out of the file,
    for which it would ask for that much memory, and end the process if there is not so much. The end has no
    checksum; all else has one.
    """
    for table in sorted(path.iterdir()):
        if not table.is_file() and not table.is_dir():
            raise FileError(f"{path}: expected a LevelDB of plain files, got one with {table.name}, which is none.")
        if table.suffix not in _TABLES or table.is_dir():
            continue
        with open(table, "rb") as file:
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - _FOOTER))
            end = file.read()
        if end.endswith(_TABLE_MAGIC) and any(place + size > length for place, size in _handles(end)):
            raise FileError(f"{path}: damaged LevelDB: the end of {table.name} leads beyond it.")


def _handles(footer: bytes) -> Iterator[tuple[int, int]]:
    """The places and sizes of the two blocks that a table's end names; what is no number is left to LevelDB."""
    end = 0
    with contextlib.suppress(Malformed):
        for _ in range(2):
            place, end = read_varint(footer, end, min(len(footer), _HANDLES))
            size, end = read_varint(footer, end, min(len(footer), _HANDLES))
            yield place, size


def _text(problem: Exception) -> str:
    """What LevelDB says; it repeats the bytes of its files."""
    if isinstance(problem, OSError) and problem.strerror:
        return unreadable(problem)
    text = problem.args[0] if problem.args else problem
    text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    return printable(text[:_LONGEST]).rstrip(".")
