"""Broken files by the hundred: whatever they hold, only CaffeError comes out."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.formats.blobproto import read_blob
from pycaffe_lite.formats.caffemodel import read_weights
from pycaffe_lite.formats.solverstate import read_state
from pycaffe_lite.proto.caffe_pb2 import NetParameter
from pycaffe_lite.proto.printer import to_text
from pycaffe_lite.proto.read import read_net, read_solver
from pycaffe_lite.proto.text import parse
from rigs import GOLDEN

FORMATS = GOLDEN / "formats"
TEXTS = sorted((FORMATS / "legacy").glob("*.prototxt"))
BINARIES = [*(FORMATS / "weights").glob("*.caffemodel"), FORMATS / "weights" / "shared_iter_3.solverstate"]
PIECES = [
    b"{",
    b"}",
    b"layer {",
    b":",
    b'"',
    b"'",
    b"\\",
    b"-",
    b"[",
    b"]",
    b"<",
    b"#",
    b"\0",
    b"\xff",
    b"1e",
    b"nan",
]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The data with a few bytes changed, put in, taken out or doubled."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(out) + 1)
        stop = min(len(out), start + chance.choice([0, 1, 1, 4, 40]))
        new = chance.choice([b"", chance.choice(PIECES), chance.randbytes(3), bytes(out[start:stop]) * 2])
        out[start:stop] = new
    return bytes(out[: chance.randrange(len(out) + 1)] if chance.random() < 0.2 else out)


def survives(read: object, path: Path) -> bool:
    """Whether a reader takes the file; anything but a CaffeError escapes."""
    try:
        read(str(path))  # type: ignore[operator]
    except CaffeError as problem:
        assert str(problem)
        return False
    return True


@pytest.mark.parametrize("seed", range(3))
def test_texts(seed: int, tmp_path: Path) -> None:
    chance, path, read = random.Random(seed), tmp_path / "x.prototxt", 0
    for _ in range(500):
        source = chance.choice(TEXTS)
        path.write_bytes(mutated(source.read_bytes(), chance))
        read += survives(read_solver if source.name.startswith("solver") else read_net, path)
    assert 0 < read < 500


@pytest.mark.parametrize("seed", range(3))
def test_weights(seed: int, tmp_path: Path) -> None:
    chance, path, read = random.Random(seed), tmp_path / "x.caffemodel", 0
    for _ in range(100):
        path.write_bytes(mutated(chance.choice(sorted(BINARIES)).read_bytes(), chance))
        read += survives(read_weights, path) + survives(read_state, path) + survives(read_blob, path)
    assert 0 < read < 100


def test_what_is_read_prints_and_reads_again() -> None:
    chance = random.Random(7)
    for _ in range(100):
        text = mutated(chance.choice(TEXTS).read_bytes(), chance).decode("utf-8", "surrogateescape")
        try:
            net = parse(text, NetParameter)
        except CaffeError:
            continue
        assert to_text(parse(to_text(net), NetParameter)) == to_text(net)
