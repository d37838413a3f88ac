"""compute-image-mean: the files and log lines of Caffe's own tool."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.data.transformer import read_mean
from pycaffe_lite.proto.caffe_pb2 import BlobProto, Datum
from pycaffe_lite.tools import means as compute_mean
from pycaffe_lite.tools.databases import write_database
from pycaffe_lite.tools.means import MeanImage
from rigs.data_tools import files_in, messages, run
from rigs.golden_formats import FORMATS, table, writable_copy
from rigs.idx_files import write_idx

CASES = table("mean/mean.json")
PACKAGES = {"png": "cv2", "jpg": "cv2", "leveldb": "plyvel"}


@pytest.mark.parametrize("name", CASES)
def test_means_are_those_of_caffe(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name in PACKAGES:
        pytest.importorskip(PACKAGES[name])
    writable_copy(CASES[name]["source"].removeprefix("db/"), tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mean").mkdir()
    target = f"mean/{name}.binaryproto"
    result = run("compute_image_mean", CASES[name]["source"], target)
    expected = (FORMATS / target).read_bytes()
    if name == "jpg":
        np.testing.assert_allclose(read_mean(Path(target)), read_mean(FORMATS / target), rtol=0, atol=2)
    else:
        assert Path(target).read_bytes() == expected
        assert [line[2:] for line in messages(result)] == CASES[name]["log"]
    blob = BlobProto.FromString(Path(target).read_bytes())
    assert [blob.num, blob.channels, blob.height, blob.width] == CASES[name]["shape"]
    assert not blob.HasField("shape")


def test_the_file_may_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = messages(run("compute-image-mean", "-backend=lmdb", FORMATS / "db" / "float_lmdb"))
    assert [line[2:] for line in lines[1:]] == [line for line in CASES["float"]["log"][1:] if "Write" not in line]
    assert files_in(tmp_path) == set()


def test_the_kind_is_seen_from_the_files(tmp_path: Path) -> None:
    images = write_idx(tmp_path / "images", np.arange(24).reshape(4, 2, 3))
    run("compute-image-mean", images, tmp_path / "mean")
    np.testing.assert_array_equal(read_mean(tmp_path / "mean"), np.arange(9, 15).reshape(1, 2, 3))


def test_sums_are_float32_in_the_order_of_the_records() -> None:
    mean = MeanImage()
    for value in (2**24, 1, 1, 1, 5):
        mean.add(np.full((1, 1, 1), value, np.float32))
    # In float32 2**24 + 1 is 2**24 again; added up otherwise they would count.
    assert mean.result().item() == np.float32(2**24 + 4) / np.float32(5)


def test_logs_every_ten_thousand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute_mean, "_LOGGED", 3)
    counts = []
    for count in (7, 6):
        images = write_idx(tmp_path / "images", np.ones((count, 2, 3)))
        lines = messages(run("compute-image-mean", images))
        counts.append([line.split()[2] for line in lines if "Processed" in line])
    assert counts == [["3", "6", "7"], ["3", "6"]]


def test_an_existing_file_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mean").write_text("old")
    run("compute-image-mean", FORMATS / "db" / "raw_lmdb", tmp_path / "mean", "--quiet")
    assert (tmp_path / "mean").read_bytes() == (FORMATS / "mean" / "raw.binaryproto").read_bytes()
    assert files_in(tmp_path) == {"mean"}


def datum(width: int = 3, data: bytes = b"123456", **fields: object) -> bytes:
    return bytes(Datum(channels=1, height=2, width=width, data=data, **fields).SerializeToString())


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (
            [datum(), datum(2, b"1234")],
            r"record 1 (key 'b'): expected shape [1, 2, 3], as the first image has, got [1, ",
        ),
        ([datum(), b"garbage"], "record 1 (key 'b'): expected a Datum, got 7 bytes that are none"),
        ([b"garbage"], "record 0 (key 'a'): expected a Datum"),
        ([datum(), datum(data=b"1")], "record 1 (key 'b'): expected 1 x 2 x 3 values in a Datum, got 1"),
    ],
)
def test_bad_records_are_named(tmp_path: Path, values: list[bytes], problem: str) -> None:
    pytest.importorskip("lmdb")
    write_database(str(tmp_path / "db"), "lmdb", zip([b"a", b"b"], values, strict=False))
    result = run("compute-image-mean", tmp_path / "db", tmp_path / "mean", status=1)
    assert f"Error: {tmp_path}/db, {problem}" in result.output
    assert files_in(tmp_path) == {"db"}


def test_bad_paths_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    database = FORMATS / "db" / "raw_lmdb"
    for args, problem in (
        (("no",), f'no data source "no": looked for {tmp_path}/no from the working folder {tmp_path}'),
        ((tmp_path,), "expected a database, a folder with data.mdb (LMDB) or CURRENT (LevelDB) in it"),
        ((database, "no/mean"), f'Cannot write "no/mean": there is no folder {tmp_path}/no (the working folder is'),
        ((database, tmp_path), "that is no file"),
        ((database, "--backend", "leveldb"), "expected a source for backend: LEVELDB, got one for LMDB"),
        (("/dev/zero",), "/dev/zero: expected a database's folder or a file of data, got neither"),
        ((FORMATS / "hdf5" / "one.h5",), "expected a source for a Data layer, got an HDF5 file"),
    ):
        result = run("compute-image-mean", *args, status=1)
        assert problem in result.output
        assert result.output.count("\n") == 1


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.setitem(sys.modules, "plyvel", None)
    assert "pycaffe-lite[images]" in run("compute-image-mean", FORMATS / "db" / "png_lmdb", status=1).output
    assert "pycaffe-lite[leveldb]" in run("compute-image-mean", FORMATS / "db" / "raw_leveldb", status=1).output
