"""What all tests share: a seeded generator, a tiny MNIST, a runner for commands, a fresh state for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pycaffe_lite import log, parallel, rng
from rigs.idx_files import write_idx

QUICK = {
    "test_package.py",
    "test_paths.py",
    "test_proto_printer.py",
    "test_proto_read.py",
    "test_proto_text.py",
    "test_proto_upgrade.py",
    "test_golden_weights.py",
    "test_golden_layers.py",
    "test_golden_nets.py",
    "test_golden_solvers.py",
    "test_net.py",
    "test_training_loop.py",
    "test_cli.py",
    "test_errors.py",
    "test_train.py",
    "test_test.py",
}
"""Files whose tests are quick, as are those of the layers' contract for each type's first case."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.name in QUICK:
            item.add_marker(pytest.mark.quick)


@pytest.fixture(autouse=True)
def fresh_state() -> Iterator[None]:
    """No test sees the seed, the number of threads or the log settings of the one before."""
    rng.set_random_seed(1)
    threads = parallel.num_threads()
    yield
    parallel.set_num_threads(threads)
    log.set_sink(None)
    log.set_level("E")
    log.set_routes(None)


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(20)


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner()


@pytest.fixture
def tiny_mnist(tmp_path: Path, generator: np.random.Generator) -> Path:
    """A folder with MNIST's four files, 20 images of 28 x 28 to train and 10 to test."""
    for name, count in (("train", 20), ("t10k", 10)):
        write_idx(tmp_path / f"{name}-images-idx3-ubyte", generator.integers(0, 256, (count, 28, 28)))
        write_idx(tmp_path / f"{name}-labels-idx1-ubyte", np.arange(count) % 10)
    return tmp_path


@pytest.fixture
def messages() -> list[str]:
    """What is logged, as it comes."""
    lines: list[str] = []
    log.set_level("I")
    log.set_sink(lambda line: lines.append(line[0] + line.partition("] ")[2]))
    return lines


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
