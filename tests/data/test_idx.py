"""IDX files: what they hold, every way in which they can be broken, and they and their labels as a source."""

from __future__ import annotations

import gzip
import os
import random
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite import log
from pycaffe_lite.data.sources.idx import IdxFile, IdxSource, read_idx
from pycaffe_lite.errors import CaffeError, FileError
from rigs import MNIST
from rigs.idx_files import write_idx

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


@pytest.mark.parametrize("code", TYPES)
@pytest.mark.parametrize("squeeze", [bytes, gzip.compress])
def test_reads_every_type_raw_and_gzipped_whatever_the_name(tmp_path: Path, code: int, squeeze: Any) -> None:
    path = write(tmp_path / "any-name", squeeze(idx_bytes(PIXELS, code)))
    array = read_idx(path)
    assert array.dtype == np.dtype(TYPES[code])
    np.testing.assert_array_equal(array, PIXELS)


def test_reads_gzip_files_of_several_members(tmp_path: Path) -> None:
    path = write(tmp_path / "x.gz", b"".join(gzip.compress(GOOD[i : i + 50]) for i in range(0, len(GOOD), 50)))
    np.testing.assert_array_equal(read_idx(path), PIXELS)


def test_first_records_are_there_before_the_last(tmp_path: Path) -> None:
    """A gzipped file is decompressed no farther than records are asked for; damage behind them comes in its turn."""
    content = bytearray(gzip.compress(idx_bytes(np.random.default_rng(1).integers(0, 256, (50, 10000)))))
    content[-len(content) // 10] ^= 0x55
    file = IdxFile(write(tmp_path / "x.gz", bytes(content)))
    for records in (3, 30, 2):
        file.read(records)
    with pytest.raises(FileError, match=r"x\.gz: "):
        file.read(50)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_a_forked_process_decompresses_by_itself(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 256, (500, 1000))
    code = """
import os, sys
import numpy as np
from pathlib import Path
from pycaffe_lite.data.sources.idx import IdxFile
file = IdxFile(Path(sys.argv[1]))
file.read(3)
child = os.fork()
if not child:
    file._stream.read(77)  # as if a thread had been in the middle of it
file.read(len(file.array))
good = int(file.array.astype(np.int64).sum()) == int(sys.argv[2])
if child:
    good = good and os.waitpid(child, 0)[1] == 0
os._exit(not good)
"""
    path = write(tmp_path / "x.gz", gzip.compress(idx_bytes(values), 1))
    command = [sys.executable, "-W", "ignore", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"]
    assert subprocess.run([*command, str(path), str(values.sum())], timeout=60, check=False).returncode == 0


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
        (gzip.compress(HUGE + bytes(1000), mtime=0), "more than a gzip file of .* bytes can hold"),
        (gzip.compress(GOOD[:-1], mtime=0), "truncated: .*, got 195"),
        (gzip.compress(GOOD + b"x", mtime=0), "too long: .*, got 197"),
        (gzip.compress(GOOD, mtime=0)[:-9], "truncated: the gzip file ends before its contents do"),
        (gzip.compress(b"", mtime=0), "got nothing"),
        (b"\x1f\x8b", "truncated: the gzip file ends before its contents do"),
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
def test_damage_shows_to_who_reads_the_last_record(tmp_path: Path, content: bytes) -> None:
    file = IdxFile(write(tmp_path / "file", content))
    for _ in range(2):
        with pytest.raises(FileError, match="file: cannot be read"):
            file.read(len(file.array))


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
            read_idx(path)
            refused -= 1
    assert 100 < refused < 300


# -- as a source ---------------------------------------------------------------------------------------------


def test_reads_runs_of_records_up_to_the_end(tiny_mnist: Path) -> None:
    source = IdxSource(tiny_mnist / "train-images-idx3-ubyte")
    assert len(source) == 20
    images, labels, after = source.read(3, 4)
    assert (images[0].shape, images[0].dtype, after) == ((1, 28, 28), np.uint8, 7)
    assert labels.dtype == np.float32
    np.testing.assert_array_equal(labels, [3, 4, 5, 6])
    images, labels, after = source.read(18, 64)
    assert (len(images), after) == (2, 0)
    np.testing.assert_array_equal(labels, [8, 9])


def test_reads_records_in_any_order(tiny_mnist: Path) -> None:
    source = IdxSource(tiny_mnist / "train-images-idx3-ubyte")
    everything = source.read(0, 20)
    some = source.take(np.array([7, 0, 19]))
    np.testing.assert_array_equal(some.images, np.array(everything.images)[[7, 0, 19]])
    np.testing.assert_array_equal(some.labels, [7, 0, 9])


def test_mnist_itself() -> None:
    source = IdxSource(MNIST / "t10k-images-idx3-ubyte.gz")
    images, labels, _ = source.read(0, 10000)
    assert np.shape(images) == (10000, 1, 28, 28)
    np.testing.assert_array_equal(labels[:10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9])
    np.testing.assert_array_equal(
        np.bincount(labels.astype(int)), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    )


def test_says_so_in_the_log(tiny_mnist: Path) -> None:
    lines: list[str] = []
    log.set_sink(lines.append)
    log.set_level("I")
    IdxSource(tiny_mnist / "t10k-images-idx3-ubyte", "some/name")
    assert [line.split("] ")[1] for line in lines] == ["Opened idx some/name"]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((6, 4, 5), (1, 4, 5)), ((6, 3, 4, 5), (3, 4, 5)), ((6, 7), (7, 1, 1))],
)
def test_shapes(tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    path = write_idx(tmp_path / "images", np.ones(shape))
    assert IdxSource(path, with_labels=False).read(0, 1).images[0].shape == expected


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"),
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz"),
        ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
        ("images-idx4-ubyte", "labels-idx1-ubyte"),
    ],
)
def test_finds_the_labels(tmp_path: Path, images: str, labels: str) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    write_idx(folder / images, np.ones((3, 2, 2)))
    write_idx(folder / labels, np.array([5, 6, 7]))
    if labels.endswith(".gz"):
        (folder / labels).write_bytes(gzip.compress((folder / labels).read_bytes()))
    np.testing.assert_array_equal(IdxSource(folder / images).read(0, 3).labels, [5, 6, 7])


def test_missing_labels_matter_only_where_they_are_needed(tiny_mnist: Path) -> None:
    path = tiny_mnist / "train-images-idx3-ubyte"
    os.remove(tiny_mnist / "train-labels-idx1-ubyte")
    with pytest.raises(FileError, match="expected its labels beside it in train-labels-idx1-ubyte, with or without"):
        IdxSource(path)
    assert len(IdxSource(path, with_labels=False)) == 20


def test_name_from_which_no_labels_follow(tmp_path: Path) -> None:
    path = write_idx(tmp_path / "pixels", np.ones((3, 2, 2)))
    with pytest.raises(FileError, match='expected a name with "images" in it'):
        IdxSource(path)


@pytest.mark.parametrize("labels", [np.arange(19), np.arange(21), np.ones((20, 2))])
def test_as_many_labels_as_images(tiny_mnist: Path, labels: np.ndarray) -> None:
    write_idx(tiny_mnist / "train-labels-idx1-ubyte", labels)
    with pytest.raises(FileError, match=r"train-labels-idx1-ubyte: expected 20 labels, .* got shape \[(19|21|20, 2)\]"):
        IdxSource(tiny_mnist / "train-images-idx3-ubyte")


def test_folder_names_what_it_holds(tiny_mnist: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(FileError, match="a folder; it holds t10k-images-idx3-ubyte, train-images-idx3-ubyte"):
        IdxSource(tiny_mnist)
    with pytest.raises(FileError, match="a folder without one"):
        IdxSource(tmp_path_factory.mktemp("empty"))


@pytest.mark.parametrize("shape", [(5,), (1, 2, 3, 4, 5)])
def test_too_few_or_too_many_axes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(FileError, match="expected images, with 2 to 4 axes"):
        IdxSource(write_idx(tmp_path / "images", np.ones(shape)))
