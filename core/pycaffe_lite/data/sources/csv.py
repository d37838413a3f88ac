"""Tables of numbers as a source: a line for each record, with commas between the numbers.

The label is the column that the first line calls `label`; `label_0`, `label_1`, … are several labels. If the first
line is one of numbers, as in the tables MNIST is passed on in, the label is the first column.
"""

from __future__ import annotations

import codecs
import contextlib
import re
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite import log
from pycaffe_lite.data.records import Records, Source
from pycaffe_lite.errors import FileError
from pycaffe_lite.paths import unreadable
from pycaffe_lite.words import short

_PIECE = 1 << 16  # bytes of text that are read at once
_LONGEST_LINE = 1 << 27  # bytes
_MOST_KEPT = 1 << 28  # bytes of numbers
_MOST_LABELS = 1 << 26  # bytes
_LABEL = re.compile(r"label(_?[0-9]+)?", re.IGNORECASE)


class CsvSource(Source):
    """The rows of a table: label, or labels, and D other numbers, an image D x 1 x 1 of float32.

    Opening reads the table through, and remembers where its pieces begin; later, pieces are read again when they are
    needed. No more than 256 MiB of numbers are kept.

    Args:
        path: the table.
        name: the path as the user gave it.
        with_labels: whether labels are needed; a table with a line of names may then be without.

    Raises:
        FileError: missing, empty, without labels, or with a line that has other than numbers, or not as many as the
            first; the text names the line.
    """

    def __init__(self, path: Path, name: str = "", with_labels: bool = True) -> None:
        self.name = name or str(path)
        self._path = path
        self._head = _read_head(path)
        self._columns = _label_columns(path, self._head, with_labels)
        self._width = len(self._head.words)
        if self._width == len(self._columns):
            raise FileError(f"{path}: expected numbers besides the labels, got {self._width} column(s) in all.")
        self._pieces: list[_Piece] = []
        self._count = 0
        self._labels: NDArray[np.float32] | None = self._read_through()
        self._firsts = np.array([piece.first for piece in self._pieces])
        self._kept: dict[int, NDArray[np.float32]] = {}
        self._kept_bytes = 0
        self._last: tuple[int, NDArray[np.float32]] | None = None
        log.info(f"Opened csv {self.name}")

    def __len__(self) -> int:
        return self._count

    def read(self, start: int, count: int) -> Records:
        end = min(start + count, self._count)
        return self.take(np.arange(start, end))._replace(next=end % self._count)

    def take(self, numbers: NDArray[np.integer[Any]]) -> Records:
        rows = self._rows(numbers)
        images = rows[:, self._first_image :] if self._first_image else np.delete(rows, self._columns, axis=1)
        return Records(images.reshape(len(rows), -1, 1, 1), self._labels_of(rows), 0)

    def labels(self) -> NDArray[np.float32] | None:
        return self._labels

    @property
    def _first_image(self) -> int:
        """How many labels each line begins with, if all labels stand there; else 0."""
        return len(self._columns) if self._columns == list(range(len(self._columns))) else 0

    def _labels_of(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        if len(self._columns) == 1:
            return rows[:, self._columns[0]].copy()
        return rows[:, self._columns] if self._columns else np.zeros(len(rows), np.float32)

    def _read_through(self) -> NDArray[np.float32] | None:
        """Checks every line and notes the pieces; all labels, unless these take too much memory."""
        labels: list[NDArray[np.float32]] = []
        start, skip = 0, int(self._head.names)  # the line of names is the first that is not blank
        with self._opened() as file:
            while data := _read_piece(file, start, self._path):
                lines = _lines(data)
                if lines[skip:]:
                    rows = self._parse(lines[skip:])
                    self._pieces.append(_Piece(start, len(data), self._count, len(rows), skip))
                    self._count += len(rows)
                    if 4 * self._count * max(1, len(self._columns)) <= _MOST_LABELS:
                        labels.append(self._labels_of(rows))
                skip = 0 if lines else skip
                start += len(data)
        if not self._count:
            raise FileError(f"{self._path}: expected lines of numbers, got none.")
        return np.concatenate(labels) if len(labels) == len(self._pieces) else None

    def _rows(self, numbers: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        rows = np.empty((len(numbers), self._width), np.float32)
        pieces = np.searchsorted(self._firsts, numbers, "right") - 1
        order = np.argsort(pieces, kind="stable")
        for places in np.split(order, np.flatnonzero(np.diff(pieces[order])) + 1):
            piece = int(pieces[places[0]])
            rows[places] = self._rows_of(piece, numbers[places] - self._pieces[piece].first)
        return rows

    def _rows_of(self, piece: int, wanted: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        table = self._at_hand(piece)
        if table is None:
            lines = self._lines_of(piece)
            if self._kept_bytes > _MOST_KEPT and 4 * len(wanted) < len(lines):
                return self._parse([lines[i] for i in wanted.tolist()])
            table = self._keep(piece, self._parse(lines))
        return table[wanted]

    def _at_hand(self, piece: int) -> NDArray[np.float32] | None:
        if self._last is not None and self._last[0] == piece:
            return self._last[1]
        return self._kept.get(piece)

    def _keep(self, piece: int, table: NDArray[np.float32]) -> NDArray[np.float32]:
        """Keeps a piece's numbers as long as there is room, and always those that were read last."""
        self._last = piece, table
        if self._kept_bytes + table.nbytes <= _MOST_KEPT:
            self._kept[piece] = table
        self._kept_bytes += table.nbytes  # beyond the limit nothing more is kept
        return table

    def _lines_of(self, number: int) -> list[str]:
        piece = self._pieces[number]
        with self._opened() as file:
            file.seek(piece.start)
            lines = _lines(file.read(piece.size))[piece.skip :]
        if len(lines) != piece.rows:
            raise FileError(f"{self._path}: expected the lines that it had when it was opened, got others.")
        return lines

    @contextlib.contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        try:
            with open(self._path, "rb") as file:
                yield file
        except OSError as problem:
            raise FileError(f"Cannot read {self._path}: {unreadable(problem)}.") from None

    def _parse(self, lines: list[str]) -> NDArray[np.float32]:
        try:
            rows = np.loadtxt(lines, np.float32, delimiter=",", comments=None, ndmin=2, quotechar='"')
        except MemoryError:
            raise FileError(f"{self._path}: not enough memory for its numbers.") from None
        except (ValueError, OverflowError) as problem:
            text = _fault(self._path, self._head) or f"{self._path}: expected a table of numbers: {problem}."
            raise FileError(text) from None
        if rows.shape != (len(lines), self._width) or not np.isfinite(rows).all():
            raise FileError(_fault(self._path, self._head) or f"{self._path}: expected numbers that are finite.")
        return rows


class _Piece(NamedTuple):
    """Some consecutive lines.

    Attributes:
        start, size: where they are in the file, in bytes.
        first: the number of the first record in them.
        rows: how many records.
        skip: 1 if the columns' names come before these, else 0.
    """

    start: int
    size: int
    first: int
    rows: int
    skip: int


def _read_piece(file: BinaryIO, start: int, path: Path) -> bytes:
    """Whole lines from there on, about as many as fit into a piece; nothing at the end of the file."""
    size = _PIECE
    while size <= _LONGEST_LINE:
        file.seek(start)
        data = file.read(size)
        end = 1 + max(data.rfind(b"\n"), data.rfind(b"\r"))
        if end or len(data) < size:
            return data[:end] if len(data) == size else data
        size *= 4
    raise FileError(f"{path}: expected lines of numbers, got one of more than {_LONGEST_LINE >> 20} MiB.")


def _lines(data: bytes) -> list[str]:
    """The lines of a piece that are not blank, whatever their ends."""
    text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
    return [line for line in text.replace("\r", "\n").split("\n") if line.strip()]


class _Head(NamedTuple):
    """The first line.

    Attributes:
        line: its number.
        words: what is in it.
        names: whether these are the columns' names.
    """

    line: int
    words: list[str]
    names: bool


def _open(path: Path) -> Any:
    return open(path, encoding="utf-8-sig", errors="replace", newline=None)


def _read_head(path: Path) -> _Head:
    if not path.is_file():
        raise FileError(f"{path}: expected a table of numbers, got no plain file.")
    try:
        with _open(path) as file:
            for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), ""), 1):
                if line.strip():
                    if "\0" in line or "\ufffd" in line:
                        raise FileError(f"{path}: expected a table of numbers, a text in UTF-8, got another file.")
                    words = _words(line)
                    return _Head(number, words, not all(map(_is_number, words)))
    except OSError as problem:
        raise FileError(f"Cannot read {path}: {unreadable(problem)}.") from None
    raise FileError(f"{path}: expected lines of numbers with commas between them, got none.")


def _label_columns(path: Path, head: _Head, with_labels: bool) -> list[int]:
    if not head.names:
        return [0]
    columns = [i for i, word in enumerate(head.words) if _LABEL.fullmatch(word)]
    if not columns and (with_labels or any(map(_is_number, head.words))):
        shown = short(", ".join(head.words))
        raise FileError(
            f'{path}:{head.line}: expected numbers, or names of columns, one of them "label", got "{shown}".'
        )
    return columns


def _fault(path: Path, head: _Head) -> str:
    """What is wrong with the first line that is no row of the table; nothing if none is."""
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip() or (head.names and number == head.line):
                continue
            words = _words(line)
            if len(words) != len(head.words):
                many = len(head.words)
                return f"{path}:{number}: expected {many} numbers, as line {head.line} has, got {len(words)}."
            for word in words:
                if not _is_number(word):
                    return f'{path}:{number}: expected numbers with commas between them, got "{short(word)}".'
    return ""


def _words(line: str) -> list[str]:
    return [word.strip().strip('"') for word in line.split(",")]


def _is_number(word: str) -> bool:
    try:
        return "_" not in word and isfinite(float(word)) and abs(float(word)) < 2.0**128
    except ValueError:
        return False
