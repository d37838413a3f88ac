"""Writing files: all or nothing, whatever goes wrong."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pycaffe_lite.errors import FileError
from pycaffe_lite.writing import write_atomically


def test_a_new_file(tmp_path: Path) -> None:
    write_atomically(str(tmp_path / "x"), [b"one ", b"", b"two"])
    assert (tmp_path / "x").read_bytes() == b"one two"
    assert os.listdir(tmp_path) == ["x"]


def test_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_atomically("x", [b"1"])
    assert (tmp_path / "x").read_bytes() == b"1"


def test_an_old_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"old and longer")
    write_atomically(str(tmp_path / "x"), [b"new"])
    assert (tmp_path / "x").read_bytes() == b"new"


def test_everything_is_on_the_disk_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("fsync", "replace"):
        function = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, f=function, n=name: (calls.append(n), f(*args))[1])
    write_atomically(str(tmp_path / "x"), [b"1"])
    assert calls[:2] == ["fsync", "replace"]


def fails(number: int) -> Any:
    def fail(*args: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def pieces_until_full() -> Iterator[bytes]:
    yield b"half"
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def check_untouched(folder: Path, sentence: str, pieces: Any = (b"new",)) -> None:
    (folder / "x").write_bytes(b"old")
    with pytest.raises(FileError) as caught:
        write_atomically(str(folder / "x"), pieces)
    assert str(caught.value) == f"Cannot write {folder}/x: {sentence}."
    assert (folder / "x").read_bytes() == b"old"
    assert os.listdir(folder) == ["x"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    check_untouched(tmp_path, "No space left on device", pieces_until_full())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_fault_of_the_disk_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fails(number))
        check_untouched(tmp_path, os.strerror(number))


def test_a_disk_that_can_only_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", fails(errno.EROFS))
        with pytest.raises(FileError, match="Read-only file system"):
            write_atomically(str(tmp_path / "x"), [b"new"])
    assert (tmp_path / "x").read_bytes() == b"old"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_device_without_space(tmp_path: Path) -> None:
    """A full disk for real, as far as the first write goes."""
    (tmp_path / f"x.{os.getpid()}.tmp").symlink_to("/dev/full")
    with pytest.raises(FileError, match="No space left on device"):
        write_atomically(str(tmp_path / "x"), [b"1" * 100_000])
    assert os.listdir(tmp_path) == []


def test_an_interrupt_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    def interrupted() -> Iterator[bytes]:
        yield b"half"
        raise KeyboardInterrupt

    (tmp_path / "x").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_atomically(str(tmp_path / "x"), interrupted())
    assert (tmp_path / "x").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize(("name", "sentence"), [("none/x", "No such file or directory"), ("folder", "Is a directory")])
def test_places_that_cannot_be_written(tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match=sentence):
        write_atomically(str(tmp_path / name), [b"1"])
    assert os.listdir(tmp_path) == ["folder"]


def test_a_folder_that_cannot_be_synced_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "open", fails(errno.EACCES))
    write_atomically(str(tmp_path / "x"), [b"1"])
    assert (tmp_path / "x").read_bytes() == b"1"
