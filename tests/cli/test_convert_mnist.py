"""convert-mnist: its databases give the same batches as the IDX files they were made of."""

from __future__ import annotations

import contextlib
import gzip
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.registry import create
from pycaffe_lite.phase import TRAIN
from pycaffe_lite.proto.caffe_pb2 import Datum
from pycaffe_lite.rng import set_random_seed
from rigs.data_tools import files_in, messages, records, run
from rigs.idx_files import write_idx
from rigs.layer_rig import layer_param

PACKAGES = {"lmdb": "lmdb", "leveldb": "plyvel"}


def mnist_files(folder: Path, count: int = 70) -> tuple[Path, Path]:
    generator = np.random.default_rng(3)
    images = write_idx(folder / "small-images-idx3-ubyte", generator.integers(0, 256, (count, 9, 7)))
    labels = write_idx(folder / "small-labels-idx1-ubyte", np.arange(count) * 3 % 256)
    return images, labels


def batches(source: Path, backend: str, transform: str, count: int = 6) -> list[np.ndarray]:
    """The data and labels of some batches, which go round the end."""
    set_random_seed(7)
    layer = create(
        layer_param(
            f'type: "Data" top: "data" top: "label" transform_param {{ {transform} }} '
            f'data_param {{ source: "{source}" backend: {backend} batch_size: 32 }}'
        ),
        TRAIN,
    )
    top = [Blob(), Blob()]
    with contextlib.closing(layer):
        layer.build([], top)
        result = []
        for _ in range(count):
            layer.forward([], top)
            result += [top[0].data.copy(), top[1].data.copy()]
    return result


@pytest.mark.parametrize("backend", PACKAGES)
@pytest.mark.parametrize("transform", ["", "scale: 0.00390625", "crop_size: 5 mirror: true mean_value: 33.3"])
def test_batches_are_those_of_the_idx_files(tmp_path: Path, backend: str, transform: str) -> None:
    pytest.importorskip(PACKAGES[backend])
    images, labels = mnist_files(tmp_path)
    run("convert-mnist", images, labels, tmp_path / "db", "--backend", backend)
    expected = batches(images, "IDX", transform)
    found = batches(tmp_path / "db", backend.upper(), transform)
    for one, other in zip(expected, found, strict=True):
        assert one.tobytes() == other.tobytes()
        assert one.shape == other.shape


def test_records_are_caffes(tmp_path: Path) -> None:
    pytest.importorskip("lmdb")
    images, labels = mnist_files(tmp_path, 1001)
    result = run("convert_mnist_data", "-backend=lmdb", images, labels, tmp_path / "db")
    assert messages(result) == [
        "I A total of 1001 items.",
        "I Rows: 9 Cols: 7",
        f"I Opened lmdb {tmp_path}/db",
        "I Processed 1000 files.",
        "I Processed 1001 files.",
    ]
    written = records(tmp_path / "db")
    assert [key for key, _ in written] == [b"%08d" % i for i in range(1001)]
    pixels = images.read_bytes()[16:]
    for i, (_, value) in enumerate(written):
        expected = Datum(channels=1, height=9, width=7, data=pixels[63 * i : 63 * i + 63], label=i * 3 % 256)
        assert value == expected.SerializeToString()


def test_gzipped_files_and_colours(tmp_path: Path, generator: np.random.Generator) -> None:
    pytest.importorskip("lmdb")
    values = generator.integers(0, 256, (4, 3, 5, 6))
    images, labels = write_idx(tmp_path / "a", values), write_idx(tmp_path / "b", np.arange(4))
    for path in (images, labels):
        path.write_bytes(gzip.compress(path.read_bytes()))
    run("convert-mnist", images, labels, tmp_path / "db", "--quiet")
    datum = Datum.FromString(records(tmp_path / "db")[2][1])
    assert (datum.channels, datum.height, datum.width, datum.label) == (3, 5, 6, 2)
    assert datum.data == values[2].astype(np.uint8).tobytes()


@pytest.mark.parametrize(
    ("images", "labels", "problem"),
    [
        ("no", "labels", 'no IDX file of images "no": looked for {cwd}/no from the working folder {cwd}'),
        ("images", "no", 'no IDX file of labels "no": looked for {cwd}/no from the working folder {cwd}'),
        (".", "labels", ".: expected an IDX file of images, got no plain file"),
        ("labels", "images", "labels: expected images, bytes with 3 or 4 axes, got uint8 of shape [8]; the images'"),
        ("images", "images", "images: expected 8 labels, as images has images, got uint8 of shape [8, 2, 2]"),
        ("images", "fewer", "fewer: expected 8 labels, as images has images, got uint8 of shape [7]"),
        ("short", "labels", "short: truncated"),
        ("zipped", "labels", "zipped: truncated"),
        ("text", "labels", "text: expected an IDX file"),
        ("empty", "labels", "empty: expected an IDX file, got an empty file"),
    ],
)
def test_bad_files_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: str, labels: str, problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    content = write_idx(tmp_path / "images", np.ones((8, 2, 2))).read_bytes()
    write_idx(tmp_path / "labels", np.ones(8))
    write_idx(tmp_path / "fewer", np.ones(7))
    (tmp_path / "short").write_bytes(content[:-3])
    (tmp_path / "zipped").write_bytes(gzip.compress(content)[:-9])
    (tmp_path / "text").write_text("label,pixel\n1,2\n")
    (tmp_path / "empty").write_bytes(b"")
    before = files_in(tmp_path)
    result = run("convert-mnist", images, labels, "db", status=1)
    assert problem.format(cwd=tmp_path) in result.output
    assert result.output.count("\n") == 1
    assert files_in(tmp_path) == before
