"""Writing databases, an LMDB or a LevelDB, so that there is a whole one or none, and the Datums that are put into them.

A database grows under a temporary name beside its own and is renamed once it is complete.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite import log
from pycaffe_lite.data.sources.datum import DatumLabels, float_labels_bytes
from pycaffe_lite.errors import CaffeError, FileError, MissingExtra
from pycaffe_lite.proto.caffe_pb2 import Datum

BACKENDS = ("lmdb", "leveldb")

LARGEST_IMAGE = 2**31 - 1024
"""The bytes an image may have: what a protobuf message can hold, less the rest of the record."""

_AT_ONCE = 1000  # records in a transaction, as Caffe's tools have it
_OPENED_AT = {"lmdb": "db_lmdb.cpp:35", "leveldb": "db_leveldb.cpp:18"}
_MOST_PENDING = 1 << 26  # bytes that may wait for a transaction
_FIRST_MAP = 1 << 24  # bytes; LMDB's map is doubled whenever it is full
_WRITE_BUFFER = 1 << 28  # bytes; LevelDB's, as Caffe sets it


def datum_bytes(label: int | DatumLabels, **fields: Any) -> bytes:
    """A serialized Datum.

    Args:
        label: a whole number of 32 bits, as Caffe has it; or a tuple of floats, which only forks of Caffe read.
        fields: its other fields.
    """
    if isinstance(label, tuple):
        return bytes(Datum(**fields).SerializeToString()) + float_labels_bytes(label)
    return bytes(Datum(label=label, **fields).SerializeToString())


def plain_datum(image: NDArray[np.uint8], label: int | DatumLabels, **fields: Any) -> bytes:
    """A serialized Datum with an image's pixels.

    Args:
        image: C x H x W.
        label: see `datum_bytes`.
        fields: others of its fields.

    Raises:
        CaffeError: the image is too large.
    """
    if image.nbytes > LARGEST_IMAGE:
        raise CaffeError(f"An image of shape {list(image.shape)} is too large for a record.")
    channels, height, width = image.shape
    return datum_bytes(label, channels=channels, height=height, width=width, data=image.tobytes(), **fields)


class Writer:
    """A database that is being written.

    Args:
        path: what errors call it.
        folder: an empty folder for its files.

    Attributes:
        longest_key: the bytes a key may have.
        errors: what the backend's package raises.
    """

    longest_key = 1 << 16
    errors: tuple[type[BaseException], ...] = (OSError,)

    def __init__(self, path: str, folder: str) -> None:
        self.path = path
        self._pending: list[tuple[bytes, bytes]] = []
        self._pending_bytes = 0

    def put(self, key: bytes, value: bytes) -> None:
        """Adds a record.

        Raises:
            FileError: the key is too long, or the database cannot be written.
        """
        if len(key) > self.longest_key:
            raise FileError(
                f"{self.path}: expected keys of at most {self.longest_key} bytes, got {len(key)} in "
                f"{key[:60].decode('utf-8', 'backslashreplace')}…; shorten the path, or use LevelDB."
            )
        self._pending.append((key, value))
        self._pending_bytes += len(value)
        if len(self._pending) == _AT_ONCE or self._pending_bytes > _MOST_PENDING:
            self._flush()

    def finish(self) -> None:
        """Makes sure that all records are on the disk."""
        self._flush()
        with _file_errors(self.path, self.errors):
            self._sync()

    def close(self) -> None:
        """Gives up the database's files."""

    def _flush(self) -> None:
        if self._pending:
            with _file_errors(self.path, self.errors):
                self._commit(self._pending)
        self._pending = []
        self._pending_bytes = 0

    def _commit(self, records: list[tuple[bytes, bytes]]) -> None:
        raise NotImplementedError

    def _sync(self) -> None:
        raise NotImplementedError


class _LmdbWriter(Writer):
    def __init__(self, path: str, folder: str) -> None:
        super().__init__(path, folder)
        self._lmdb = _package("lmdb", "New LMDBs", "lmdb")
        self.errors = (OSError, self._lmdb.Error)
        # Nobody else knows the folder, so there is nothing to lock; it is put on the disk at the end.
        with _file_errors(path, self.errors):
            self._env = self._lmdb.open(folder, map_size=_FIRST_MAP, lock=False, sync=False)
        self.longest_key = self._env.max_key_size()

    def _commit(self, records: list[tuple[bytes, bytes]]) -> None:
        while True:
            try:
                with self._env.begin(write=True) as transaction:
                    for key, value in records:
                        transaction.put(key, value)
                return
            except self._lmdb.MapFullError:
                self._env.set_mapsize(2 * self._env.info()["map_size"])

    def _sync(self) -> None:
        self._env.sync(True)

    def close(self) -> None:
        self._env.close()


class _LeveldbWriter(Writer):
    def __init__(self, path: str, folder: str) -> None:
        super().__init__(path, folder)
        plyvel = _package("plyvel", "New LevelDBs", "leveldb")
        self.errors = (OSError, plyvel.Error)
        with _file_errors(path, self.errors):
            self._db = plyvel.DB(folder, create_if_missing=True, write_buffer_size=_WRITE_BUFFER)

    def _commit(self, records: list[tuple[bytes, bytes]]) -> None:
        self._write(records, sync=False)

    def _sync(self) -> None:
        self._write([], sync=True)

    def _write(self, records: list[tuple[bytes, bytes]], sync: bool) -> None:
        with self._db.write_batch(sync=sync) as batch:
            for key, value in records:
                batch.put(key, value)

    def close(self) -> None:
        self._db.close()


_WRITERS: dict[str, type[Writer]] = {"lmdb": _LmdbWriter, "leveldb": _LeveldbWriter}


def _package(module: str, what: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingExtra(what, extra) from None


@contextlib.contextmanager
def _file_errors(path: str, errors: tuple[type[BaseException], ...]) -> Iterator[None]:
    """Turns what goes wrong in writing into a FileError."""
    try:
        yield
    except errors as problem:
        text = getattr(problem, "strerror", None) or (problem.args[0] if problem.args else problem)
        text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
        raise FileError(f"Cannot write the database {path}: {text.rstrip('.')}.") from None


@contextlib.contextmanager
def new_database(path: str, backend: str) -> Iterator[Writer]:
    """Makes a database; it appears under its name when the context ends without an error.

    Args:
        path: the database's folder, which must not be there yet.
        backend: one of BACKENDS.

    Raises:
        FileError: there is such a file or folder, there is no folder to make it in, or it cannot be written.
        MissingExtra: the backend's package is not installed.
    """
    check_new(path)
    final = os.path.abspath(path)
    temporary = f"{final}.{os.getpid()}.tmp"
    try:
        with _file_errors(path, (OSError,)):
            shutil.rmtree(temporary, ignore_errors=True)
            os.mkdir(temporary)
        with contextlib.closing(_WRITERS[backend](path, temporary)) as writer:
            log.info(f"Opened {backend} {path}", _OPENED_AT[backend])
            yield writer
            writer.finish()
        with _file_errors(path, (OSError,)):
            os.rename(temporary, final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def check_new(path: str) -> None:
    """Raises a FileError unless a database can be made under that name, as far as can be seen beforehand."""
    if not path:
        raise FileError("Expected the path of a database to write, got an empty one.")
    absolute = os.path.abspath(path)
    if os.path.lexists(absolute):
        raise FileError(
            f"{path}: expected the name of a new database, got one that is there already ({absolute}); "
            "remove it or choose another name."
        )
    if not os.path.isdir(os.path.dirname(absolute)):
        raise FileError(
            f"Cannot make the database {path}: there is no folder {os.path.dirname(absolute)} "
            f"(the working folder is {os.getcwd()})."
        )


def write_records(database: Writer, records: Iterable[tuple[bytes, bytes]], at: str = "", last_at: str = "") -> int:
    """Puts records, keys and values, into a database, and logs how many; returns it.

    Args:
        at, last_at: where Caffe's tool logs it, after each thousand and at the end; see `log.info`.
    """
    count = 0
    for count, (key, value) in enumerate(records, 1):
        database.put(key, value)
        if count % _AT_ONCE == 0:
            log.info(f"Processed {count} files.", at)
    if count % _AT_ONCE:
        log.info(f"Processed {count} files.", last_at)
    return count


def write_database(
    path: str, backend: str, records: Iterable[tuple[bytes, bytes]], at: str = "", last_at: str = ""
) -> int:
    """Makes a database of records; see `new_database` and `write_records`.

    Raises:
        CaffeError: what the two raise, and the records; then there is no database.
    """
    with new_database(path, backend) as database:
        return write_records(database, records, at, last_at)
