"""What the tests of the data tools share: running a command, reading a database, small CIFAR files."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from pycaffe_lite.data.open import kind_of, open_kind
from pycaffe_lite.data.sources.datum import DatumSource
from pycaffe_lite_cli import main


def run(*args: str | Path, status: int = 0) -> Result:
    """Runs a command, which must end with that status."""
    result = CliRunner().invoke(main, [str(arg) for arg in args])
    assert result.exit_code == status, result.output
    return result


def info(*args: str | Path) -> list[str]:
    """The lines that data-info prints."""
    return run("data-info", *args).output.splitlines()


def messages(result: Result) -> list[str]:
    """The log lines of a command: their level and message."""
    lines = result.output.splitlines()
    return [line[0] + " " + line.partition("] ")[2] for line in lines if "] " in line]


def records(path: Path | str) -> list[tuple[bytes, bytes]]:
    """Keys and values of a database."""
    source = open_kind(str(path), kind_of(str(path)))
    assert isinstance(source, DatumSource)
    with contextlib.closing(source):
        values, position = [], 0
        while True:
            some, position = source.values(position, 300)
            values += [bytes(value) for value in some]
            if position == 0:
                return list(zip(source.keys(len(values) + 1), values, strict=True))


def files_in(folder: Path) -> set[str]:
    """The names in a folder."""
    return {path.name for path in folder.iterdir()}


def write_cifar10(folder: Path, records: int = 12) -> dict[str, np.ndarray]:
    """Files like CIFAR-10's with few records; returns their rows, the label first."""
    generator = np.random.default_rng(5)
    files = {}
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        rows = generator.integers(0, 256, (records, 3073), dtype=np.uint8)
        rows[:, 0] %= 10
        rows.tofile(folder / f"{name}.bin")
        files[name] = rows
    return files


def write_lmdb(folder: Path, values: list[bytes]) -> None:
    """Makes an LMDB of these values, with the keys 0000, 0001, …"""
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(folder), map_size=1 << 26) as env, env.begin(write=True) as transaction:
        for i, value in enumerate(values):
            transaction.put(b"%04d" % i, value)
