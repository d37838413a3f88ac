"""npz files as a source: which arrays are taken, and files that are damaged or none."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite.data.sources.npz import NpzSource
from pycaffe_lite.errors import FileError


def saved(folder: Path, compress: bool = False, **arrays: Any) -> Path:
    path = folder / "some.npz"
    (np.savez_compressed if compress else np.savez)(path, **arrays)
    return path


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "i2", ">i4", "f2", "f4", ">f8", "?"])
def test_images_and_labels(tmp_path: Path, compress: bool, dtype: str) -> None:
    images = np.arange(5 * 2 * 3 * 4).reshape(5, 2, 3, 4).astype(dtype)
    source = NpzSource(saved(tmp_path, compress, data=images, label=np.array([3, 1, 4, 1, 5])))
    assert len(source) == 5
    records = source.read(1, 2)
    np.testing.assert_array_equal(records.images, images[1:3])
    assert records.labels.dtype == np.float32
    np.testing.assert_array_equal(records.labels, [1, 4])
    assert records.next == 3
    assert source.read(4, 9).next == 0
    some = source.take(np.array([4, 0]))
    np.testing.assert_array_equal(some.images, images[[4, 0]])
    np.testing.assert_array_equal(some.labels, [5, 3])
    np.testing.assert_array_equal(source.labels(), [3, 1, 4, 1, 5])


@pytest.mark.parametrize(
    ("shape", "expected"), [((6, 4, 5), (1, 4, 5)), ((6, 3, 4, 5), (3, 4, 5)), ((6, 7), (7, 1, 1))]
)
def test_shapes(tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    images = np.arange(np.prod(shape)).reshape(shape)
    for array in (images, np.asfortranarray(images)):
        source = NpzSource(saved(tmp_path, data=array), with_labels=False)
        assert source.read(0, 1).images[0].shape == expected
        np.testing.assert_array_equal(source.read(0, 6).images, images.reshape(6, *expected))


def test_several_labels(tmp_path: Path) -> None:
    labels = np.arange(12).reshape(4, 3) / 2
    source = NpzSource(saved(tmp_path, data=np.zeros((4, 2)), label=labels))
    np.testing.assert_array_equal(source.read(1, 2).labels, labels[1:3])
    np.testing.assert_array_equal(
        NpzSource(saved(tmp_path, data=np.zeros((4, 2)), label=labels[:, :1])).labels(), labels[:, 0]
    )


def test_two_arrays_of_other_names(tmp_path: Path) -> None:
    source = NpzSource(saved(tmp_path, y=np.array([7, 8]), x=np.ones((2, 3, 3))))
    assert source.read(0, 2).images[0].shape == (1, 3, 3)
    np.testing.assert_array_equal(source.labels(), [7, 8])
    assert len(NpzSource(saved(tmp_path, x=np.ones((2, 3, 3))), with_labels=False)) == 2


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        (
            {"x": np.ones((2, 3)), "y": np.ones((2, 2))},
            r"expected arrays data and label, got x \(2 x 3 float64\), y \(",
        ),
        ({"a": np.ones(2), "b": np.ones(2), "c": np.ones((2, 2))}, "expected arrays data and label, got a"),
        ({"data": np.ones((2, 3))}, r".*, got data \(2 x 3 float64\); a layer with one top needs no labels"),
        ({}, "expected arrays data and label, got none"),
        ({"data": np.ones((2, 3)), "label": np.ones(3)}, r"expected 2 labels, .* got shape \[3\]"),
        ({"data": np.ones((2, 3)), "label": np.ones((2, 1, 1))}, r"expected 2 labels, .* got shape \[2, 1, 1\]"),
        ({"data": np.ones((2, 3)), "label": np.ones((2, 0))}, r"expected 2 labels, .* got shape \[2, 0\]"),
        ({"data": np.ones(2), "label": np.ones(2)}, r"expected images, with 2 to 4 axes .* got shape \[2\]"),
        ({"data": np.ones((0, 3)), "label": np.ones(0)}, r"expected images, .* got shape \[0, 3\]"),
        (
            {"data": np.ones((2, 3), complex), "label": np.ones(2)},
            r'expected numbers in the array "data", got 2 x 3 com',
        ),
        ({"data": np.array([["a", "b"]]), "label": np.ones(1)}, 'expected numbers in the array "data"'),
    ],
)
def test_arrays_that_are_not_those(tmp_path: Path, arrays: dict[str, Any], problem: str) -> None:
    with pytest.raises(FileError, match=f"some.npz: {problem}"):
        NpzSource(saved(tmp_path, **arrays))


def test_objects_are_never_read(tmp_path: Path) -> None:
    path = saved(tmp_path, data=np.array([[print, None]], object), label=np.ones(1))
    with pytest.raises(FileError, match=r"some.npz: "):
        NpzSource(path)


@pytest.mark.parametrize("compress", [False, True])
def test_damaged_files(tmp_path: Path, compress: bool) -> None:
    path = saved(tmp_path, compress, data=np.arange(4000.0).reshape(10, 400), label=np.arange(10))
    content = path.read_bytes()
    for cut in (0, 3, 40, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:cut])
        with pytest.raises(FileError, match=r"some.npz: expected an npz file that can be read"):
            NpzSource(path)
    broken = bytearray(content)
    for i in range(400, 2000, 7):
        broken[i] ^= 0xFF
    path.write_bytes(broken)
    with pytest.raises(FileError, match=r"some.npz: "):
        NpzSource(path)


def archive(path: Path, head: str, body: bytes) -> Path:
    """An archive whose array `data` has this head, whatever it holds."""
    text = head.encode().ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("data.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body)
        file = io.BytesIO()
        np.save(file, np.zeros(2))
        opened.writestr("label.npy", file.getvalue())
    return path


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000)}",
            "damaged: the array",
        ),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1)}", "damaged: the array"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2, -2)}", "some.npz: "),
        ("{'descr': '<q9', 'fortran_order': False, 'shape': (2, 2)}", "that can be read"),
        ("{'descr': __import__('os')}", "that can be read"),
        ("", "that can be read"),
    ],
)
def test_heads_are_not_believed(tmp_path: Path, head: str, problem: str) -> None:
    with pytest.raises(FileError, match=problem):
        NpzSource(archive(tmp_path / "some.npz", head, bytes(16)))


def test_other_files(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros((2, 2)))
    with pytest.raises(FileError, match=r"one.npy: expected an npz file that can be read: File is not a zip file"):
        NpzSource(tmp_path / "one.npy")
    with pytest.raises(FileError, match="expected an npz file, got no plain file"):
        NpzSource(tmp_path)
