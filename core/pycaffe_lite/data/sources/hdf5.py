"""Rows of HDF5 datasets, read on from file to file and round again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.data.batches import Batch, Feed, FeedState
from pycaffe_lite.errors import CaffeError, FileError, file_errors
from pycaffe_lite.formats.hdf5 import SIGNATURE, check_claim, check_plain_file, h5py_module, reason
from pycaffe_lite.paths import find_file, unreadable
from pycaffe_lite.ranks import ALL, Share
from pycaffe_lite.words import did_you_mean, printable

WHOLE_BYTES = 1 << 30
"""A file whose rows take no more than this, as float32, is read at once; others batch by batch."""

_LARGEST_LIST = 16 << 20


def read_hdf5_list(path: str, folder: str = "") -> list[str]:
    """The paths of the files that a list names: a text of paths with white space between them.

    Args:
        path: the list.
        folder: where the files are looked for besides the working folder and the list's own.

    Raises:
        FileError: the list is missing, unreadable, or no such list; a file that it names is missing.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST_LIST + 1)
    except OSError as problem:
        raise FileError(f"Cannot read {path}: {unreadable(problem)}.") from None
    if data.startswith(SIGNATURE):
        raise FileError(f"{path} is an HDF5 file; expected a text file with the path of one on each line.")
    if b"\0" in data or len(data) > _LARGEST_LIST:
        raise FileError(f"{path}: expected a text file with the path of an HDF5 file on each line.")
    names = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape").split()
    if not names:
        raise FileError(f"{path}: expected the path of one HDF5 file or more, got none.")
    return [_find(name, (folder, os.path.dirname(path))) for name in names]


def _find(name: str, folders: Sequence[str]) -> str:
    has_it = [folder for folder in folders if os.path.exists(os.path.join(folder, name))]
    beside = next(filter(None, has_it or folders), os.curdir)
    return find_file(name, beside, "HDF5 file")


class RowFile:
    """Some datasets of one HDF5 file that have the same number of rows.

    Args:
        path: the file.
        names: of the datasets, in the order in which their rows are wanted.

    Attributes:
        rows: how many, 1 or more.
        shapes: for each dataset the shape of a row.

    Raises:
        FileError: the file or a dataset is missing, or cannot be what is wanted.
        MissingExtra: h5py is not installed.
    """

    def __init__(self, path: str, names: Sequence[str]) -> None:
        h5py = h5py_module("HDF5 files")
        self.path = path
        self._whole: list[NDArray[np.float32]] = []
        check_plain_file(path)
        try:
            self._file = h5py.File(path, "r")
        except OSError as problem:
            raise FileError(f"{path}: expected an HDF5 file that can be read: {reason(problem)}.") from None
        try:
            with self._told():
                self._datasets = [self._dataset(name, h5py) for name in names]
                self._check_rows(names)
        except BaseException:
            self.close()
            raise
        self.rows = int(self._datasets[0].shape[0])
        self.shapes = [tuple(dataset.shape[1:]) for dataset in self._datasets]

    def _dataset(self, name: str, h5py: Any) -> Any:
        found = None
        with contextlib.suppress(Exception):  # links that lead nowhere, in many ways
            found = self._file.get(name)
        if not isinstance(found, h5py.Dataset):
            raise FileError(f'{self.path}: expected a dataset "{name}", got none{self._hint(name)}')
        if found.dtype.kind not in "fiu":
            raise FileError(f'{self.path}: expected numbers in dataset "{name}", got {found.dtype}.')
        if not found.shape or found.shape[0] < 1:
            raise FileError(
                f'{self.path}: expected one row or more in dataset "{name}", got shape {list(found.shape or ())}.'
            )
        check_claim(found, self.path)
        return found

    def _hint(self, name: str) -> str:
        known = sorted(printable(str(key)) for key in self._file if key != name)[:20]
        hint = did_you_mean(name, known, f"; it has {', '.join(known) or 'none at all'}.")
        return f"{hint} A top is named after its dataset."

    def _check_rows(self, names: Sequence[str]) -> None:
        first, rows = names[0], self._datasets[0].shape[0]
        for name, dataset in zip(names, self._datasets, strict=True):
            if dataset.shape[0] != rows:
                raise FileError(
                    f'{self.path}: expected as many rows in dataset "{name}" as the {rows} of "{first}", '
                    f"got {dataset.shape[0]}."
                )

    def read(self, rows: slice | NDArray[np.intp], out: Sequence[NDArray[np.float32]]) -> None:
        """Fills the arrays, one for each dataset, with the rows of these numbers.

        Raises:
            FileError: the file is damaged.
        """
        with self._told():
            if not self._whole and 4 * self.rows * sum(map(prod, self.shapes)) <= WHOLE_BYTES:
                self._whole = [_all_of(dataset) for dataset in self._datasets]
            for i, array in enumerate(out):
                if self._whole:
                    array[...] = self._whole[i][rows]
                else:
                    _read_into(array, self._datasets[i], rows)

    def _told(self) -> contextlib.AbstractContextManager[None]:
        return file_errors(self.path, "rows", lambda problem: f"cannot be read: {reason(problem)}")

    def close(self) -> None:
        self._whole = []
        self._file.close()


def _all_of(dataset: Any) -> NDArray[np.float32]:
    values = np.empty(dataset.shape, np.float32)
    _read_into(values, dataset, slice(None))
    return values


def _read_into(out: NDArray[np.float32], dataset: Any, rows: slice | NDArray[np.intp]) -> None:
    if not out.size:
        return
    if isinstance(rows, slice):
        dataset.read_direct(out, rows)
        return
    # HDF5 selects rows in rising order only.
    order = np.argsort(rows)
    out[order] = dataset[rows[order]]


class RowFeed(Feed):
    """Batches of consecutive rows of several files: after the last one of a file comes the first one of the next
    file, and after the last file the first.

    Args:
        paths: the files.
        names: of the datasets, one for each of a batch's arrays.
        batch_size: rows in a batch, 1 or more.
        seed: None for the rows in order; else in each pass the files come in a new random order, and so do the
            rows within each file, and the seed decides which.
        share: which of the rows are read.
    """

    def __init__(
        self,
        paths: Sequence[str],
        names: Sequence[str],
        batch_size: int,
        seed: int | None = None,
        share: Share = ALL,
    ) -> None:
        super().__init__()
        self._share = share
        self._paths, self._names, self._batch_size, self._seed = list(paths), list(names), batch_size, seed
        self._pass = self._place = self._row = 0
        self._file: RowFile | None = None
        self._shapes: list[tuple[int, ...]] = []
        self._shapes = self._open().shapes

    def shapes(self) -> list[tuple[int, ...]]:
        return [(self._batch_size, *shape) for shape in self._shapes]

    def state(self) -> FeedState:
        """Where the next row is, of those of all ranks: pass, place of the file in that pass, place of the row in that
        file."""
        state = {"pass": self._pass, "file": self._place, "row": self._row}
        return state if self._seed is None else {**state, "shuffle_seed": self._seed}

    def restore(self, state: FeedState) -> None:
        """Goes on where `state` was called.

        Raises:
            CaffeError: the state is of other files; then all stays as it was.
        """
        numbers = [int(state.get(name, -1)) for name in ("pass", "file", "row")]
        if min(numbers) < 0 or numbers[1] >= len(self._paths):
            raise CaffeError(f"A state of {len(self._paths)} HDF5 file(s) is a pass, a file and a row, got {state}.")
        with self._unless_it_fails():
            self._pass, self._place, self._row = numbers
            if self._seed is not None:
                self._seed = int(state.get("shuffle_seed", self._seed))
            if self._row >= (rows := self._open().rows):
                raise CaffeError(f"{self._path()}: expected more than {self._row} rows, got {rows}.")

    def fill(self, batch: Batch | None) -> Batch:
        """The next rows; see Feed.

        Raises:
            FileError: a file is missing, damaged, or has rows of another shape than the first one. The next row
                stays what it was.
        """
        batch = batch or self._empty()
        done = passed = 0
        rank, ranks = self._share
        with self._unless_it_fails():
            while passed < self._batch_size * ranks:
                file = self._open()
                take = min(self._batch_size * ranks - passed, file.rows - self._row)
                first = (rank - passed) % ranks
                if count := len(range(first, take, ranks)):
                    rows = self._numbers(file, first, take, ranks)
                    file.read(rows, [array[done : done + count] for array in batch.tops])
                self._advance(file, take)
                done, passed = done + count, passed + take
        batch.after = self.state()
        return batch

    def _empty(self) -> Batch:
        try:
            return Batch([np.empty(shape, np.float32) for shape in self.shapes()])
        except MemoryError:
            raise CaffeError(f"not enough memory for batches of shapes {_texts(self.shapes())}.") from None

    def close(self) -> None:
        super().close()
        if self._file is not None:
            self._file.close()
            self._file = None

    @contextlib.contextmanager
    def _unless_it_fails(self) -> Iterator[None]:
        """Takes back what happens to the place of the next row if an error comes up."""
        before = self._pass, self._place, self._row, self._seed
        try:
            yield
        except BaseException:
            self._pass, self._place, self._row, self._seed = before
            raise

    def _path(self) -> str:
        """The file that the next row is in."""
        if self._seed is None:
            return self._paths[self._place]
        return self._paths[_permutation(len(self._paths), self._seed, self._pass)[self._place]]

    def _open(self) -> RowFile:
        path = self._path()
        if self._file is None or self._file.path != path:
            file = RowFile(path, self._names)
            if self._shapes and file.shapes != self._shapes:
                file.close()
                raise FileError(
                    f"{path}: expected rows of shapes {_texts(self._shapes)}, as {self._paths[0]} has, "
                    f"got {_texts(file.shapes)}."
                )
            self.close()
            self._file = file
        return self._file

    def _numbers(self, file: RowFile, first: int, end: int, step: int) -> slice | NDArray[np.intp]:
        """The numbers in their file of the next rows first, first + step, … before `end`."""
        rows = slice(self._row + first, self._row + end, step)
        return rows if self._seed is None else _permutation(file.rows, self._seed, self._pass, self._place)[rows]

    def _advance(self, file: RowFile, rows: int) -> None:
        self._row += rows
        if self._row == file.rows:
            self._row, self._place = 0, self._place + 1
        if self._place == len(self._paths):
            self._place, self._pass = 0, self._pass + 1


@lru_cache(maxsize=4)
def _permutation(length: int, *key: int) -> NDArray[np.intp]:
    """The numbers below length in a random order that the key decides."""
    return np.random.RandomState([part % 2**32 for part in key]).permutation(length)


def _texts(shapes: list[tuple[int, ...]]) -> str:
    return " and ".join(str(list(shape)) for shape in shapes)
