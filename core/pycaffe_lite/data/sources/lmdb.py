"""An LMDB of Datums as a source; its file is a B+tree of pages, walked in key order.

The reader is written here rather than left to liblmdb because that trusts its file: a truncated or damaged one ends the
process with a signal. Here every number is checked before it is followed. Nothing is written, not even a lock
file; so nobody may write to the database while it is read.

    page    16 bytes (number u64, pad, flags, lower, upper u16), then a u16 for each node: its place
    node    low u16, high u16, flags u16, key length u16, key, and in a leaf the value;
            low + high * 2**16 is the value's length, or in a branch, with flags * 2**32, the child's page
    meta    pages 0 and 1: magic, version, sizes, the roots; the one of the later transaction counts

Large values have pages of their own, whose number then is the value of the node. All numbers are
little-endian. Source: the data structures that lmdb.h and mdb.c of OpenLDAP's LMDB 0.9 document.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite import log
from pycaffe_lite.data.records import Records
from pycaffe_lite.data.sources.datum import DatumSource
from pycaffe_lite.errors import FileError

_META = struct.Struct("<10xH4x II8x8x IHHQQQQQ IHHQQQQQ QQ")
_MAGIC = 0xBEEFC0DE
_HEAD = 16
_NODE = 8
_BRANCH, _LEAF, _OVERFLOW, _KINDS = 1, 2, 4, 15
_OWN_PAGES = 1  # the flag of a node whose value lies on pages of its own
_NO_PAGE = 2**64 - 1
_MOST_LEVELS = 32
_COUNTED_AT_ONCE = 16

Places = NDArray[np.int64]


class LmdbSource(DatumSource):
    """An LMDB whose values are Datums, in key order. Nothing is written, and any number of readers may read.

    Args:
        path: the LMDB's folder, or the data file in it.
        name: the path as the user gave it.
        color: how encoded images are decoded, see `pycaffe_lite.data.images.decode`.

    Raises:
        FileError: empty, truncated, damaged, or not an LMDB.
    """

    def __init__(self, path: Path, name: str = "", color: bool | None = None) -> None:
        super().__init__(name or str(path), color)
        self._file = LmdbFile(_data_file(path))
        log.info(f"Opened lmdb {self.name}", "db_lmdb.cpp:35")

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


class _Meta(NamedTuple):
    transaction: int
    page_size: int
    levels: int
    entries: int
    root: int


class LmdbFile:
    """The values of an LMDB, numbered from 0 in key order.

    How many records a leaf page holds is looked up when reading first gets there, so opening touches none.

    Args:
        path: the data file.

    Raises:
        FileError: empty, truncated, damaged, or not an LMDB.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._map = _map(path)
        self._view = memoryview(self._map)
        meta = self._read_meta()
        if not meta.entries or meta.root == _NO_PAGE:
            raise FileError(f"{path}: expected an LMDB with records, got an empty one.")
        self._page_size = meta.page_size
        self._pages = len(self._map) // meta.page_size
        self._words = np.frombuffer(self._map, "<u2", self._pages * self._page_size // 2)
        self._leaves = self._find_leaves(meta)
        self._entries = meta.entries
        if meta.entries > len(self._leaves) * (meta.page_size // (_NODE + 2)):
            raise self._damaged("its head tells of more records than its pages can hold")
        # The first record of each leaf, and the number of leaves for which (and for the next) it is known.
        self._firsts = np.zeros(len(self._leaves) + 1, np.int64)
        self._counted = 0

    def __len__(self) -> int:
        return self._entries

    def values(self, records: NDArray[np.integer[Any]]) -> list[memoryview]:
        """The values of some records, each below len(self); views of the file."""
        starts, sizes, flags = self._nodes(records)[1:]
        if flags.any():
            return [self._value(*node) for node in zip(starts.tolist(), sizes.tolist(), flags.tolist(), strict=True)]
        view = self._view
        return [view[start:end] for start, end in zip(starts.tolist(), (starts + sizes).tolist(), strict=True)]

    def key(self, record: int) -> bytes:
        """The key of a record."""
        key, start = (int(part[0]) for part in self._nodes(np.array([record]))[:2])
        return bytes(self._view[key:start])

    # -- opening -------------------------------------------------------------------------------------------

    def _read_meta(self) -> _Meta:
        first = self._meta_at(0)
        size = first.page_size
        if size < 256 or size & (size - 1) or size > 1 << 16:
            raise self._damaged(f"it has a page size of {size}")
        return max(first, self._meta_at(size)._replace(page_size=size))

    def _meta_at(self, at: int) -> _Meta:
        if at + _META.size > len(self._map):
            raise FileError(f"{self.path}: truncated: an LMDB is longer than {len(self._map)} bytes.")
        fields = _META.unpack_from(self._map, at)
        if fields[1] != _MAGIC:
            raise FileError(f"{self.path}: expected an LMDB data file (64-bit, little-endian), got another file.")
        if fields[2] != 1:
            raise FileError(f"{self.path}: expected LMDB data of version 1, got version {fields[2]}.")
        return _Meta(fields[-1], fields[3], fields[13], fields[17], fields[18])

    def _find_leaves(self, meta: _Meta) -> Places:
        """The numbers of the leaf pages, in key order."""
        if not 1 <= meta.levels <= _MOST_LEVELS:
            raise self._damaged(f"its tree has {meta.levels} levels")
        pages = self._checked(np.array([meta.root], np.uint64))
        for _ in range(meta.levels - 1):
            counts = self._node_counts(pages, _BRANCH)
            if counts.sum() > self._pages:
                raise self._damaged("its tree has more pages than the file")
            index = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            low, high, flags, _ = self._fields(np.repeat(pages, counts), index)
            pages = self._checked(low | high << 16 | flags << 32)
        return pages

    # -- nodes ---------------------------------------------------------------------------------------------

    def _nodes(self, records: NDArray[np.integer[Any]]) -> tuple[Places, Places, Places, Places]:
        """Where keys and values begin, the sizes of the values, and the nodes' flags."""
        self._count_leaves(int(records.max()))
        leaf = np.searchsorted(self._firsts[1 : self._counted + 1], records, side="right")
        pages = self._leaves[leaf]
        index = records - self._firsts[leaf]
        low, high, flags, key_lengths = self._fields(pages, index)
        keys = self._places(pages, index) + _NODE
        starts, sizes = keys + key_lengths, low | high << 16
        # A flagged node has 8 bytes in place of the value.
        ends = starts + np.where(flags == 0, sizes, 8)
        if (ends > (pages + 1) * self._page_size).any():
            raise self._damaged(f"page {pages[ends > (pages + 1) * self._page_size][0]} has a value beyond its end")
        return keys, starts, sizes, flags

    def _count_leaves(self, record: int) -> None:
        """Looks up how many records leaves hold, as far as to the leaf of a record."""
        while self._firsts[self._counted] <= record:
            leaves = slice(self._counted, self._counted + _COUNTED_AT_ONCE)
            counts = self._node_counts(self._leaves[leaves], _LEAF)
            first = self._firsts[self._counted]
            self._counted += len(counts)
            self._firsts[leaves.start + 1 : self._counted + 1] = first + np.cumsum(counts)
            complete = self._counted == len(self._leaves)
            if complete and self._firsts[-1] != self._entries:
                raise self._damaged(f"it has {self._firsts[-1]} records where its head tells of {self._entries}")

    def _node_counts(self, pages: Places, kind: int) -> Places:
        """How many nodes pages have."""
        heads = pages * (self._page_size // 2)
        lower = self._words[heads + 6].astype(np.int64)
        counts = (lower - _HEAD) // 2
        bad = (self._words[heads + 5] & _KINDS != kind) | (counts < 1) | (lower > self._page_size)
        if bad.any():
            raise self._damaged(f"page {pages[bad][0]} is not what its tree says")
        return counts

    def _places(self, pages: Places, index: Places) -> Places:
        """Where nodes begin in the file."""
        return pages * self._page_size + self._words[pages * (self._page_size // 2) + _HEAD // 2 + index]

    def _fields(self, pages: Places, index: Places) -> tuple[Places, ...]:
        """The four numbers that nodes begin with."""
        places = self._places(pages, index)
        bad = (places % 2 != 0) | (places > (pages + 1) * self._page_size - _NODE)
        if bad.any():
            raise self._damaged(f"page {pages[bad][0]} has a node beyond its end")
        return tuple(self._words[places // 2 + i].astype(np.int64) for i in range(4))

    def _value(self, start: int, size: int, flags: int) -> memoryview:
        """A value that may lie on pages of its own."""
        if not flags:
            return self._view[start : start + size]
        if flags != _OWN_PAGES:
            raise FileError(f"{self.path}: expected plain records, got a database inside the database.")
        page = int.from_bytes(self._view[start : start + 8], "little")
        if not 2 <= page < self._pages:
            self._checked(np.array([page], np.uint64))
        if self._words[page * (self._page_size // 2) + 5] & _KINDS != _OVERFLOW:
            raise self._damaged(f"page {page} is not what its tree says")
        at = page * self._page_size + _HEAD
        if at + size > len(self._map):
            raise FileError(f"{self.path}: truncated: a value of {size} bytes on page {page} goes beyond its end.")
        return self._view[at : at + size]

    def _checked(self, pages: NDArray[np.integer[Any]]) -> Places:
        """Page numbers, all of them inside the file and behind the two meta pages."""
        if (pages >= self._pages).any():
            text = f"page {pages.max()} is needed, the file ends after page {self._pages - 1}"
            raise FileError(f"{self.path}: truncated: {text}.")
        if (pages < 2).any():
            raise self._damaged(f"its tree leads to page {pages.min()}")
        return pages.astype(np.int64)

    def _damaged(self, what: str) -> FileError:
        return FileError(f"{self.path}: damaged LMDB: {what}.")


def _map(path: Path) -> mmap.mmap:
    if path.exists() and not path.is_file():
        raise FileError(f"{path}: expected an LMDB, got no plain file.")
    try:
        with open(path, "rb") as file:
            if not file.seek(0, 2):
                raise FileError(f"{path}: expected an LMDB, got an empty file.")
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as problem:
        raise FileError(f"{path}: cannot be read: {problem.strerror}.") from None
