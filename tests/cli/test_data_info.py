"""data-info: what it tells of sources, and its contact sheet."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.proto.caffe_pb2 import Datum
from pycaffe_lite.tools.databases import write_database
from rigs.data_tools import files_in, info, run
from rigs.golden_formats import FORMATS, writable_copy
from rigs.idx_files import write_idx


@pytest.fixture(autouse=True)
def in_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FORMATS)


def test_an_lmdb() -> None:
    lines = info("db/raw_lmdb", "-n", "2")
    assert lines[0] == "db/raw_lmdb: LMDB, 20 records"
    assert lines[2].startswith("  3 x 10 x 12 uint8  20  100.0 %  ")
    assert lines[3] == "Labels: 10 different, 0 to 9"
    bars = {line.split()[0]: line.split() for line in lines[4:14]}
    assert bars["2"][1:4] == ["5", "25.0", "%"]
    assert len(bars["2"][4]) == 40
    assert len(bars["1"][4]) == 8
    assert lines[14] == "First records:"
    assert lines[15] == "  00000000_img00.png  label 8  3 x 10 x 12 uint8, values 0 to 223, mean 86.0167"
    assert len(lines) == 17


def test_a_leveldb(tmp_path: Path) -> None:
    pytest.importorskip("plyvel")
    folder = writable_copy("many_leveldb", tmp_path)
    lines = info(folder)
    assert lines[0] == f"{folder}: LevelDB, 1010 records"
    assert "Labels: 1010 different, 0 to 1009" in lines
    assert any(line.endswith(" and 1000 more, of 1 to 1 records each") for line in lines)
    assert lines[-1] == "  00000004_img04.png  label 4  1 x 8 x 8 uint8, values 93 to 193, mean 155.234"
    assert len(lines) == 21


def test_floats_and_mixed_shapes(tmp_path: Path) -> None:
    lines = info("db/float_lmdb", "-n", "1")
    assert lines[2].split("  ")[1] == "2 x 3 x 4 float32"
    assert lines[3] == "Labels: 8 different, -1 to 864"
    pytest.importorskip("lmdb")
    values = [Datum(channels=1, height=1, width=w, data=b"x" * w).SerializeToString() for w in (1, 2, 2)]
    write_database(str(tmp_path / "db"), "lmdb", zip([b"\x1b[2J\na", b"b", b"c"], values, strict=True))
    assert info(tmp_path / "db", "-n", "1")[-1].startswith("  ?[2J?a  label 0  ")
    lines = info(tmp_path / "db", "-n", "0")
    assert [line.split("  ")[1:3] for line in lines[2:4]] == [["1 x 1 x 2 uint8", "2"], ["1 x 1 x 1 uint8", "1"]]
    assert "First records:" not in lines


def test_image_files() -> None:
    pytest.importorskip("cv2")
    lines = info("db/mixed_lmdb")
    assert [" ".join(line.split()[:3]) for line in lines[2:4]] == ["JPEG file 2", "PNG file 1"]
    assert "  00000000_colour.png  label 0  PNG file, 4035 bytes, 3 x 38 x 46 uint8, values 0 to 255" in lines[-3]


def test_image_files_without_opencv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    lines = info("db/mixed_lmdb")
    assert lines[-3] == "  00000000_colour.png  label 0  PNG file, 4035 bytes"
    result = run("data-info", "db/mixed_lmdb", "-o", tmp_path / "sheet.png", status=1)
    assert "Encoded images need an extra package: pip install 'pycaffe-lite[images]'." in result.output


def test_idx_files(tmp_path: Path) -> None:
    images = write_idx(tmp_path / "a-images-idx3-ubyte", np.arange(600 * 6).reshape(600, 2, 3))
    labels = write_idx(tmp_path / "a-labels-idx1-ubyte", np.arange(600) % 2)
    lines = info(images, "-n", "1")
    assert lines[0] == f"{images}: IDX file, 600 records"
    assert lines[3] == "Labels: 2 different, 0 to 1"
    assert lines[4].split()[:4] == ["0", "300", "50.0", "%"]
    assert lines[-1] == "  0  label 0  1 x 2 x 3 uint8, values 0 to 5, mean 2.5"
    labels.unlink()
    result = run("data-info", images, "-n", "1")
    assert "Without labels: " in result.output
    assert "Labels:" not in result.output
    assert result.output.splitlines()[-1] == "  0  1 x 2 x 3 uint8, values 0 to 5, mean 2.5"


def test_bars_of_plain_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pycaffe_lite_cli.data_info.report.can_show", lambda text: False)
    assert info("db/raw_lmdb")[2].endswith("#" * 40)


@pytest.mark.parametrize(
    ("args", "status", "problem"),
    [
        (("no",), 1, 'no data source "no": looked for {cwd}/no from the working folder {cwd}'),
        (("images",), 1, "images: expected a database, a folder with data.mdb (LMDB) or CURRENT (LevelDB) in it"),
        (
            ("db.json",),
            1,
            "db.json: expected a database, an IDX, npz, csv or HDF5 file, a list of images or HDF5 files",
        ),
        (("/dev/zero",), 1, "expected a database's folder or a file of data, got neither"),
        (("db/raw_lmdb", "-o", "sheet.jpg"), 2, "-o needs a file name that ends in .png; got sheet.jpg"),
        (("db/raw_lmdb", "-o", "no/sheet.png"), 1, 'Cannot write "no/sheet.png": there is no folder {cwd}/no'),
        (("db/raw_lmdb", "-n", "-1"), 2, "-1"),
    ],
)
def test_what_is_refused(args: tuple[str, ...], status: int, problem: str) -> None:
    assert problem.format(cwd=FORMATS) in run("data-info", *args, status=status).output


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (b"garbage", "record 1 (key 'b'): expected a Datum, got 7 bytes that are none"),
        (Datum(channels=1, height=1, width=5, data=b"x").SerializeToString(), "expected 1 x 1 x 5 values in a Datum"),
    ],
)
def test_bad_records_are_named(tmp_path: Path, bad: bytes, problem: str) -> None:
    pytest.importorskip("lmdb")
    good = Datum(channels=1, height=1, width=1, data=b"x").SerializeToString()
    write_database(str(tmp_path / "db"), "lmdb", [(b"a", good), (b"b", bad)])
    assert problem in run("data-info", tmp_path / "db", status=1).output


def test_a_truncated_database_is_named(tmp_path: Path) -> None:
    folder = Path(shutil.copytree("db/many_lmdb", tmp_path / "db"))
    content = (folder / "data.mdb").read_bytes()
    (folder / "data.mdb").write_bytes(content[: len(content) // 2])
    assert "truncated" in run("data-info", folder, status=1).output


def test_contact_sheets(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    image_module = pytest.importorskip("matplotlib.image")
    info("db/raw_lmdb", "-o", tmp_path / "sheet.png", "--images", "6", "--rgb")
    sheet = image_module.imread(tmp_path / "sheet.png")[..., :3]
    # Three columns and two rows of images of 10 x 12, four times as large, each above its label.
    row = (sheet.shape[0] - 4) // 2
    assert 40 + 4 + 8 + 4 < row < 40 + 4 + 24 + 4
    assert sheet.shape[1:] == (3 * (48 + 4) + 4, 3)
    expected = np.load("db/raw_lmdb.npz")["data"][4].transpose(1, 2, 0)
    found = np.rint(sheet[4 + row :, 4 + 52 :][:40:4, :48:4] * 255)
    np.testing.assert_array_equal(found, expected)
    assert files_in(tmp_path) == {"sheet.png"}
