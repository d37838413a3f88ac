"""Reading LMDB files: those that Caffe's tools wrote, and broken ones."""

from __future__ import annotations

import hashlib
import random
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite.data.sources.lmdb import LmdbFile
from pycaffe_lite.errors import CaffeError, FileError
from rigs.golden_formats import FORMATS, table

LMDBS = {
    name: entry["records"]
    for name, entry in table("db.json").items()
    if entry["backend"] == "lmdb" and name != "many_lmdb"
}
MANY = table("db.json")["many_lmdb"]["records"]
PAGE = 4096


def data_file(name: str) -> Path:
    return FORMATS / "db" / name / "data.mdb"


@pytest.mark.parametrize("name", LMDBS)
def test_keys_and_values_are_those_that_caffe_wrote(name: str) -> None:
    file, records = LmdbFile(data_file(name)), LMDBS[name]
    assert len(file) == len(records)
    assert [file.key(i).decode() for i in range(len(file))] == [record["key"] for record in records]
    values = file.values(np.arange(len(file)))
    assert [hashlib.md5(value).hexdigest() for value in values] == [record["md5"] for record in records]


def test_many_records() -> None:
    file = LmdbFile(data_file("many_lmdb"))
    values = file.values(np.arange(len(file)))
    assert (len(values), file.key(1009).decode()) == (MANY["count"], MANY["last"]["key"])
    everything = b"".join(file.key(i) + value for i, value in enumerate(values))
    assert hashlib.md5(everything).hexdigest() == MANY["md5_of_all"]


def test_any_record_can_be_the_first_to_be_read() -> None:
    ends = MANY["first"]["md5"], MANY["last"]["md5"]
    for records, expected in (([1009, 0, 1009], (ends[1], *ends)), ([0, 1009], ends)):
        values = LmdbFile(data_file("many_lmdb")).values(np.array(records))
        assert tuple(hashlib.md5(value).hexdigest() for value in values) == expected


def test_writes_nothing(tmp_path: Path) -> None:
    path = shutil.copytree(FORMATS / "db" / "raw_lmdb", tmp_path / "db") / "data.mdb"
    before = path.read_bytes(), path.stat().st_mtime_ns
    LmdbFile(path).values(np.arange(20))
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert [entry.name for entry in path.parent.iterdir()] == ["data.mdb"]


# -- databases of other makes --------------------------------------------------------------------------------


def written(folder: Path, count: int, size: int, name: bytes | None = None) -> LmdbFile:
    lmdb = pytest.importorskip("lmdb")
    env = lmdb.open(str(folder), map_size=1 << 26, max_dbs=1)
    with env, env.begin(write=True, db=env.open_db(name)) as transaction:
        for i in range(count):
            transaction.put(b"%08d" % i, bytes([i % 256]) * size)
    return LmdbFile(folder / "data.mdb")


@pytest.mark.parametrize(("count", "size"), [(1, 0), (1, 5000), (3000, 7), (40, 3000)])
def test_trees_of_any_depth(tmp_path: Path, count: int, size: int) -> None:
    file = written(tmp_path, count, size)
    assert len(file) == count
    expected = [bytes([i % 256]) * size for i in range(count)]
    assert [bytes(value) for value in file.values(np.arange(count))] == expected


def test_reads_the_last_transaction(tmp_path: Path) -> None:
    for count in (3, 5, 9, 10):
        assert len(written(tmp_path, count, 10)) == count


def test_empty_database(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="expected an LMDB with records, got an empty one"):
        written(tmp_path, 0, 0)


def test_database_inside_the_database(tmp_path: Path) -> None:
    file = written(tmp_path, 3, 9, b"inner")
    with pytest.raises(FileError, match="expected plain records, got a database inside the database"):
        file.values(np.array([0]))


# -- broken ones ---------------------------------------------------------------------------------------------


def changed(folder: Path, name: str, *changes: tuple[int, bytes], length: int | None = None) -> Path:
    """A copy of a data file with other bytes in some places."""
    content = bytearray(data_file(name).read_bytes())
    for at, new in changes:
        content[at : at + len(new)] = new
    path = folder / "data.mdb"
    path.write_bytes(content[:length])
    return path


def read_all(path: Path) -> None:
    file = LmdbFile(path)
    file.values(np.arange(len(file)))


METAS = (0, PAGE)


@pytest.mark.parametrize(
    ("changes", "length", "message"),
    [
        ((), 0, "got an empty file"),
        ((), 100, "truncated: an LMDB is longer than 100 bytes"),
        ((), PAGE + 20, "truncated: an LMDB is longer than 4116 bytes"),
        ((), 3 * PAGE + 8, r"truncated: page \d+ is needed, the file ends after page 2"),
        ([(16, b"PK\3\4")], None, "expected an LMDB data file"),
        ([(20, b"\2")], None, "expected LMDB data of version 1, got version 2"),
        ([(40, b"\0\x18")], None, "it has a page size of 6144"),
        ([(at + 94, b"\x63") for at in METAS], None, "its tree has 99 levels"),
        ([(at + 120, b"\x15") for at in METAS], None, "it has 20 records where its head tells of 21"),
        ([(at + 120, b"\xff" * 7) for at in METAS], None, "more records than its pages can hold"),
        ([(at + 128, b"\1") for at in METAS], None, "its tree leads to page 1"),
        ([(at + 128, b"\xff" * 7) for at in METAS], None, "truncated: page 72057594037927935 is needed"),
    ],
)
def test_refuses(tmp_path: Path, changes: Any, length: int | None, message: str) -> None:
    with pytest.raises(FileError, match=message) as problem:
        read_all(changed(tmp_path, "raw_lmdb", *changes, length=length))
    assert str(problem.value).startswith(str(tmp_path / "data.mdb"))


def test_truncated_large_value(tmp_path: Path) -> None:
    length = data_file("big_lmdb").stat().st_size
    path = changed(tmp_path, "big_lmdb", length=length - 3 * PAGE)
    with pytest.raises(FileError, match="truncated"):
        read_all(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="nothing: cannot be read: No such file"):
        LmdbFile(tmp_path / "nothing")


def test_broken_files_give_nothing_but_caffe_errors(tmp_path: Path) -> None:
    chance = random.Random(3)
    refused = 0
    for trial in range(300):
        name = chance.choice(["raw_lmdb", "big_lmdb", "many_lmdb"])
        size = data_file(name).stat().st_size
        pages = [chance.randrange(size // PAGE) * PAGE + chance.randrange(60) for _ in range(4)]
        places = pages if trial % 2 else [chance.randrange(size) for _ in range(20)]
        changes = [(at, bytes([chance.randrange(256)])) for at in places]
        length = chance.choice([None, None, chance.randrange(size)])
        with suppress(CaffeError):
            refused += 1
            read_all(changed(tmp_path, name, *changes, length=length))
            refused -= 1
    assert 100 < refused < 300
