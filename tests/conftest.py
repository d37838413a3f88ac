"""What all tests share: a seeded generator, a tiny MNIST, a runner for commands, a fresh state for each."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pycaffe_lite import log, parallel, rng


@pytest.fixture(autouse=True)
def fresh_state() -> Iterator[None]:
    """No test sees the seed, the number of threads or the log settings of the one before."""
    rng.set_random_seed(1)
    threads = parallel.num_threads()
    yield
    parallel.set_num_threads(threads)
    log.set_sink(None)
    log.set_level("E")


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(20)


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner()


def write_idx(path: Path, array: np.ndarray) -> Path:
    """Writes bytes as MNIST's IDX: two zeros, 8 for uint8, the number of axes, their lengths, the values."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())
    return path


@pytest.fixture
def tiny_mnist(tmp_path: Path, generator: np.random.Generator) -> Path:
    """A folder with MNIST's four files, 20 images of 28 x 28 to train and 10 to test."""
    for name, count in (("train", 20), ("t10k", 10)):
        write_idx(tmp_path / f"{name}-images-idx3-ubyte", generator.integers(0, 256, (count, 28, 28)))
        write_idx(tmp_path / f"{name}-labels-idx1-ubyte", np.arange(count) % 10)
    return tmp_path
