"""Caffe's MNIST tutorial: LeNet from converted databases, with the numbers of the IDX files, to the bit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pycaffe_lite.formats.caffemodel import read_weights
from rigs import MNIST
from rigs.cli_rig import Command
from rigs.golden_logs import FOLDER, SPEED
from rigs.lenet import mnist_sources

PACKAGES = {"LMDB": "lmdb", "LEVELDB": "plyvel"}
SETTINGS = [f"--set={field}" for field in ("max_iter=30", "display=1", "test_interval=15", "snapshot=0")]


def convert(backend: str) -> None:
    for part, name in (("train", "mnist_train_lmdb"), ("t10k", "mnist_test_lmdb")):
        files = [str(MNIST / f"{part}-{what}-ubyte.gz") for what in ("images-idx3", "labels-idx1")]
        assert Command("convert-mnist", *files, name, f"--backend={backend.lower()}").status == 0


def train(folder: Path, net: str) -> tuple[list[str], list[bytes]]:
    """The lines with rates, losses and accuracies, and the weights."""
    (folder / "lenet.prototxt").write_text(net)
    (folder / "solver.prototxt").write_text((FOLDER / "lenet_solver.prototxt").read_text())
    command = Command("train", "--solver=solver.prototxt", *SETTINGS)
    assert command.status == 0, command.output
    lines = [SPEED.sub("", line) for line in command.said if re.search(r"loss = |accuracy = |lr = ", line)]
    weights = read_weights("lenet_iter_30.caffemodel")
    return lines, [blob.tobytes() for layer in weights for blob in layer.blobs]


@pytest.mark.parametrize("backend", PACKAGES)
def test_the_same_numbers_from_every_source(backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(PACKAGES[backend])
    monkeypatch.chdir(tmp_path)
    net = (FOLDER / "lenet.prototxt").read_text()
    convert(backend)
    from_database = train(tmp_path, net.replace("backend: LMDB", f"backend: {backend}"))
    from_files = train(tmp_path, mnist_sources(net))
    assert len(from_files[0]) > 60
    assert len(from_files[1]) == 8
    assert from_database == from_files
