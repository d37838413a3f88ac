"""IDX files: what they hold, and every way in which they can be broken."""

from __future__ import annotations

import gzip
import random
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite.data.sources import idx_file
from pycaffe_lite.data.sources.idx_file import IdxFile
from pycaffe_lite.errors import CaffeError, FileError

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def idx_bytes(array: np.ndarray, code: int = 8) -> bytes:
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return head + array.astype(TYPES[code]).tobytes()


PIXELS = np.random.default_rng(5).integers(0, 120, (9, 4, 5))
GOOD = idx_bytes(PIXELS)
HUGE = struct.pack(">BBBB3I", 0, 0, 8, 3, 10**6, 1000, 1000)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def read_all(path: Path) -> np.ndarray:
    file = IdxFile(path)
    file.wait(len(file.array))
    return np.array(file.array)


@pytest.mark.parametrize("code", TYPES)
@pytest.mark.parametrize("squeeze", [bytes, gzip.compress])
def test_reads_every_type_raw_and_gzipped_whatever_the_name(tmp_path: Path, code: int, squeeze: Any) -> None:
    path = write(tmp_path / "any-name", squeeze(idx_bytes(PIXELS, code)))
    array = read_all(path)
    assert array.dtype == np.dtype(TYPES[code])
    np.testing.assert_array_equal(array, PIXELS)


def test_reads_gzip_files_of_several_members(tmp_path: Path) -> None:
    path = write(tmp_path / "x.gz", b"".join(gzip.compress(GOOD[i : i + 50]) for i in range(0, len(GOOD), 50)))
    np.testing.assert_array_equal(read_all(path), PIXELS)


class Slow:
    """A stream that gives its second part only when told to."""

    def __init__(self, content: bytes, first: int) -> None:
        self.rest, self.first, self.go_on = content, first, threading.Event()

    def read(self, size: int) -> bytes:
        part, self.rest = self.rest[:size], self.rest[size:]
        self.first -= len(part)
        return part

    def readinto(self, memory: memoryview) -> int:
        if self.first <= 0:
            self.go_on.wait()
        part = self.read(min(len(memory), self.first if self.first > 0 else len(memory)))
        memory[: len(part)] = part
        return len(part)

    def close(self) -> None:
        pass

    def __enter__(self) -> Slow:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_first_records_are_there_before_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Slow(GOOD, 16 + 3 * 20)
    monkeypatch.setattr(idx_file, "_inflating", lambda path: stream)
    file = IdxFile(write(tmp_path / "x.gz", gzip.compress(GOOD)))
    file.wait(3)
    np.testing.assert_array_equal(file.array[:3], PIXELS[:3])
    waiting = threading.Thread(target=file.wait, args=(4,))
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    stream.go_on.set()
    waiting.join()
    file.wait(9)
    np.testing.assert_array_equal(file.array, PIXELS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got an empty file"),
        (b"\0", "got 00"),
        (b"\x89PNG\r\n", "begins with 00 00"),
        (struct.pack(">BBBB", 0, 0, 7, 1), "got 00 00 07 01"),
        (struct.pack(">BBBB", 0, 0, 8, 0), "got 00 00 08 00"),
        (GOOD[:11], "truncated: expected the lengths of 3 axes, got 7 bytes"),
        (GOOD[:-1], r"truncated: its head promises shape \[9, 4, 5\], 196 bytes in all, got 195"),
        (GOOD + b"x", "too long: .* 196 bytes in all, got 197"),
        (struct.pack(">BBBB2I", 0, 0, 8, 2, 0, 5), r"at least one value, got shape \[0, 5\]"),
        (struct.pack(">BBBB40I", 0, 0, 8, 40, *[1] * 40) + b"x", "at most 32 axes, got 40"),
        (HUGE, "truncated: .* 1000000000016 bytes in all, got 16"),
        (gzip.compress(HUGE + bytes(1000)), "more than a gzip file of .* bytes can hold"),
        (gzip.compress(GOOD[:-1]), "truncated: .*, got 195"),
        (gzip.compress(GOOD + b"x"), "too long: .*, got 197"),
        (gzip.compress(GOOD)[:-9], "truncated: the gzip file ends before its contents do"),
        (gzip.compress(b""), "got nothing"),
        (b"\x1f\x8b", "cannot be read"),
        (b"\x1f\x8b garbage", "cannot be read"),
    ],
)
def test_refuses_at_once(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(FileError, match=message) as problem:
        IdxFile(write(tmp_path / "file", content))
    assert str(problem.value).startswith(str(tmp_path / "file"))
    assert str(problem.value).endswith(".") and "\n" not in str(problem.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        IdxFile(tmp_path / "nothing")


def damaged_in_the_middle() -> bytes:
    """A gzip file of random values, of which one byte is another."""
    content = bytearray(gzip.compress(idx_bytes(np.random.default_rng(1).integers(0, 256, (50, 10000)))))
    content[len(content) // 2] ^= 0x55
    return bytes(content)


def wrong_checksum() -> bytes:
    content = bytearray(gzip.compress(GOOD))
    content[-8] ^= 1
    return bytes(content)


@pytest.mark.parametrize("content", [damaged_in_the_middle(), wrong_checksum()])
def test_damage_shows_to_who_waits_for_the_last_record(tmp_path: Path, content: bytes) -> None:
    file = IdxFile(write(tmp_path / "file", content))
    for _ in range(2):
        with pytest.raises(FileError, match="file: cannot be read"):
            file.wait(len(file.array))


def test_broken_files_give_nothing_but_caffe_errors(tmp_path: Path) -> None:
    chance = random.Random(2)
    packed = gzip.compress(GOOD)
    refused = 0
    for _ in range(300):
        content = bytearray(chance.choice([GOOD, packed]))
        for _ in range(chance.randint(0, 3)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        del content[chance.choice([len(content), chance.randrange(len(content))]) :]
        path = write(tmp_path / "file", bytes(content))
        with suppress(CaffeError):
            refused += 1
            read_all(path)
            refused -= 1
    assert 100 < refused < 300
