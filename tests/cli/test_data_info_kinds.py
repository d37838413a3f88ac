"""data-info of all that is no database: npz, csv and HDF5 files, lists, window files and means."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.data.sources.datum import float_labels_bytes
from pycaffe_lite.proto.caffe_pb2 import Datum
from rigs.data_tools import info, run, write_lmdb
from rigs.golden_formats import FORMATS


def words(lines: list[str], start: str) -> list[str]:
    """The words of the first line that begins so."""
    return next(line for line in lines if line.strip().startswith(start)).split()


def sheet_of(path: Path, *args: str | Path) -> np.ndarray:
    """A contact sheet's red, 0 to 255."""
    image_module = pytest.importorskip("matplotlib.image")
    info(*args, "-o", path)
    pixels: np.ndarray = np.rint(image_module.imread(path)[..., 0] * 255)
    return pixels


# -- arrays --------------------------------------------------------------------------------------------------


def test_an_npz_file(tmp_path: Path) -> None:
    images = np.arange(6 * 48 * 48).reshape(6, 48, 48).astype(np.uint8)
    np.savez(tmp_path / "a.npz", data=images, label=np.arange(6) % 2)
    lines = info(tmp_path / "a.npz", "-n", "1")
    assert lines[0] == f"{tmp_path}/a.npz: npz file, 6 records"
    assert words(lines, "1 x 48 x 48 uint8")[6:9] == ["6", "100.0", "%"]
    assert "Labels: 2 different, 0 to 1" in lines
    assert lines[-1] == "  0  label 0  1 x 48 x 48 uint8, values 0 to 255, mean 127.5"
    sheet = sheet_of(tmp_path / "sheet.png", tmp_path / "a.npz", "--images", "2")
    np.testing.assert_array_equal(sheet[4:52, 4:52], images[0])
    np.testing.assert_array_equal(sheet[4:52, 56:104], images[1])


def test_a_csv_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("".join(f"{i % 3},{i},0,0,9\n" for i in range(9)))
    lines = info(tmp_path / "a.csv", "-n", "1")
    assert lines[0] == f"{tmp_path}/a.csv: csv file, 9 records"
    assert "Labels: 3 different, 0 to 2" in lines
    assert lines[-1] == "  0  label 0  4 x 1 x 1 float32, values 0 to 9, mean 2.25"
    assert sheet_of(tmp_path / "sheet.png", tmp_path / "a.csv", "--images", "1")[:52, :52].shape == (52, 52)
    (tmp_path / "b.csv").write_text("x,y\n1,2\n")
    output = run("data-info", tmp_path / "b.csv").output
    assert "Without labels: " in output
    assert "Labels:" not in output
    (tmp_path / "b.csv").write_text("1,2\n1\n")
    output = run("data-info", tmp_path / "b.csv", status=1).output
    assert output == f"Error: {tmp_path}/b.csv:2: expected 2 numbers, as line 1 has, got 1.\n"


def test_several_labels_and_fractions(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", data=np.zeros((4, 2)), label=np.array([[1, 0.5], [0, 0.5], [1, 0.5], [1, 2.5]]))
    lines = info(tmp_path / "a.npz", "-n", "1")
    at = lines.index("Labels: 2 for each record")
    assert lines[at + 1 : at + 3] == [
        "  label 0: 2 different, 0 to 1, mean 0.75",
        "  label 1: 2 different, 0.5 to 2.5, mean 1",
    ]
    assert lines[-1].startswith("  0  labels 1 0.5  2 x 1 x 1 float64")
    np.savez(tmp_path / "a.npz", data=np.zeros((20, 2)), label=np.arange(20) / 2)
    lines = info(tmp_path / "a.npz")
    assert words(lines, "0 to 0.95")[3:6] == ["2", "10.0", "%"]
    assert words(lines, "8.55 to 9.5")[3:6] == ["2", "10.0", "%"]


def test_datums_with_several_labels(tmp_path: Path) -> None:
    plain = bytes(Datum(channels=1, height=1, width=1, data=b"x").SerializeToString())
    write_lmdb(tmp_path / "db", [plain + float_labels_bytes((i, 0.25)) for i in range(3)] + [plain])
    lines = info(tmp_path / "db")
    assert words(lines, "1 x 1 x 1 uint8, 2 labels")[8:10] == ["3", "75.0"]
    assert words(lines, "1 x 1 x 1 uint8  1")[6:8] == ["1", "25.0"]
    assert "Labels: 2 for each record" in lines
    assert any(line.startswith("  0001  labels 1 0.25  1 x 1 x 1 uint8, values 120 to 120") for line in lines)


# -- HDF5 files ----------------------------------------------------------------------------------------------


def test_hdf5_files_and_lists(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    images = np.arange(4 * 48 * 48).reshape(4, 1, 48, 48).astype(np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = images
        file["label"] = np.array([2, 0, 2, 2], np.float32)
        file["group/more"] = np.zeros((3, 5), np.int16)
        file["text"] = "some"
    (tmp_path / "list.txt").write_text("a.h5\na.h5\n")
    for name, kind, times in (("a.h5", "HDF5 file", 1), ("list.txt", "list of HDF5 files", 2)):
        lines = info(tmp_path / name, "-n", "2")
        assert lines[0] == f"{tmp_path}/{name}: {kind}, {4 * times} records"
        assert words(lines, "data:")[1:9] == ["1", "x", "48", "x", "48", "uint8", str(4 * times), "100.0"]
        assert words(lines, "group/more:")[1:4] == ["5", "int16", str(3 * times)]
        assert "Labels: 2 different, 0 to 2" in lines
        assert words(lines, "2  ")[1:3] == [str(3 * times), "75.0"]
        assert lines[-1].startswith("  1  label 0  1 x 48 x 48 uint8, values 0 to 255")
    np.testing.assert_array_equal(
        sheet_of(tmp_path / "sheet.png", tmp_path / "list.txt", "--images", "6")[4:52, 4:52], images[0, 0]
    )


def test_hdf5_files_that_are_damaged_or_promise_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("label", (2**40,), np.float32, chunks=(1024,))
    assert (
        "expected the values of dataset /label, 4398046511104 bytes, got 0" in run("data-info", path, status=1).output
    )
    with h5py.File(path, "w") as file:
        file["data"] = np.random.default_rng(1).random((40, 30))
    path.write_bytes(path.read_bytes()[:3000])
    result = run("data-info", path, status=1)
    assert f"Error: {path}: expected an HDF5 file that can be read: " in result.output
    assert result.output.count("\n") == 1
    with h5py.File(path, "w"):
        pass
    assert "expected an HDF5 file with datasets, got one without" in run("data-info", path, status=1).output
    (tmp_path / "list.txt").write_text("b.h5\n")
    problem = f'There is no HDF5 file "b.h5": looked for {Path.cwd()}/b.h5 and {tmp_path}/b.h5 from the working folder'
    assert problem in run("data-info", tmp_path / "list.txt", status=1).output
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert "pip install 'pycaffe-lite[hdf5]'" in run("data-info", path, status=1).output


# -- images in files of their own ----------------------------------------------------------------------------


def test_a_list_of_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    monkeypatch.chdir(FORMATS)
    lines = info("images.txt", "--root_folder", "images/", "-n", "2")
    assert lines[0] == "images.txt: list of images, 20 records"
    assert words(lines, "png file")[2:5] == ["20", "100.0", "%"]
    assert "Labels: 10 different, 0 to 9" in lines
    assert lines[-1].startswith("  img01.png  label 8  375 bytes, 3 x 10 x 12 uint8, values 6 to 228")
    assert sheet_of(tmp_path / "sheet.png", "images.txt", "--root_folder", "images/", "--images", "1").shape[1] == 56


def test_missing_and_damaged_images_of_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.png").write_bytes(b"no image")
    (tmp_path / "list.txt").write_text("bad.png 1 0.5\nno.jpg 0 2\nno.png 1 1\n")
    lines = info("list.txt", "--label-dim", "2")
    assert words(lines, "missing")[1:3] == ["2", "66.7"]
    assert (
        f"Missing: 2 of 3 files, the first of them no.jpg ({tmp_path}/no.jpg), looked for from the working folder "
        f"{tmp_path}" in lines
    )
    assert lines[-3:] == [
        "  bad.png  labels 1 0.5  no image",
        "  no.jpg  labels 0 2  missing",
        "  no.png  labels 1 1  missing",
    ]
    result = run("data-info", "list.txt", "--label-dim", "2", "-o", "sheet.png", status=1)
    assert "Error: There is no image to put on a contact sheet." in result.output
    (tmp_path / "list.txt").write_text("a.png 1 0\n")
    assert any(line.endswith("; --label-dim tells how many labels a line has") for line in info("list.txt"))
    (tmp_path / "list.txt").write_text("a.png 1\nb.png x\n")
    assert "list.txt:2: expected the name of an image" in run("data-info", "list.txt", status=1).output


def test_lists_without_opencv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.chdir(FORMATS)
    assert info("images.txt", "--root-folder", "images/", "-n", "1")[-1] == "  img00.png  label 8  397 bytes"
    result = run("data-info", "images.txt", "--root-folder", "images/", "-o", tmp_path / "sheet.png", status=1)
    assert "pip install 'pycaffe-lite[images]'" in result.output


def test_a_window_file(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    windows = "3\n2 0.9 0 0 5 5\n1 0.5 0 0 5 5\n1 0.2 1 1 4 4\n"
    text = f"# 0\n{FORMATS}/images/img00.png\n3 10 12\n{windows}# 1\nno.png\n3 5 5\n0\n"
    (tmp_path / "windows.txt").write_text(text)
    lines = info(tmp_path / "windows.txt")
    assert lines[0] == f"{tmp_path}/windows.txt: window file, 2 records"
    assert "Windows: 2 foreground (overlap 0.5 or more), 1 background" in lines
    assert "Labels: 3 different, 0 to 2" in lines
    assert words(lines, "0  ")[1:3] == ["1", "33.3"]
    assert lines[-2].startswith(f"  {FORMATS}/images/img00.png  3 windows, 397 bytes, 3 x 10 x 12 uint8")
    assert lines[-1] == "  no.png  0 windows, missing"


def test_a_mean_image(tmp_path: Path) -> None:
    lines = info(FORMATS / "mean" / "float.binaryproto")
    assert lines[0].endswith("float.binaryproto: mean image, 1 records")
    assert lines[-1] == "  0  2 x 3 x 4 float32, values -3.05192 to 2.25572, mean -0.195892"
    assert sheet_of(tmp_path / "sheet.png", FORMATS / "mean" / "float.binaryproto").shape == (44, 56)
