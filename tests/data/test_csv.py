"""Tables of numbers as a source: which columns are labels, and lines that are no rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

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
