"""convert-cifar: records and mean of small files in CIFAR's form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.data.transformer import read_mean
from pycaffe_lite.proto.caffe_pb2 import Datum
from rigs.data_tools import files_in, messages, records, run, write_cifar10

pytest.importorskip("lmdb")


def datum(pixels: np.ndarray, label: int) -> bytes:
    return bytes(Datum(channels=3, height=32, width=32, data=pixels.tobytes(), label=label).SerializeToString())


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """One for CIFAR's files, one for the databases."""
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    return tmp_path / "in", tmp_path / "out"


@pytest.mark.parametrize("inside", ["", "cifar-10-batches-bin"])
def test_cifar10(folders: tuple[Path, Path], inside: str) -> None:
    source, out = folders
    (source / inside).mkdir(exist_ok=True)
    files = write_cifar10(source / inside)
    result = run("convert_cifar_data", source, out, "lmdb")
    assert files_in(out) == {"cifar10_train_lmdb", "cifar10_test_lmdb", "mean.binaryproto"}
    train = np.concatenate([files[f"data_batch_{i}"] for i in range(1, 6)])
    for name, rows in (("train", train), ("test", files["test_batch"])):
        expected = [(b"%05d" % i, datum(row[1:], row[0])) for i, row in enumerate(rows)]
        assert records(out / f"cifar10_{name}_lmdb") == expected
    mean = train[:, 1:].mean(axis=0, dtype=np.float64).reshape(3, 32, 32)
    np.testing.assert_allclose(read_mean(out / "mean.binaryproto"), mean, rtol=1e-6)
    lines = messages(result)
    assert lines[2:9] == [
        "I Writing Training data",
        *(f"I Training Batch {i}" for i in range(1, 6)),
        "I Processed 60 files.",
    ]
    assert lines[-4:-2] == ["I Number of channels: 3", f"I mean_value channel [0]: {mean[0].mean():g}"]


@pytest.mark.parametrize(("options", "column"), [((), 1), (("--labels", "coarse"), 0)])
def test_cifar100(folders: tuple[Path, Path], options: tuple[str, ...], column: int) -> None:
    source, out = folders
    rows = np.random.default_rng(6).integers(0, 256, (2, 9, 3074), dtype=np.uint8)
    rows[..., 0] %= 20
    rows[..., 1] %= 100
    for part, name in zip(rows, ("train", "test"), strict=True):
        part.tofile(source / f"{name}.bin")
    run("convert-cifar", source, out, *options)
    assert files_in(out) == {"cifar100_train_lmdb", "cifar100_test_lmdb", "cifar100_mean.binaryproto"}
    for part, name in zip(rows, ("train", "test"), strict=True):
        expected = [(b"%05d" % i, datum(row[2:], row[column])) for i, row in enumerate(part)]
        assert records(out / f"cifar100_{name}_lmdb") == expected


def test_leveldb(folders: tuple[Path, Path]) -> None:
    pytest.importorskip("plyvel")
    source, out = folders
    files = write_cifar10(source, 3)
    run("convert-cifar", source, out, "--backend", "leveldb")
    assert [Datum.FromString(value).label for _, value in records(out / "cifar10_test_leveldb")] == files["test_batch"][
        :, 0
    ].tolist()


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda path: path.unlink(), "test_batch.bin: expected a file of records of 3073 bytes, got 0 bytes"),
        (lambda path: path.write_bytes(b""), "expected a file of records of 3073 bytes, got 0 bytes"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "records of 3073 bytes, got 36875 bytes"),
        (
            lambda path: path.write_bytes(bytes(3073) + b"\x0a" * 3073),
            "test_batch.bin, record 1: expected a label below 10, got 10; that is no file of cifar10's binary",
        ),
    ],
)
def test_a_bad_file_leaves_nothing(folders: tuple[Path, Path], spoil, problem: str) -> None:
    source, out = folders
    write_cifar10(source)
    spoil(source / "test_batch.bin")
    result = run("convert-cifar", source, out, status=1)
    assert problem in result.output
    assert files_in(out) == set()


def test_other_folders_are_refused(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = folders
    monkeypatch.chdir(source)
    result = run("convert-cifar", ".", out, status=1)
    assert "expected CIFAR's binary version, data_batch_1.bin … data_batch_5.bin" in result.output
    assert f"got none of them in {source}." in result.output
    (source / "data_batch_1").write_bytes(b"a pickle")
    result = run("convert-cifar", ".", out, status=1)
    assert "data_batch_1 is of CIFAR's Python version" in result.output
    result = run("convert-cifar", "no", out, status=1)
    assert f'no folder with CIFAR\'s binary files "no": looked for {source}/no' in result.output


def test_both_targets_are_looked_at_first(folders: tuple[Path, Path]) -> None:
    source, out = folders
    write_cifar10(source)
    (out / "cifar10_test_lmdb").mkdir()
    result = run("convert-cifar", source, out, status=1)
    assert "cifar10_test_lmdb: expected the name of a new database" in result.output
    assert files_in(out) == {"cifar10_test_lmdb"}
    result = run("convert-cifar", source, out / "no", status=1)
    assert f"there is no folder {out}/no" in result.output
    run("convert-cifar", source, out, "hdf5", status=2)
