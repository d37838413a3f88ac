"""Single damages of sources that chance meets seldom, and what would come of them."""

from __future__ import annotations

import gzip
import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.data.sources.hdf5 import RowFile, read_hdf5_list
from pycaffe_lite.data.sources.idx import IdxFile
from pycaffe_lite.data.sources.image_list import ImageListSource
from pycaffe_lite.data.sources.leveldb import LeveldbSource
from pycaffe_lite.data.sources.lmdb import LmdbFile
from pycaffe_lite.data.transformer import read_mean
from pycaffe_lite.errors import FileError
from pycaffe_lite.proto.caffe_pb2 import BlobProto
from rigs.golden_formats import FORMATS

# -- pipes and devices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("opened", [IdxFile, LmdbFile, read_mean, lambda path: RowFile(str(path), ["data"])])
def test_pipes_are_refused_not_waited_for(tmp_path: Path, opened: object) -> None:
    pytest.importorskip("h5py")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(FileError, match=f"^{path}: expected .*, got no plain file"):
            opened(path)  # type: ignore[operator]


# -- LevelDB -------------------------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The one table of a LevelDB."""
    pytest.importorskip("plyvel")
    shutil.copytree(FORMATS / "db" / "raw_leveldb_table", tmp_path / "db")
    return tmp_path / "db" / "000005.ldb"


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_the_end_of_a_leveldbs_table_may_not_lead_out_of_it(table: Path, place: int) -> None:
    data = table.read_bytes()
    handles = [b"\x0a"] * 4
    handles[place] = b"\xff" * 8 + b"\x0f"
    table.write_bytes(data[:-48] + b"".join(handles).ljust(40, b"\0") + data[-8:])
    with pytest.raises(FileError, match=r"db: damaged LevelDB: the end of 000005\.ldb leads beyond it"):
        LeveldbSource(table.parent)


def test_a_changed_byte_of_a_leveldb_is_noticed(table: Path) -> None:
    data = table.read_bytes()
    for at in (100, len(data) // 2, len(data) - 100):
        table.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
        with pytest.raises(FileError, match=r"db: .*(LevelDB|records)"):
            LeveldbSource(table.parent).read(0, 20)


def test_a_changed_byte_of_a_leveldbs_log_is_noticed(tmp_path: Path) -> None:
    """LevelDB itself would leave these records out, and say nothing."""
    pytest.importorskip("plyvel")
    shutil.copytree(FORMATS / "db" / "raw_leveldb", tmp_path / "db")
    path = tmp_path / "db" / "000003.log"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(FileError, match="cannot be opened as a LevelDB: Corruption: checksum mismatch"):
        LeveldbSource(tmp_path / "db")


def test_what_leveldb_says_fits_on_a_line(tmp_path: Path) -> None:
    pytest.importorskip("plyvel")
    shutil.copytree(FORMATS / "db" / "raw_leveldb", tmp_path / "db")
    (tmp_path / "db" / "CURRENT").write_bytes(b"\x1b[2J\n\r" * 30 + b"\n")
    with pytest.raises(FileError, match=r"points to a non-existent file: .*db/\?\[2J\?\?") as raised:
        LeveldbSource(tmp_path / "db")
    assert len(str(raised.value)) < 500
    assert str(raised.value).isprintable()


def test_a_table_that_no_list_names_does_no_harm(table: Path) -> None:
    """A killed writer leaves such."""
    (table.parent / "000099.ldb").write_bytes(table.read_bytes()[:1000])
    (table.parent / "000098.ldb").touch()
    assert len(LeveldbSource(table.parent).read(0, 20).labels) == 20


# -- HDF5 ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((2**40,), {"chunks": (1000,)}),
        ((2**27,), {}),
        ((5, 2**28), {"chunks": (1, 2**20)}),
        ((3,), {"chunks": (2**28,), "maxshape": (None,)}),
        ((3,), {"chunks": (2**28,), "maxshape": (None,), "compression": "gzip"}),
    ],
)
def test_datasets_claim_no_more_than_the_file_can_hold(tmp_path: Path, shape: tuple[int, ...], options: dict) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("data", shape, "f4", **options)
    assert (tmp_path / "x.h5").stat().st_size < 10_000
    with pytest.raises(FileError, match=r'x.h5: dataset "data" claims shape .* bytes, of which the file has 0'):
        RowFile(str(tmp_path / "x.h5"), ["data"])


def test_small_and_packed_datasets_pass(tmp_path: Path) -> None:
    """Rows that were never written are zeros; and equal ones pack a thousand to one."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("data", (1000, 1000), "f4")
        file.create_dataset("label", data=np.zeros((1000, 10_000), np.float32), chunks=(1000, 1000), compression="gzip")
        part = file.create_dataset("part", (1000, 10_000), "f4", chunks=(10, 10_000))
        part[:10] = 1
    rows = RowFile(str(tmp_path / "x.h5"), ["data", "label", "part"])
    assert rows.shapes == [(1000,), (10_000,), (10_000,)]
    rows.close()


def test_lists_of_anything(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    for text in ("n" * 100_000, "\x1b[1m\x07", "a\u2028b"):
        path.write_text(text)
        with pytest.raises(FileError, match="There is no HDF5 file") as raised:
            read_hdf5_list(str(path))
        assert len(str(raised.value)) < 900
        assert str(raised.value).isprintable()
    for text in ("n" * 60_000 + " 1", "\x1b[1m\x07 1", "a\0.png 1"):
        path.write_text(text)
        with pytest.raises(FileError, match="no such file") as raised:
            ImageListSource(str(path)).read(0, 1)
        assert len(str(raised.value)) < 900
        assert str(raised.value).isprintable()


# -- means and IDX files -------------------------------------------------------------------------------------


def test_a_mean_of_many_axes_is_told_shortly(tmp_path: Path) -> None:
    blob = BlobProto(data=[1])
    blob.shape.dim.extend([1] * 100_000)
    (tmp_path / "m").write_bytes(blob.SerializeToString())
    with pytest.raises(
        FileError, match=r"m is not a file of a mean image \(\.binaryproto\): the shape has more than 32 axes"
    ):
        read_mean(tmp_path / "m")
    blob = BlobProto(num=1, channels=1, height=1, width=2, double_data=[1e300, -1e300])
    (tmp_path / "m").write_bytes(blob.SerializeToString())
    np.testing.assert_array_equal(read_mean(tmp_path / "m").ravel(), [np.inf, -np.inf])


def test_an_idx_file_of_a_terabyte(tmp_path: Path) -> None:
    """Its head alone; then as a file with a hole, which takes no room."""
    head = struct.pack(">BBBB3I", 0, 0, 8, 3, 10**6, 1000, 1000)
    for content in (head, gzip.compress(head)):
        (tmp_path / "x-images").write_bytes(content)
        with pytest.raises(FileError, match=r"\[1000000, 1000, 1000\], 10000000000\d\d bytes"):
            IdxFile(tmp_path / "x-images")
    with open(tmp_path / "x-images", "wb") as file:
        file.write(head)
        try:
            file.truncate(len(head) + 10**12)
        except OSError:
            pytest.skip("the file system has no files so large")
    assert IdxFile(tmp_path / "x-images").array[-1, -1, -1] == 0
