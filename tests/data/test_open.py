"""What a path holds, and errors for a backend that does not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.data.open import kind_of, open_kind, open_source
from pycaffe_lite.errors import FileError
from pycaffe_lite.proto.caffe_pb2 import DataParameter
from rigs.golden_formats import FORMATS, writable_copy
from rigs.idx_files import write_idx


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("db/raw_lmdb", "lmdb"),
        ("db/raw_lmdb/data.mdb", "lmdb"),
        ("db/raw_leveldb", "leveldb"),
        ("db/raw_leveldb/CURRENT", "leveldb"),
        ("db/raw_lmdb.npz", "npz"),
        ("images.txt", "image list"),
        ("hdf5/one.h5", "hdf5"),
        ("hdf5/list.txt", "hdf5 list"),
        ("mean/raw.binaryproto", "mean"),
    ],
)
def test_kinds_of_files_that_are_there(path: str, kind: str) -> None:
    assert kind_of(str(FORMATS / path)) == kind


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a", b"\0\0\x08\x03", "idx"),
        ("a", b"\x1f\x8b\x08", "idx"),
        ("a.csv", b"anything", "csv"),
        ("a.txt", b"1,2,3\n", "csv"),
        ("a.txt", b"1, 2, 3\n", "csv"),
        ("a.txt", b'"label","x y"\n', "csv"),
        ("a.txt", b"\xef\xbb\xbf\n\nmy photo 3\n", "image list"),
        ("a.txt", b"a/photo.JPG\n", "image list"),
        ("a.txt", b"a,b.png 0.5 1e3\n", "image list"),
        ("a.txt", b"caf\xe9.png -1\n", "image list"),
        ("a.txt", b"# 0\nname\n", "window file"),
        ("a.txt", b"  x.HDF5\ty.h5\n", "hdf5 list"),
    ],
)
def test_kinds_of_contents(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert kind_of(str(tmp_path / name)) == kind


@pytest.mark.parametrize(
    "content", [b"", b" \n\n", b"layer {\n", b"a.png 1\0\n", b"\0\0\x0a\x03", bytes(range(256)) * 9]
)
def test_contents_of_no_kind(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(FileError, match=rf"a: expected a database, an IDX, .* got none of these \({tmp_path}/a\)\."):
        kind_of(str(tmp_path / "a"))


def open_as(backend: str, path: Path) -> None:
    open_source(DataParameter(source=str(path), backend=DataParameter.DB.Value(backend))).close()


@pytest.mark.parametrize("backend", ["LMDB", "LEVELDB", "IDX", "NPZ", "CSV"])
def test_the_right_backend_is_named(tmp_path: Path, backend: str) -> None:
    np.savez(tmp_path / "a.npz", data=np.zeros((2, 2)), label=np.zeros(2))
    (tmp_path / "a.csv").write_text("1,2\n")
    write_idx(tmp_path / "images", np.zeros((2, 2, 2)))
    write_idx(tmp_path / "labels", np.zeros(2))
    sources = {"LMDB": FORMATS / "db" / "raw_lmdb", "LEVELDB": writable_copy("raw_leveldb", tmp_path)}
    sources |= {"IDX": tmp_path / "images", "NPZ": tmp_path / "a.npz", "CSV": tmp_path / "a.csv"}
    for right, path in sources.items():
        if right == backend:
            if right != "LEVELDB":
                open_as(backend, path)
            continue
        problem = f"source for backend: {backend}, got one for {right}"
        with pytest.raises(FileError, match=f"{path.name}: expected a {problem}"):
            open_as(backend, path)


@pytest.mark.parametrize(
    ("path", "reader"),
    [
        ("hdf5/one.h5", "an HDF5 file, which an HDF5Data layer reads"),
        ("hdf5/list.txt", "a list of HDF5 files, which an HDF5Data layer reads"),
        ("images.txt", "a list of images, which an ImageData layer reads"),
        ("mean/raw.binaryproto", "a mean image, which transform_param"),
    ],
)
def test_the_right_layer_is_named(path: str, reader: str) -> None:
    with pytest.raises(FileError, match=f"{path}: expected a source for backend: LMDB, got {reader}"):
        open_as("LMDB", FORMATS / path)
    with pytest.raises(FileError, match=f"{path}: expected a source for a Data layer, got {reader}"):
        open_kind(str(FORMATS / path), kind_of(str(FORMATS / path)))


def test_files_of_databases_stand_for_them(tmp_path: Path) -> None:
    open_as("LMDB", FORMATS / "db" / "raw_lmdb" / "data.mdb")
    with pytest.raises(FileError, match=r"data.mdb: expected a source for backend: LEVELDB, got one for LMDB"):
        open_as("LEVELDB", FORMATS / "db" / "raw_lmdb" / "data.mdb")
    pytest.importorskip("plyvel")
    open_as("LEVELDB", writable_copy("raw_leveldb", tmp_path) / "CURRENT")
