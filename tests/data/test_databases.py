"""Databases of Datums: what Caffe's Data layer makes of them, and damaged records."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite import log
from pycaffe_lite.data.open import open_source
from pycaffe_lite.data.records import Source
from pycaffe_lite.data.sources.lmdb import LmdbSource
from pycaffe_lite.errors import CaffeError, FileError, MissingExtra
from pycaffe_lite.proto import caffe_pb2
from rigs.golden_formats import FORMATS, table, writable_copy

DATABASES = table("db.json")


def opened(name: str, folder: Path) -> Source:
    """A golden database, unless a package for it is missing."""
    entry = DATABASES[name]
    if entry["backend"] == "leveldb":
        pytest.importorskip("plyvel")
    if "encode" in entry["made_by"]:
        pytest.importorskip("cv2")
    backend = caffe_pb2.DataParameter.DB.Value(entry["backend"].upper())
    param = caffe_pb2.DataParameter(source=str(writable_copy(name, folder)), backend=backend)
    return open_source(param)


@pytest.mark.parametrize("name", DATABASES)
def test_records_are_those_that_caffe_reads(name: str, tmp_path: Path) -> None:
    source = opened(name, tmp_path)
    images, labels, position = [], [], 0
    while True:
        records = source.read(position, 7)
        images += [np.array(image) for image in records.images]
        labels += list(records.labels)
        position = records.next
        if position == 0:
            break
    expected = np.load(FORMATS / "db" / f"{name}.npz")
    np.testing.assert_array_equal(labels, expected["label"])
    tolerance = 2 if name in ("jpg_lmdb", "mixed_lmdb") else 0
    np.testing.assert_allclose(np.array(images, float), expected["data"], rtol=0, atol=tolerance)
    source.close()


@pytest.mark.parametrize("name", ["raw_lmdb", "raw_leveldb", "many_leveldb"])
def test_reading_goes_on_from_any_record_and_round_the_end(name: str, tmp_path: Path) -> None:
    source = opened(name, tmp_path)
    expected = np.load(FORMATS / "db" / f"{name}.npz")
    last = len(expected["label"]) - 1
    for start, count, after in (
        (13, 2, 15),
        (15, 1, 16),
        (last - 1, 5, 0),
        (0, 3, 3),
        (last, 1, 0),
        (4, 2, 6),
    ):
        records = source.read(start, count)
        assert records.next == after
        for i, image in enumerate(records.images):
            np.testing.assert_array_equal(image, expected["data"][start + i])
            assert records.labels[i] == expected["label"][start + i]
    source.close()


def test_a_leveldb_finds_out_about_its_length_in_reading(tmp_path: Path) -> None:
    source = opened("raw_leveldb", tmp_path)
    for _ in range(2):
        with pytest.raises(FileError, match="raw_leveldb: expected more than 20 records, got fewer"):
            source.read(20, 1)
    assert source.read(19, 2).next == 0
    source.close()


def test_only_databases_with_numbered_records_know_their_length(tmp_path: Path) -> None:
    assert len(opened("raw_lmdb", tmp_path)) == 20
    with pytest.raises(CaffeError, match="raw_leveldb: the number of records is not known"):
        len(opened("raw_leveldb", tmp_path))


# -- Datums of our own ---------------------------------------------------------------------------------------


def datum(label: int = 1, shape: tuple[int, int, int] = (1, 2, 3), **fields: Any) -> bytes:
    channels, height, width = shape
    pixels = bytes((label * 7 + i) % 256 for i in range(channels * height * width))
    values = {
        "channels": channels,
        "height": height,
        "width": width,
        "data": pixels,
        "label": label,
        **fields,
    }
    return bytes(caffe_pb2.Datum(**values).SerializeToString())


def database(folder: Path, values: list[bytes]) -> LmdbSource:
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(folder), map_size=1 << 26) as env, env.begin(write=True) as transaction:
        for i, value in enumerate(values):
            transaction.put(b"%04d" % i, value)
    return LmdbSource(folder)


def plain(value: bytes) -> tuple[np.ndarray, int]:
    """The Datum as protobuf reads it."""
    parsed = caffe_pb2.Datum.FromString(value)
    pixels = np.frombuffer(parsed.data, np.uint8) if parsed.data else np.array(parsed.float_data, np.float32)
    return pixels.reshape(parsed.channels, parsed.height, parsed.width), parsed.label


UNUSUAL_ORDER = datum(3)[6:] + datum(3)[:6]
TWO_LABELS = datum(3) + b"\x28\x05"


@pytest.mark.parametrize(
    "values",
    [
        [datum(i) for i in range(128)],
        [datum(128 + 31 * i) for i in range(100)],
        [datum(2**14 + 999 * i) for i in range(9)],
        [datum(i) for i in range(120, 140)],
        [datum(2**31 - 1 - i) for i in range(3)],
        [datum(2**25 + 2**i + 3) for i in range(24)],
        [datum(-1), datum(-3)],
        [datum(i, encoded=False) for i in range(5)],
        [datum(1), datum(2, encoded=False), datum(3, (1, 3, 2)), datum(4), datum(5, (2, 1, 3)), datum(6)],
        [datum(1), datum(2, data=b"", float_data=[1.5, 2, 3, 4, 5, -6])],
        [UNUSUAL_ORDER, UNUSUAL_ORDER],
        [datum(4), UNUSUAL_ORDER],
        [TWO_LABELS, datum(4), TWO_LABELS],
        [datum(4), b"\x0a\x00" + datum(300)],
        [datum(7, (3, 40, 50)), datum(8, (3, 40, 50))],
    ],
)
def test_reads_datums_as_protobuf_does(tmp_path: Path, values: list[bytes]) -> None:
    source = database(tmp_path, values)
    source.read(0, 1)
    records = source.read(0, len(values))
    for value, image, label in zip(values, records.images, records.labels, strict=True):
        expected, expected_label = plain(value)
        np.testing.assert_array_equal(image, expected)
        assert image.shape == expected.shape
        assert label == np.float32(expected_label)


def test_records_in_any_order(tmp_path: Path) -> None:
    records = database(tmp_path, [datum(i) for i in range(10)]).take(np.array([9, 0, 4]))
    np.testing.assert_array_equal(records.labels, [9, 0, 4])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b"garbage", "expected a Datum, got 7 bytes that are none"),
        (datum()[:-5], "expected a Datum, got 11 bytes that are none"),
        (b"\0" * 10, "expected a Datum, got 10 bytes that are none"),
        (b"", r"channels, height and width above 0, got \[0, 0, 0\]"),
        (datum(data=b"12345"), "expected 1 x 2 x 3 values in a Datum, got 5"),
        (datum(data=b""), "expected 1 x 2 x 3 values in a Datum, got 0"),
        (datum(shape=(-1, 2, 3), data=b"123456"), r"above 0, got \[-1, 2, 3\]"),
        (datum(channels=2**31 - 1, height=2**31 - 1, width=2**31 - 1), "values in a Datum, got 6"),
    ],
)
def test_damaged_records_are_named(tmp_path: Path, bad: bytes, message: str) -> None:
    source = database(tmp_path, [datum(), datum(), bad, datum()])
    source.read(0, 2)
    with pytest.raises(FileError, match=f"{tmp_path}, record 2 \\(key '0002'\\): .*{message}"):
        source.read(1, 3)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n truncated"])
def test_broken_encoded_images_are_named(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("cv2")
    source = database(tmp_path, [datum(data=content, encoded=True)])
    with pytest.raises(FileError, match=r"record 0 .*: expected an encoded image, got \d+ bytes that are none"):
        source.read(0, 1)


def test_images_with_sixteen_bits_are_refused(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    content = cv2.imencode(".png", np.ones((2, 2), np.uint16))[1].tobytes()
    source = database(tmp_path, [datum(data=content, encoded=True)])
    with pytest.raises(FileError, match="expected an image with 8 bits a channel, got uint16"):
        source.read(0, 1)


def test_colour_can_be_forced_on_encoded_images_only(tmp_path: Path) -> None:
    lines: list[str] = []
    log.set_sink(lines.append)
    log.set_level("W")
    database(tmp_path, [datum(1), datum(1)])
    LmdbSource(tmp_path, color=True).read(0, 2)
    assert len(lines) == 1
    assert "force_color and force_gray count for encoded images only" in lines[0]


# -- packages, folders and backends --------------------------------------------------------------------------


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.setitem(sys.modules, "plyvel", None)
    with pytest.raises(MissingExtra, match=r"pycaffe-lite\[images\]"):
        LmdbSource(FORMATS / "db" / "png_lmdb").read(0, 1)
    leveldb = caffe_pb2.DataParameter(source=str(FORMATS / "db" / "raw_leveldb"))
    with pytest.raises(MissingExtra, match=r"pycaffe-lite\[leveldb\]"):
        open_source(leveldb)


def open_text(source: Path | str, backend: str, folder: str = "") -> Source:
    value = caffe_pb2.DataParameter.DB.Value(backend)
    return open_source(caffe_pb2.DataParameter(source=str(source), backend=value), folder)


def test_sources_are_also_found_beside_the_file_that_names_them() -> None:
    for source in ("raw_lmdb", "raw_lmdb/data.mdb"):
        assert len(open_text(source, "LMDB", str(FORMATS / "db"))) == 20


def test_missing_source_says_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError, match=rf"{tmp_path}/nothing.*working folder"):
        open_text("nothing", "LMDB")
    with pytest.raises(CaffeError, match="source"):
        open_text("", "LMDB")


def test_wrong_backend_is_named(tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match="expected a source for backend: LEVELDB, got one for LMDB"):
        open_text(FORMATS / "db" / "raw_lmdb", "LEVELDB")
    with pytest.raises(CaffeError, match="expected a source for backend: LMDB, got one for LEVELDB"):
        open_text(FORMATS / "db" / "raw_leveldb", "LMDB")
    with pytest.raises(FileError, match=r"a folder with data\.mdb in it, got a folder without"):
        open_text(tmp_path, "LMDB")


def test_broken_leveldbs(tmp_path: Path) -> None:
    pytest.importorskip("plyvel")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match="a folder with a file CURRENT in it, got none"):
        open_text(tmp_path / "empty", "LEVELDB")
    folder = writable_copy("many_leveldb", tmp_path)
    table_file = next(folder.glob("*.ldb"))
    content = bytearray(table_file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    table_file.write_bytes(content)
    source = open_text(folder, "LEVELDB")
    for _ in range(2):
        with pytest.raises(FileError, match=r"damaged LevelDB: .*[cC]orrupt"):
            source.read(0, 1010)
    source.close()
    (folder / "CURRENT").write_text("nonsense")
    with pytest.raises(FileError, match="cannot be opened as a LevelDB"):
        open_text(folder, "LEVELDB")
