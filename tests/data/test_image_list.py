"""Lists of images, and Caffe's shuffle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.data.images import pixels, read_bytes
from pycaffe_lite.data.sources.image_list import ListedImage, find_folder, listed_labels, read_image_list, shuffled
from pycaffe_lite.errors import FileError
from pycaffe_lite.rng import Generator
from rigs.golden_formats import FORMATS


def listed(tmp_path: Path, text: bytes) -> list[ListedImage]:
    (tmp_path / "list.txt").write_bytes(text)
    return read_image_list(str(tmp_path / "list.txt"))


@pytest.mark.parametrize(
    ("line", "name", "label"),
    [
        (b"cat/one.jpg 3", "cat/one.jpg", 3),
        (b"one.jpg 3\r", "one.jpg", 3),
        (b"my cat.jpg -1", "my cat.jpg", -1),
        (b"one.jpg\t +7  ", "one.jpg", 7),
        (b"\xef\xbb\xbfone.jpg 2147483647", "one.jpg", 2147483647),
        (b"caf\xc3\xa9.jpg -2147483648", "café.jpg", -2147483648),
        (b"caf\xe9.jpg 0", "caf\udce9.jpg", 0),
    ],
)
def test_lines_of_a_list(tmp_path: Path, line: bytes, name: str, label: int) -> None:
    assert listed(tmp_path, line) == [(name, label)]


def test_blank_lines_are_none(tmp_path: Path) -> None:
    assert listed(tmp_path, b"\n a 1\n\n \nb 2") == [("a", 1), ("b", 2)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "list.txt: expected lines with the name of an image and its label, got none"),
        (b"\n \n", "got none"),
        (b"a 1\nb c.png\n", r"list.txt:2: expected the name of an image.*got 'b c.png'; label_dim: 1"),
        (b"a.png cat", "list.txt:1: .*got 'a.png cat'"),
        (b"a.png 1.5", "list.txt:1: .*a whole number .* got 'a.png 1.5'; label_dim: 1, .*takes a real number"),
        (b"a.png 0x10", "list.txt:1: "),
        (b"a.png 1_000", "list.txt:1: "),
        (b"a.png 2147483648", "list.txt:1: "),
        (b"a.png 99999999999999999999999", "list.txt:1: "),
        (b"a.png \xd9\xa3", "list.txt:1: "),  # an Arabic three
        (b"\x89PNG\r\n\x1a\n", "list.txt:2: "),
        (b"a" * 200_000, "list.txt:1: "),
    ],
)
def test_lines_that_are_refused(tmp_path: Path, text: bytes, problem: str) -> None:
    with pytest.raises(FileError, match=problem) as raised:
        listed(tmp_path, text)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("label_dim", [None, 1])
def test_lines_without_a_label_have_label_0(tmp_path: Path, label_dim: int | None, messages: list[str]) -> None:
    (tmp_path / "list.txt").write_bytes(b"cat/12.jpg\n7.png\r\nd.png 3\n")
    images = read_image_list(str(tmp_path / "list.txt"), label_dim)
    assert images == [("cat/12.jpg", 0), ("7.png", 0), ("d.png", 3)]
    (line,) = messages
    assert line.endswith("list.txt: 2 of 3 lines have no label and get 0, as in Caffe.")


def test_a_line_without_labels_is_refused_where_there_are_several(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.png\n")
    with pytest.raises(FileError, match=r"list.txt:1: expected the name of an image and 2 numbers, .* got 'a.png'"):
        read_image_list(str(tmp_path / "list.txt"), 2)


def test_real_labels(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a 1.png 0.25\nb.png 3\nc.png -1e-3\n")
    images = read_image_list(str(tmp_path / "list.txt"), 1)
    assert images == [("a 1.png", (0.25,)), ("b.png", (3.0,)), ("c.png", (-1e-3,))]
    np.testing.assert_array_equal(listed_labels(images), np.array([0.25, 3, -1e-3], np.float32))


def test_real_labels_that_are_all_whole_are_caffes(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.png 2\nb.png 1.0\n")
    images = read_image_list(str(tmp_path / "list.txt"), 1)
    assert images == [("a.png", 2), ("b.png", 1)]
    assert all(isinstance(image.label, int) for image in images)


@pytest.mark.parametrize("line", ["a.png x", "a.png nan", "a.png 1e99", "a.png inf", "a b.png"])
def test_what_is_no_real_label(tmp_path: Path, line: str) -> None:
    (tmp_path / "list.txt").write_text(line)
    problem = rf"list.txt:1: expected the name of an image and a number, its label, with a space .* got '{line}'"
    with pytest.raises(FileError, match=problem):
        read_image_list(str(tmp_path / "list.txt"), 1)


def test_missing_lists_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError, match=rf'no list of images "no.txt": looked for {tmp_path}/no.txt from the working'):
        read_image_list("no.txt")
    with pytest.raises(FileError, match=r"Cannot read .*: it is a folder"):
        read_image_list(str(tmp_path))
    with pytest.raises(FileError, match=rf'no root folder of images "no": looked for {tmp_path}/no'):
        find_folder("no")
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileError, match=rf"file: expected the root folder of images, got a file \({tmp_path}/file\)"):
        find_folder("file")
    assert [find_folder(name) for name in ("", str(tmp_path))] == ["", str(tmp_path)]


SHUFFLED = np.load(FORMATS / "transform" / "train_image_shuffle.npz")


def two_epochs() -> list[ListedImage]:
    """As ImageData with `shuffle` reads: its generator is seeded with the run's first word."""
    generator = Generator(Generator(101).word())
    first = shuffled(read_image_list(str(FORMATS / "images.txt")), generator)
    return first + shuffled(first, generator)


def test_shuffles_as_caffe_does() -> None:
    np.testing.assert_array_equal([image.label for image in two_epochs()], SHUFFLED["label"].reshape(-1)[:40])


def test_pixels_are_those_of_caffe() -> None:
    pytest.importorskip("cv2")
    data = SHUFFLED["data"].reshape(-1, 3, 10, 12)
    for image, values in zip(two_epochs(), data[:40], strict=True):
        np.testing.assert_array_equal(pixels(read_bytes(str(FORMATS / "images" / image.name))), values)


def test_shuffling_keeps_every_item() -> None:
    for count in (0, 1, 2, 1000):
        assert sorted(shuffled(range(count), Generator(3))) == list(range(count))


def test_words_beyond_the_last_part_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    words = iter([2**32 - 1, 0, 2**31 - 1])
    generator = Generator(0)
    monkeypatch.setattr(generator, "word", lambda: next(words))
    # Three equal parts leave the last word over; two leave none.
    assert shuffled("abc", generator) == ["b", "c", "a"]
