"""A LevelDB of Datums as a source."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from pycaffe_lite import log
from pycaffe_lite.data.records import Records
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
    time, and that its folder is written to. So its length is not known before its end has been read, and to go on from
    record n, n records are passed over.

    Args:
        path: the LevelDB's folder.
        name: the path as the user gave it.
        color: how encoded images are decoded, see `pycaffe_lite.data.images.decode`.
        shared: whether other processes read it at the same time; each then opens a folder of links to its tables,
            which never change, and copies of the rest.

    Raises:
        FileError: missing, damaged, in use, in a folder that cannot be written to, or without records.
        MissingExtra: plyvel is not installed.
    """

    def __init__(self, path: Path, name: str = "", color: bool | None = None, shared: bool = False) -> None:
        super().__init__(name or str(path), color)
        self._path = path
        self._links = _links(path) if shared else None
        self._db = _open(Path(self._links.name) if self._links else path)
        self._next_record = 0
        self._length = 0  # once the end has been seen
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
            self._begin_again()
        return values, self._next_record

    def every(self, start: int, count: int, step: int) -> Records:
        start = start % self._length if self._length else start
        if start != self._next_record:
            try:
                self._seek(start)
            except FileError:
                if not 0 < self._length <= start:
                    raise
                return self.every(start, count, step)
        self._next_record = -1
        values: list[Any] = []
        number = start
        while len(values) < count and self._ahead is not None:
            values.append(self._ahead)
            passed = list(islice(self._rest, step))
            self._ahead = passed[-1] if len(passed) == step else None
            number += step if self._ahead is not None else 1 + len(passed)
        self._next_record = number
        if self._ahead is None:
            self._begin_again()
        return self.parse_undecoded(values, range(start, start + step * len(values), step))

    def _begin_again(self) -> None:
        """At the end."""
        self._length = self._next_record
        self._seek(0)

    def keys(self, count: int) -> list[bytes]:
        with self._db.iterator(include_value=False) as keys:
            return list(islice(keys, count))

    def check(self, start: int) -> None:
        """Only reading can tell."""

    def __len__(self) -> int:
        return self._length or super().__len__()

    def close(self) -> None:
        self._rest.close()
        self._db.close()
        if self._links:
            self._links.cleanup()

    def _seek(self, record: int) -> None:
        self._rest = self._from_start()
        passed = sum(1 for _ in islice(self._rest, record))
        self._ahead = next(self._rest, None)
        if self._ahead is None:
            self._length, self._next_record = passed, -1
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


def _links(path: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder that LevelDB can take for its own: what it writes and removes there, it does not in the database's."""
    folder = tempfile.TemporaryDirectory(prefix="pycaffe-lite-leveldb-")
    try:
        for entry in path.iterdir():
            if entry.suffix in _TABLES:
                os.symlink(entry.resolve(), os.path.join(folder.name, entry.name))
            elif entry.is_file() and not entry.name.startswith("LO"):  # its lock, and its own log
                shutil.copyfile(entry, os.path.join(folder.name, entry.name))
    except OSError as problem:
        folder.cleanup()
        raise FileError(f"{path}: cannot be read: {unreadable(problem)}.") from None
    return folder


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
