"""convert-imageset: the records Caffe's own tool wrote, from the same images with the same options."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite.data.sources.datum import DatumSource
from pycaffe_lite.proto.caffe_pb2 import Datum
from rigs.data_tools import files_in, messages, records, run
from rigs.golden_formats import FORMATS, table

CASES = {name: case for name, case in table("db.json").items() if case["made_by"].startswith("convert_imageset")}
# Another OpenCV, or JPEG library in it, may give other bytes for the same picture.
DECODED = {"jpg_lmdb", "png_gray_resized_lmdb", "big_lmdb", "resized_lmdb"}


@pytest.fixture(autouse=True)
def in_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FORMATS)


def convert(*args: str | Path, status: int = 0) -> Any:
    pytest.importorskip("cv2")
    return run("convert-imageset", *args, status=status)


@pytest.mark.parametrize("name", CASES)
def test_records_are_those_of_caffe(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    pytest.importorskip({"lmdb": "lmdb", "leveldb": "plyvel"}[case["backend"]])
    pytest.importorskip("cv2")
    result = run(*shlex.split(case["made_by"]), tmp_path / name)
    logged = [line[2:].replace(str(tmp_path), "db") for line in messages(result)]
    assert logged == case["log"]
    written = records(tmp_path / name)
    check_fields(written, case["records"], name)
    check_pixels([value for _, value in written], name)


def check_fields(written: list[tuple[bytes, bytes]], expected: Any, name: str) -> None:
    if isinstance(expected, dict):
        assert len(written) == expected["count"]
        assert hashlib.md5(b"".join(key + value for key, value in written)).hexdigest() == expected["md5_of_all"]
        written, expected = [written[0], written[-1]], [expected["first"], expected["last"]]
    for (key, value), record in zip(written, expected, strict=True):
        datum = Datum.FromString(value)
        assert key.decode() == record["key"]
        assert hashlib.md5(value).hexdigest() == record["md5"] or name in DECODED
        for field in ("channels", "height", "width", "label", "encoded"):
            assert getattr(datum, field) == record[field]
        assert datum.encoded or len(datum.data) == record["data_bytes"]


def check_pixels(values: list[bytes], name: str) -> None:
    expected = np.load(FORMATS / "db" / f"{name}.npz")
    records = DatumSource(name, None).parse(values, range(len(values)))
    np.testing.assert_array_equal(records.labels, expected["label"])
    tolerance = 2 if name in ("jpg_lmdb", "mixed_lmdb", "big_lmdb", "resized_lmdb") else 0
    for image, pixels in zip(records.images, expected["data"], strict=True):
        np.testing.assert_allclose(image.astype(int), pixels, rtol=0, atol=tolerance)


def test_flags_as_gflags_has_them(tmp_path: Path) -> None:
    pytest.importorskip("lmdb")
    convert("-gray=true", "-nogray=false", "images", "gray.txt", tmp_path / "none", status=2)
    convert("-gray=true", "-encoded=false", "-noshuffle", "-backend=lmdb", "images", "gray.txt", tmp_path / "db")
    check_fields(records(tmp_path / "db"), CASES["gray_lmdb"]["records"], "gray_lmdb")


def test_shuffle(tmp_path: Path) -> None:
    pytest.importorskip("lmdb")
    orders = []
    for i, seed in enumerate((["--seed", "1"], ["--seed", "1"], ["--seed", "2"], [])):
        result = convert("images", "images.txt", tmp_path / str(i), "--shuffle", *seed)
        assert messages(result)[0] == "I Shuffling data"
        keys = [key for key, _ in records(tmp_path / str(i))]
        assert [key[:9] for key in keys] == [b"%08d_" % number for number in range(20)]
        orders.append([key[9:] for key in keys])
    assert orders[0] == orders[1]
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == [b"img%02d.png" % i for i in range(20)] for order in orders)


def test_one_size_alone_is_passed_over_with_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("lmdb")
    result = convert("images", "images.txt", tmp_path / "db", "--resize_height", "5")
    assert "W Only one of --resize_height and --resize_width is above 0" in messages(result)[1]
    check_fields(records(tmp_path / "db"), CASES["raw_lmdb"]["records"], "raw_lmdb")


def test_check_size_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("lmdb")
    (tmp_path / "list.txt").write_text("img00.png 1\nother_size.png 2\n")
    result = convert("images", tmp_path / "list.txt", tmp_path / "db", "--check_size", status=1)
    assert "Error: images/other_size.png: expected shape [3, 10, 12]" in result.output
    assert files_in(tmp_path) == {"list.txt"}


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (("images", "no.txt"), 'Error: There is no list of images "no.txt": looked for {cwd}/no.txt from the working'),
        (("no", "images.txt"), 'Error: There is no root folder of images "no": looked for {cwd}/no from the working'),
        (("images", "db.json"), "Error: db.json:1: expected the name of an image, a space and its label"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, args: tuple[str, ...], problem: str) -> None:
    result = run("convert-imageset", *args, tmp_path / "db", status=1)
    assert result.output.startswith(problem.format(cwd=FORMATS))
    assert result.output.count("\n") == 1
    assert files_in(tmp_path) == set()


def test_an_existing_target_is_refused_first(tmp_path: Path) -> None:
    result = run("convert-imageset", "no", "no.txt", tmp_path, status=1)
    assert f"got one that is there already ({tmp_path})" in result.output


@pytest.mark.parametrize(
    "args",
    [
        ("images", "images.txt"),
        ("images", "images.txt", "db", "--backend", "hdf5"),
        ("images", "images.txt", "db", "--seed=1"),
    ],
)
def test_wrong_usage(args: tuple[str, ...]) -> None:
    run("convert-imageset", *args, status=2)


def test_several_labels_are_written_as_floats(tmp_path: Path) -> None:
    pytest.importorskip("lmdb")
    (tmp_path / "list.txt").write_text("img00.png 1 0 0.5\nimg01.png 0 1 -2\n")
    convert("images", tmp_path / "list.txt", tmp_path / "one", status=1)
    for name, more in (("plain", []), ("files", ["--encoded"])):
        convert("images", tmp_path / "list.txt", tmp_path / name, "--label_dim=3", *more)
        values = [value for _, value in records(tmp_path / name)]
        parsed = [Datum.FromString(value) for value in values]
        assert [datum.encoded for datum in parsed] == [bool(more)] * 2
        assert not any(datum.HasField("label") for datum in parsed)  # Caffe takes 0
        read = DatumSource(name, None).parse(values, range(2))
        np.testing.assert_array_equal(read.labels, [[1, 0, 0.5], [0, 1, -2]])
        assert read.images[1].shape == (3, 10, 12)


def test_one_real_label_or_none_a_line(tmp_path: Path) -> None:
    pytest.importorskip("lmdb")
    (tmp_path / "list.txt").write_text("img00.png 0.5\nimg01.png -2\n")
    refused = convert("images", tmp_path / "list.txt", tmp_path / "one", status=1)
    assert "got 'img00.png 0.5'; label_dim: 1, or --label-dim 1, takes a real number" in refused.output
    convert("images", tmp_path / "list.txt", tmp_path / "one", "--label-dim=1")
    read = DatumSource("one", None).parse([value for _, value in records(tmp_path / "one")], range(2))
    np.testing.assert_array_equal(read.labels, [0.5, -2])
    (tmp_path / "list.txt").write_text("img00.png\nimg01.png\n")
    result = convert("images", tmp_path / "list.txt", tmp_path / "none")
    assert "list.txt: 2 of 2 lines have no label and get 0, as in Caffe." in result.output
    assert [Datum.FromString(value).label for _, value in records(tmp_path / "none")] == [0, 0]


def test_help_says_who_reads_several_labels() -> None:
    assert "Caffe itself reads 0" in " ".join(run("convert-imageset", "--help").output.split())
