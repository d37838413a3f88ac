"""Tables of numbers as a source: a line for each record, with commas between the numbers.

The label is the column that the first line calls `label`; `label_0`, `label_1`, … are several labels. If the first
line is one of numbers, as in the tables MNIST is passed on in, the label is the first column.
"""

from __future__ import annotations

import re
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite import log
from pycaffe_lite.data.sources.arrays import ArraySource
from pycaffe_lite.errors import FileError
from pycaffe_lite.paths import unreadable
from pycaffe_lite.words import short

_LABEL = re.compile(r"label(_?[0-9]+)?", re.IGNORECASE)


class CsvSource(ArraySource):
    """The rows of a table: label, or labels, and D other numbers, an image D x 1 x 1 of float32.

    Args:
        path: the table.
        name: the path as the user gave it.
        with_labels: whether labels are needed; a table with a line of names may then be without.

    Raises:
        FileError: missing, empty, without labels, or with a line that has other than numbers, or not as many as the
            first; the text names the line.
    """

    def __init__(self, path: Path, name: str = "", with_labels: bool = True) -> None:
        head = _read_head(path)
        columns = _label_columns(path, head, with_labels)
        table = _read_table(path, head)
        if table.shape[1] == len(columns):
            raise FileError(f"{path}: expected numbers besides the labels, got {table.shape[1]} column(s) in all.")
        labels = table[:, columns] if columns else None
        if columns == list(range(len(columns))):
            images = table[:, len(columns) :]  # the usual way, without a copy
        else:
            images = np.delete(table, columns, axis=1)
        super().__init__(name or str(path), images, labels)
        log.info(f"Opened csv {self.name}")


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
            for number, line in enumerate(file, 1):
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


def _read_table(path: Path, head: _Head) -> NDArray[np.float32]:
    try:
        with _open(path) as file:
            skipped = head.line if head.names else 0
            if not any(line.strip() for line in islice(file, skipped, None)):
                raise FileError(f"{path}: expected lines of numbers, got none.")
            file.seek(0)
            table = np.loadtxt(file, np.float32, delimiter=",", skiprows=skipped, comments=None, ndmin=2, quotechar='"')
    except OSError as problem:
        raise FileError(f"Cannot read {path}: {unreadable(problem)}.") from None
    except MemoryError:
        raise FileError(f"{path}: not enough memory for its numbers.") from None
    except (ValueError, OverflowError) as problem:
        raise FileError(_fault(path, head) or f"{path}: expected a table of numbers: {problem}.") from None
    if table.shape[1] != len(head.words) or not np.isfinite(table).all():
        raise FileError(_fault(path, head) or f"{path}: expected numbers that are finite.")
    return table


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
