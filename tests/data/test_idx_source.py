"""IDX files as a source: images, and the labels beside them."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite import log
from pycaffe_lite.data.sources.idx import IdxSource
from pycaffe_lite.errors import FileError
from rigs import MNIST
from rigs.idx_files import write_idx


def test_reads_runs_of_records_up_to_the_end(tiny_mnist: Path) -> None:
    source = IdxSource(tiny_mnist / "train-images-idx3-ubyte")
    assert len(source) == 20
    images, labels, after = source.read(3, 4)
    assert (images[0].shape, images[0].dtype, after) == ((1, 28, 28), np.uint8, 7)
    assert labels.dtype == np.float32
    np.testing.assert_array_equal(labels, [3, 4, 5, 6])
    images, labels, after = source.read(18, 64)
    assert (len(images), after) == (2, 0)
    np.testing.assert_array_equal(labels, [8, 9])


def test_reads_records_in_any_order(tiny_mnist: Path) -> None:
    source = IdxSource(tiny_mnist / "train-images-idx3-ubyte")
    everything = source.read(0, 20)
    some = source.take(np.array([7, 0, 19]))
    np.testing.assert_array_equal(some.images, np.array(everything.images)[[7, 0, 19]])
    np.testing.assert_array_equal(some.labels, [7, 0, 9])


def test_mnist_itself() -> None:
    source = IdxSource(MNIST / "t10k-images-idx3-ubyte.gz")
    images, labels, _ = source.read(0, 10000)
    assert np.shape(images) == (10000, 1, 28, 28)
    np.testing.assert_array_equal(labels[:10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9])
    np.testing.assert_array_equal(
        np.bincount(labels.astype(int)), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    )


def test_says_so_in_the_log(tiny_mnist: Path) -> None:
    lines: list[str] = []
    log.set_sink(lines.append)
    log.set_level("I")
    IdxSource(tiny_mnist / "t10k-images-idx3-ubyte", "some/name")
    assert [line.split("] ")[1] for line in lines] == ["Opened idx some/name"]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((6, 4, 5), (1, 4, 5)), ((6, 3, 4, 5), (3, 4, 5)), ((6, 7), (7, 1, 1))],
)
def test_shapes(tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    path = write_idx(tmp_path / "images", np.ones(shape))
    assert IdxSource(path, with_labels=False).read(0, 1).images[0].shape == expected


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"),
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz"),
        ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
        ("images-idx4-ubyte", "labels-idx1-ubyte"),
    ],
)
def test_finds_the_labels(tmp_path: Path, images: str, labels: str) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    write_idx(folder / images, np.ones((3, 2, 2)))
    write_idx(folder / labels, np.array([5, 6, 7]))
    if labels.endswith(".gz"):
        (folder / labels).write_bytes(gzip.compress((folder / labels).read_bytes()))
    np.testing.assert_array_equal(IdxSource(folder / images).read(0, 3).labels, [5, 6, 7])


def test_missing_labels_matter_only_where_they_are_needed(tiny_mnist: Path) -> None:
    path = tiny_mnist / "train-images-idx3-ubyte"
    os.remove(tiny_mnist / "train-labels-idx1-ubyte")
    with pytest.raises(FileError, match="expected its labels beside it in train-labels-idx1-ubyte, with or without"):
        IdxSource(path)
    assert len(IdxSource(path, with_labels=False)) == 20


def test_name_from_which_no_labels_follow(tmp_path: Path) -> None:
    path = write_idx(tmp_path / "pixels", np.ones((3, 2, 2)))
    with pytest.raises(FileError, match='expected a name with "images" in it'):
        IdxSource(path)


@pytest.mark.parametrize("labels", [np.arange(19), np.arange(21), np.ones((20, 2))])
def test_as_many_labels_as_images(tiny_mnist: Path, labels: np.ndarray) -> None:
    write_idx(tiny_mnist / "train-labels-idx1-ubyte", labels)
    with pytest.raises(FileError, match=r"train-labels-idx1-ubyte: expected 20 labels, .* got shape \[(19|21|20, 2)\]"):
        IdxSource(tiny_mnist / "train-images-idx3-ubyte")


def test_folder_names_what_it_holds(tiny_mnist: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(FileError, match="a folder; it holds t10k-images-idx3-ubyte, train-images-idx3-ubyte"):
        IdxSource(tiny_mnist)
    with pytest.raises(FileError, match="a folder without one"):
        IdxSource(tmp_path_factory.mktemp("empty"))


@pytest.mark.parametrize("shape", [(5,), (1, 2, 3, 4, 5)])
def test_too_few_or_too_many_axes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(FileError, match="expected images, with 2 to 4 axes"):
        IdxSource(write_idx(tmp_path / "images", np.ones(shape)))
