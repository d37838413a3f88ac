"""Tables of numbers as a source: which columns are labels, and lines that are no rows."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.data.sources import csv
from pycaffe_lite.data.sources.csv import CsvSource
from pycaffe_lite.errors import FileError


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "some.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def parts(folder: Path, text: str | bytes, with_labels: bool = True) -> tuple[list[list[float]], list[float]]:
    source = CsvSource(written(folder, text), with_labels=with_labels)
    images, labels, after = source.read(0, 100)
    assert after == 0
    assert images[0].shape[1:] == (1, 1)
    return np.array(images)[:, :, 0, 0].tolist(), labels.tolist()


@pytest.mark.parametrize(
    "text",
    [
        "7,1,2\n8,3,4\n",
        "7,1,2\n8,3,4",
        "\n7 , 1,\t2\r\n\r\n8,3,4\r\n",
        "label,x,y\n7,1,2\n8,3,4\n",
        "x,label,y\n1,7,2\n3,8,4\n",
        "x,y,Label\n1,2,7\n3,4,8\n",
        '"label","x","y"\n"7","1","2"\n8,3,4\n',
        "label,0,1\n7,1,2\n8,3,4\n",
        b"\xef\xbb\xbflabel,x,y\n7,1,2\n8,3,4\n",
        "+7,1e0,2.\n8.0,.3e1,4\n",
    ],
)
def test_tables(tmp_path: Path, text: str | bytes) -> None:
    assert parts(tmp_path, text) == ([[1, 2], [3, 4]], [7, 8])
    assert parts(tmp_path, text, with_labels=False)[0] == [[1, 2], [3, 4]]


def test_several_labels(tmp_path: Path) -> None:
    images, labels = parts(tmp_path, "label_0,x,label_1,label2\n1,5,0,0.5\n0,6,1,-1\n")
    assert images == [[5], [6]]
    assert labels == [[1, 0, 0.5], [0, 1, -1]]


def test_without_labels(tmp_path: Path) -> None:
    text = "x,y\n1,2\n3,4\n"
    assert parts(tmp_path, text, with_labels=False) == ([[1, 2], [3, 4]], [0, 0])
    with pytest.raises(FileError, match=r'some.csv:1: expected numbers, or names of columns, one of .* got "x, y"'):
        CsvSource(written(tmp_path, text))


def test_records_in_any_order(tmp_path: Path) -> None:
    source = CsvSource(written(tmp_path, "\n".join(f"{i},{i * i}" for i in range(9))))
    assert len(source) == 9
    some = source.take(np.array([8, 2]))
    np.testing.assert_array_equal(some.images[:, 0, 0, 0], [64, 4])
    np.testing.assert_array_equal(some.labels, [8, 2])
    np.testing.assert_array_equal(source.labels(), np.arange(9))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "some.csv: expected lines of numbers with commas between them, got none"),
        ("\n \n", "some.csv: expected lines of numbers with commas between them, got none"),
        ("label,x\n\n", "some.csv: expected lines of numbers, got none"),
        ("1,2\n1,2,3\n", "some.csv:2: expected 2 numbers, as line 1 has, got 3"),
        ("label,x\n1,2,3\n1,2,3\n", "some.csv:2: expected 2 numbers, as line 1 has, got 3"),
        ("1,2\n\n3,four\n", 'some.csv:3: expected numbers with commas between them, got "four"'),
        ("1,2\n3,\n", 'some.csv:2: expected numbers with commas between them, got ""'),
        ("1,2\n3,nan\n", 'some.csv:2: expected numbers with commas between them, got "nan"'),
        ("1,2\n3,1e99\n", 'some.csv:2: expected numbers with commas between them, got "1e99"'),
        ("label,x\n1,0x10\n", 'some.csv:2: expected numbers with commas between them, got "0x10"'),
        ("label,x\n1,1_0\n", 'some.csv:2: expected numbers with commas between them, got "1_0"'),
        ("1,a\n2,3\n", 'some.csv:1: expected numbers, or names of columns, one of them "label", got "1, a"'),
        ("label\n1\n", r"some.csv: expected numbers besides the labels, got 1 column\(s\) in all"),
        ("1\n2\n", r"some.csv: expected numbers besides the labels, got 1 column\(s\) in all"),
        (b"\x1f\x8b\x08\0\0", "some.csv: expected a table of numbers, a text in UTF-8, got another file"),
        (b"1,2\n3,\xff\xfe\n", "some.csv:2: expected numbers"),
    ],
)
def test_what_is_no_table(tmp_path: Path, text: str | bytes, problem: str) -> None:
    with pytest.raises(FileError, match=problem):
        CsvSource(written(tmp_path, text))


def test_a_line_of_names_must_be_one_even_without_labels(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r'some.csv:1: expected numbers, or names of columns, .* got "1, a"'):
        CsvSource(written(tmp_path, "1,a\n2,3\n"), with_labels=False)


def test_folders(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="expected a table of numbers, got no plain file"):
        CsvSource(tmp_path)


# -- by pieces -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("names", ["", "label,a,b\n", "\n\nlabel,a,b\n \n"])
@pytest.mark.parametrize("piece", [1, 7, 64, 1 << 17])
@pytest.mark.parametrize("kept", [0, 60, 1 << 28])
def test_pieces_make_no_difference(
    tmp_path: Path, end: str, names: str, piece: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv, "_PIECE", piece)
    monkeypatch.setattr(csv, "_MOST_KEPT", kept)
    generator = np.random.default_rng(piece)
    table = generator.integers(-(10**6), 10**6, (40, 3)) / 8
    text = names + "\n".join(",".join(map(str, row)) + "\n" * int(row[0] > 0) for row in table)
    source = CsvSource(written(tmp_path, text.replace("\n", end)))
    assert len(source) == 40
    np.testing.assert_array_equal(source.labels(), table[:, 0].astype(np.float32))
    for _ in range(2):
        images, labels, after = source.read(5, 30)
        assert after == 35
        np.testing.assert_array_equal(np.array(images)[:, :, 0, 0], table[5:35, 1:].astype(np.float32))
        numbers = generator.permutation(40)[:17]
        images, labels, _ = source.take(numbers)
        np.testing.assert_array_equal(np.array(images)[:, :, 0, 0], table[numbers, 1:].astype(np.float32))
        np.testing.assert_array_equal(labels, table[numbers, 0].astype(np.float32))
    assert source.read(35, 30).next == 0


def test_the_line_that_is_none_is_named_in_any_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv, "_PIECE", 8)
    with pytest.raises(FileError, match=r'some.csv:31: expected numbers with commas between them, got "x"'):
        CsvSource(written(tmp_path, "1,2\n" * 30 + "1,x\n" + "1,2\n" * 30))
    with pytest.raises(FileError, match=r"some.csv:31: expected 2 numbers, as line 1 has, got 3"):
        CsvSource(written(tmp_path, "1,2\n" * 30 + "1,2,3\n" * 30))


def test_a_table_that_is_written_over_is_refused(tmp_path: Path) -> None:
    source = CsvSource(written(tmp_path, "1,2\n3,4\n"))
    written(tmp_path, "1,2\n")
    with pytest.raises(FileError, match=r"some.csv: expected the lines that it had when it was opened, got others"):
        source.read(0, 2)
    (tmp_path / "some.csv").unlink()
    with pytest.raises(FileError, match=r"Cannot read .*some.csv"):
        source.read(0, 2)


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv, "_LONGEST_LINE", 1 << 20)
    with pytest.raises(FileError, match="got one of more than 1 MiB"):
        CsvSource(written(tmp_path, "1,2\n" + "1," * (1 << 21)))


@contextmanager
def no_more_than(megabytes: float) -> Iterator[None]:
    """The most memory that Python and NumPy have at a time while the block runs."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < megabytes * 2**20
    finally:
        tracemalloc.stop()


def test_memory_stays_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv, "_MOST_KEPT", 1 << 20)
    line = ",".join(["1.5"] * 200)
    path = written(tmp_path, "".join(f"{i % 10},{line}\n" for i in range(20_000)))
    assert path.stat().st_size > 15 << 20
    with no_more_than(4):
        source = CsvSource(path)
        assert len(source) == 20_000
        at = 0
        for _ in range(20_000 // 64 + 1):
            records = source.read(at, 64)
            assert records.labels.tolist() == [(at + i) % 10 for i in range(len(records.labels))]
            at = records.next
        assert at == 0
        for _ in range(5):
            numbers = np.random.default_rng(at).integers(0, 20_000, 64)
            assert source.take(numbers).labels.tolist() == (numbers % 10).tolist()


def test_labels_are_kept_only_if_they_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv, "_PIECE", 8)
    monkeypatch.setattr(csv, "_MOST_LABELS", 100)
    assert CsvSource(written(tmp_path, "1,2\n" * 25)).labels() is not None
    assert CsvSource(written(tmp_path, "1,2\n" * 26)).labels() is None
