"""Writing databases: what is read back, and that there is a whole one or none."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pycaffe_lite import log
from pycaffe_lite.errors import FileError, MissingExtra
from pycaffe_lite.tools import databases as writers
from pycaffe_lite.tools.databases import BACKENDS, check_new, new_database, write_database
from rigs.data_tools import files_in, records

PACKAGES = {"lmdb": "lmdb", "leveldb": "plyvel"}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(PACKAGES[request.param])
    return str(request.param)


def some(count: int, size: int = 10) -> list[tuple[bytes, bytes]]:
    return [(b"%06d" % i, bytes([i % 256]) * size) for i in range(count)]


def test_records_come_back(tmp_path: Path, backend: str) -> None:
    written = some(2345)
    assert write_database(str(tmp_path / "db"), backend, written) == 2345
    assert records(tmp_path / "db") == written
    assert files_in(tmp_path) == {"db"}


def test_records_may_come_in_any_order(tmp_path: Path, backend: str) -> None:
    write_database(str(tmp_path / "db"), backend, reversed(some(50)))
    assert records(tmp_path / "db") == some(50)


def test_the_map_grows_at_need(tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "_FIRST_MAP", 1 << 16)
    written = some(300, 5000)
    write_database(str(tmp_path / "db"), backend, written)
    assert records(tmp_path / "db") == written


def test_large_records_do_not_wait_in_memory(tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "_MOST_PENDING", 1000)
    commits = []
    with new_database(str(tmp_path / "db"), backend) as database:
        commit = database._commit
        monkeypatch.setattr(database, "_commit", lambda some: (commits.append(len(some)), commit(some)))
        for key, value in some(20, 400):
            database.put(key, value)
    assert commits == [3] * 6 + [2]
    assert records(tmp_path / "db") == some(20, 400)


def test_logs_every_thousand_and_the_end(tmp_path: Path, backend: str) -> None:
    lines: list[str] = []
    log.set_level("I")
    log.set_sink(lines.append)
    for count in (2000, 1):
        write_database(str(tmp_path / f"db{count}"), backend, some(count))
    assert [line.partition("] ")[2] for line in lines] == [
        f"Opened {backend} {tmp_path}/db2000",
        "Processed 1000 files.",
        "Processed 2000 files.",
        f"Opened {backend} {tmp_path}/db1",
        "Processed 1 files.",
    ]


@pytest.mark.parametrize("problem", [FileError("a bad record."), KeyboardInterrupt(), OSError("of a record")])
def test_nothing_is_left_of_an_interrupted_one(tmp_path: Path, backend: str, problem: BaseException) -> None:
    def broken() -> Iterator[tuple[bytes, bytes]]:
        yield from some(1500)
        assert len(files_in(tmp_path)) == 1
        assert "db" not in files_in(tmp_path)
        raise problem

    with pytest.raises(type(problem)) as raised:
        write_database(str(tmp_path / "db"), backend, broken())
    assert raised.value is problem
    assert files_in(tmp_path) == set()


def test_a_database_that_is_there_is_refused(tmp_path: Path, backend: str) -> None:
    write_database(str(tmp_path / "db"), backend, some(3))
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    before = files_in(tmp_path)
    for name in ("db", "db/", "file", "link"):
        with pytest.raises(FileError, match=f"got one that is there already \\({tmp_path}/"):
            write_database(f"{tmp_path}/{name}", backend, some(4))
    assert records(tmp_path / "db") == some(3)
    assert files_in(tmp_path) == before


def test_one_that_appears_meanwhile_is_kept(tmp_path: Path, backend: str) -> None:
    def slow() -> Iterator[tuple[bytes, bytes]]:
        yield from some(3)
        (tmp_path / "db").mkdir()
        (tmp_path / "db" / "mine").write_text("x")

    with pytest.raises(FileError, match=r"Cannot write the database .*db: Directory not empty"):
        write_database(str(tmp_path / "db"), backend, slow())
    assert files_in(tmp_path) == {"db"}
    assert files_in(tmp_path / "db") == {"mine"}


def test_leftovers_of_a_killed_run_do_no_harm(tmp_path: Path, backend: str) -> None:
    stale = tmp_path / f"db.{os.getpid()}.tmp"
    stale.mkdir()
    (stale / "data.mdb").write_text("half a database")
    (stale / "CURRENT").write_text("half a database")
    write_database(str(tmp_path / "db"), backend, some(3))
    assert records(tmp_path / "db") == some(3)


def test_a_trailing_slash_is_no_part_of_the_name(tmp_path: Path, backend: str) -> None:
    write_database(f"{tmp_path}/db/", backend, some(3))
    assert files_in(tmp_path) == {"db"}


def test_other_users_may_read_it(tmp_path: Path, backend: str) -> None:
    (tmp_path / "ordinary").mkdir()
    write_database(str(tmp_path / "db"), backend, some(3))
    assert (tmp_path / "db").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_long_keys(tmp_path: Path) -> None:
    pytest.importorskip("lmdb")
    with pytest.raises(FileError, match=r"expected keys of at most 511 bytes, got 512 in aaaa.*LevelDB"):
        write_database(str(tmp_path / "db"), "lmdb", [(b"a" * 512, b"")])
    write_database(str(tmp_path / "db"), "lmdb", [(b"a" * 511, b"x")])
    assert records(tmp_path / "db") == [(b"a" * 511, b"x")]


def test_missing_folders_and_packages(tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError, match=rf"there is no folder {tmp_path}/no \(the working folder is {tmp_path}\)"):
        write_database("no/db", backend, some(1))
    with pytest.raises(FileError, match="the path of a database to write, got an empty one"):
        check_new("")
    monkeypatch.setitem(sys.modules, PACKAGES[backend], None)
    with pytest.raises(MissingExtra, match=rf"pip install 'pycaffe-lite\[{backend}\]'"):
        write_database("db", backend, some(1))
    assert files_in(tmp_path) == set()


def test_a_full_disk_is_one_sentence(tmp_path: Path, backend: str) -> None:
    resource = pytest.importorskip("resource")
    import signal

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limits[1]))
    try:
        with pytest.raises(FileError, match=r"^Cannot write the database .*db: .*\w\.$"):
            write_database(str(tmp_path / "db"), backend, some(3000, 100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert files_in(tmp_path) == set()
