"""A list of images as records: what each option makes of a file."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite import log, parallel
from pycaffe_lite.data.images import decode
from pycaffe_lite.data.sources.image_list import ListedImage, read_image_list
from pycaffe_lite.errors import CaffeError, MissingExtra
from pycaffe_lite.proto.caffe_pb2 import Datum
from pycaffe_lite.tools.image_set import ImageSet
from rigs.golden_formats import FORMATS

IMAGES = FORMATS / "images"

try:
    import cv2
except ImportError:
    cv2 = None
needs_cv2 = pytest.mark.skipif(cv2 is None, reason="OpenCV is not installed")


@pytest.fixture
def lines() -> list[str]:
    lines: list[str] = []
    log.set_level("I")
    log.set_sink(lambda line: lines.append(line[0] + " " + line.partition("] ")[2]))
    return lines


def made(*names: str, folder: Path | str = IMAGES, **options: object) -> list[Datum]:
    image_set = ImageSet(str(folder), **options)  # type: ignore[arg-type]
    images = [ListedImage(name, i) for i, name in enumerate(names)]
    return [Datum.FromString(value) for _, value in image_set.records(images)]


@needs_cv2
@pytest.mark.parametrize("name", ["img00.png", "photo420.jpg", "gray.png", "palette.png", "rgba.png"])
def test_encoded_keeps_the_file(name: str) -> None:
    (datum,) = made(name, encoded=True)
    assert datum.data == (IMAGES / name).read_bytes()
    assert datum.encoded
    assert not datum.HasField("channels")
    assert made(name, encoded=True, gray=True) == made(name, encode_type=name[-3:].upper()) == [datum]


@needs_cv2
def test_encoded_again_where_something_changes() -> None:
    original = decode((IMAGES / "img00.png").read_bytes(), True)
    (datum,) = made("img00.png", encode_type="bmp")
    assert datum.data[:2] == b"BM"
    np.testing.assert_array_equal(decode(datum.data, None), original)
    (datum,) = made("img00.png", encode_type="jpg")
    assert datum.data[:3] == b"\xff\xd8\xff"
    (datum,) = made("img00.png", encoded=True, height=5, width=7)
    assert datum.data[:4] == b"\x89PNG"
    assert decode(datum.data, None).shape == (3, 5, 7)
    (datum,) = made("img00.png", encoded=True, height=5, width=7, gray=True)
    assert decode(datum.data, None).shape == (1, 5, 7)


@needs_cv2
def test_jpeg_is_jpg(tmp_path: Path) -> None:
    shutil.copy(IMAGES / "photo420.jpg", tmp_path / "photo.JPEG")
    (datum,) = made("photo.JPEG", folder=tmp_path, encode_type="jpg")
    assert datum.data == (IMAGES / "photo420.jpg").read_bytes()


@needs_cv2
def test_files_without_an_extension(tmp_path: Path) -> None:
    shutil.copy(IMAGES / "img00.png", tmp_path / "noext")
    (datum,) = made("noext", folder=tmp_path, encoded=True)
    assert datum.data == (IMAGES / "img00.png").read_bytes()
    with pytest.raises(CaffeError, match=r"noext: OpenCV cannot encode a file without an extension; .*--encode_type"):
        made("noext", folder=tmp_path, encoded=True, height=5, width=5)
    with pytest.raises(CaffeError, match='OpenCV cannot encode type "xyz"'):
        made("noext", folder=tmp_path, encode_type="xyz")


@needs_cv2
def test_plain_records_say_that_they_are_not_encoded() -> None:
    (datum,) = made("img00.png")
    assert datum.HasField("encoded")
    assert not datum.encoded
    assert (datum.channels, datum.height, datum.width) == (3, 10, 12)


@needs_cv2
def test_unreadable_images_are_left_out_but_keep_their_numbers(tmp_path: Path, lines: list[str]) -> None:
    shutil.copy(IMAGES / "img00.png", tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    images = [ListedImage(name, 5) for name in ("bad.png", "good.png", "missing.png", "good.png")]
    keys = [key for key, _ in ImageSet(str(tmp_path)).records(images)]
    assert keys == [b"00000001_good.png", b"00000003_good.png"]
    assert lines == [
        f"E Could not open or find file {tmp_path}/bad.png: expected an encoded image, got 8 bytes that are none.",
        f"E Could not open or find file {tmp_path}/missing.png: no such file ({tmp_path}/missing.png).",
        "W 2 of 4 images could not be read and were left out.",
    ]
    with pytest.raises(CaffeError, match=rf"images in the folder {tmp_path}, not one of 1 can be read"):
        made("bad.png", folder=tmp_path)


@needs_cv2
@pytest.mark.parametrize("options", [{}, {"encoded": True}, {"encode_type": "bmp"}])
def test_check_size(options: dict[str, object]) -> None:
    names = ("img00.png", "img01.png", "other_size.png")
    assert len(made(*names, **options)) == 3
    message = r"other_size.png: expected shape \[3, 10, 12\], as the first image has, got \[3, \d+, \d+\]; --resize_"
    with pytest.raises(CaffeError, match=message):
        made(*names, check_size=True, **options)
    assert len(made(*names, check_size=True, height=4, width=4, **options)) == 3


@needs_cv2
def test_folders_are_put_before_names_as_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(IMAGES)
    expected = made("img00.png")
    for folder, name in (
        (f"{IMAGES}/", "img00.png"),
        (str(IMAGES), "/img00.png"),
        ("", "img00.png"),
        ("", f"{IMAGES}/img00.png"),
        ("/", f"{IMAGES}/img00.png"),
    ):
        assert made(name, folder=folder) == expected


@needs_cv2
def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    try:
        shutil.copy(IMAGES / "img00.png", tmp_path / name)
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    ((key, _),) = ImageSet(str(tmp_path)).records([ListedImage(name, 1)])
    assert key == b"00000000_" + os.fsencode(name)


@needs_cv2
def test_any_number_of_threads_gives_the_same_records() -> None:
    images = read_image_list(str(FORMATS / "many.txt"))[:100]
    results = []
    for threads in (1, 3):
        parallel.set_num_threads(threads)
        results.append(list(ImageSet(str(IMAGES), gray=True, height=9, width=5).records(images)))
    assert results[0] == results[1]
    assert len(results[0]) == 100


@needs_cv2
def test_sizes_too_large_for_records() -> None:
    with pytest.raises(CaffeError, match="height 40000 and width 40000 are too large"):
        made("img00.png", height=40000, width=40000)


def test_without_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtra, match=r"pip install 'pycaffe-lite\[images\]'"):
        made("img00.png")
