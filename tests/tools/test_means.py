"""Mean images: those that compute_image_mean wrote, and files that are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite.data.transformer import read_mean
from pycaffe_lite.errors import FileError
from pycaffe_lite.proto import caffe_pb2
from rigs.golden_formats import FORMATS, table


@pytest.mark.parametrize("name", table("mean/mean.json"))
def test_reads_what_compute_image_mean_wrote(name: str) -> None:
    mean = read_mean(FORMATS / "mean" / f"{name}.binaryproto")
    with np.load(FORMATS / "mean" / f"{name}.npz") as arrays:
        (expected,) = arrays.values()
    assert mean.dtype == np.float32
    np.testing.assert_array_equal(mean, expected.reshape(mean.shape))


def blob(tmp_path: Path, dim: list[int], **fields: Any) -> Path:
    proto = caffe_pb2.BlobProto(shape=caffe_pb2.BlobShape(dim=dim) if dim else None, **fields)
    path = tmp_path / "mean.binaryproto"
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.mark.parametrize("dim", [[1, 2, 1, 3], [2, 1, 3]])
@pytest.mark.parametrize("field", ["data", "double_data"])
def test_reads_newer_blobs_too(tmp_path: Path, dim: list[int], field: str) -> None:
    mean = read_mean(blob(tmp_path, dim, **{field: range(6)}))
    np.testing.assert_array_equal(mean, np.arange(6, dtype=np.float32).reshape(2, 1, 3))


@pytest.mark.parametrize(
    ("dim", "count", "message"),
    [
        ([2, 1, 1, 3], 6, r"expected one mean image, got shape \[2, 1, 1, 3\]\."),
        ([6], 6, r"expected one mean image, got shape \[6\]\."),
        ([1, 2, 1, 3], 5, "there are 5 values, expected as many as its shape 1 x 2 x 1 x 3 has, 6"),
        ([1, -2, -1, 3], 6, "the shape 1 x -2 x -1 x 3 has a negative length"),
        ([2**40, 2**40, 2**40], 6, "there are 6 values, expected as many"),
        ([0, 1, 3], 0, "it has no values"),
        ([], 0, "is empty; expected a mean image"),
    ],
)
def test_refuses_other_shapes(tmp_path: Path, dim: list[int], count: int, message: str) -> None:
    with pytest.raises(FileError, match=f"mean.binaryproto.*{message}"):
        read_mean(blob(tmp_path, dim, data=range(count)))


def test_refuses_other_files(tmp_path: Path) -> None:
    path = tmp_path / "mean.binaryproto"
    for content in (b"garbage", (FORMATS / "mean" / "raw.binaryproto").read_bytes()[:-1]):
        path.write_bytes(content)
        with pytest.raises(FileError, match=r"is (not|truncated, or not) a file of a mean image \(\.binaryproto\): "):
            read_mean(path)
    with pytest.raises(FileError, match=r"There is no file \".*nothing\""):
        read_mean(tmp_path / "nothing")
