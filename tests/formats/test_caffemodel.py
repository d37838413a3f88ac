"""Weights from binary files: all forms that Caffe and its forks wrote, and files that are something else."""

from __future__ import annotations

import json
import os
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite.errors import FileError
from pycaffe_lite.formats import caffemodel as weights
from pycaffe_lite.formats import reading
from pycaffe_lite.formats.blobproto import read_blob
from pycaffe_lite.formats.caffemodel import read_weights
from pycaffe_lite.formats.solverstate import read_state
from pycaffe_lite.formats.wire import varint
from pycaffe_lite.proto.caffe_pb2 import BlobProto, NetParameter, SolverState, V1LayerParameter
from rigs import GOLDEN

FORMATS = GOLDEN / "formats"
CASES: dict[str, Any] = json.loads((FORMATS / "weights.json").read_text())
NET = np.load(FORMATS / "weights" / "net.npz")
FILES = sorted(str(path.name) for path in (FORMATS / "weights").glob("*.caffemodel") if "shared" not in path.name)


def field(number: int, data: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def file(folder: Path, data: bytes) -> str:
    path = folder / "x.caffemodel"
    path.write_bytes(data)
    return str(path)


def layer(*blobs: bytes, name: bytes = b"a") -> bytes:
    return field(100, field(1, name) + b"".join(field(7, blob) for blob in blobs))


FLOATS = np.arange(6, dtype="<f4")
SHAPE = field(7, field(1, b"\2\3"))


# -- all forms -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_reads_the_weights_of_every_form(name: str) -> None:
    found = {layer.name: layer for layer in read_weights(str(FORMATS / "weights" / name))}
    assert {name: layer.type for name, layer in found.items() if layer.blobs} == {
        "conv": "Convolution",
        "ip": "InnerProduct",
    }
    for owner in ("conv", "ip"):
        assert len(found[owner].blobs) == 2
        for i, blob in enumerate(found[owner].blobs):
            np.testing.assert_array_equal(blob.ravel(), NET[f"params/{owner}/{i}"].ravel())


@pytest.mark.parametrize("name", sorted(CASES))
def test_keeps_shape_and_precision_of_the_file(name: str) -> None:
    case = CASES[name]
    conv = next(layer for layer in read_weights(str(FORMATS / case["file"])) if layer.name == "conv")
    assert conv.blobs[1].shape == ((1, 1, 1, 6) if case["blob_shape"] == "4d" else (6,))
    assert conv.blobs[1].dtype == (np.float64 if case["values"] == "double" else np.float32)


def test_reads_a_shared_weight_in_both_layers() -> None:
    expected = np.load(FORMATS / "weights" / "shared.npz")
    layers = read_weights(str(FORMATS / "weights" / "shared_iter_3.caffemodel"))
    assert [layer.name for layer in layers] == ["data", "a", "act", "b", "loss"]
    for layer in layers:
        for i, blob in enumerate(layer.blobs):
            np.testing.assert_array_equal(blob, expected[f"params/{layer.name}/{i}"])


def test_reads_a_solvers_state() -> None:
    path = FORMATS / "weights" / "shared_iter_3.solverstate"
    expected = SolverState.FromString(path.read_bytes())
    state = read_state(str(path))
    assert (state.iter, state.learned_net, state.current_step) == (3, expected.learned_net, 0)
    for found, blob in zip(state.history, expected.history, strict=True):
        np.testing.assert_array_equal(found.ravel(), np.array(blob.data, np.float32))
        assert found.shape == tuple(blob.shape.dim)


def test_reads_a_mean() -> None:
    mean = read_blob(str(FORMATS / "mean" / "raw.binaryproto"))
    (expected,) = np.load(FORMATS / "mean" / "raw.npz").values()
    np.testing.assert_array_equal(mean.ravel(), expected.ravel())
    assert mean.ndim == 4


def test_values_may_come_in_pieces_and_one_by_one(tmp_path: Path) -> None:
    ones = b"".join(varint(5 << 3 | 5) + value.tobytes() for value in FLOATS[4:])
    blob = SHAPE + field(5, FLOATS[:2].tobytes()) + field(5, FLOATS[2:4].tobytes()) + ones
    (found,) = read_weights(file(tmp_path, layer(blob)))
    np.testing.assert_array_equal(found.blobs[0], FLOATS.reshape(2, 3))
    assert not found.blobs[0].flags.writeable


def test_a_shape_may_come_one_by_one(tmp_path: Path) -> None:
    blob = field(7, b"\x08\2\x08\3") + field(5, FLOATS.tobytes())
    (found,) = read_weights(file(tmp_path, layer(blob)))
    assert found.blobs[0].shape == (2, 3)


@pytest.mark.parametrize(("kind", "dtype"), [(None, "<f8"), (0, "<f8"), (1, "<f4"), (2, "<f2")])
def test_reads_the_raw_values_of_nvcaffe(tmp_path: Path, kind: int | None, dtype: str) -> None:
    raw_type = b"" if kind is None else varint(10 << 3) + varint(kind)
    blob = SHAPE + raw_type + field(12, FLOATS.astype(dtype).tobytes())
    (found,) = read_weights(file(tmp_path, layer(blob)))
    np.testing.assert_array_equal(found.blobs[0], FLOATS.reshape(2, 3))


def test_other_fields_may_mean_anything(tmp_path: Path) -> None:
    odd = field(2000, b"\xff" * 40) + varint(3 << 3 | 1) + bytes(8) + varint(15 << 3 | 5) + bytes(4)
    inner = field(1, b"a") + odd + field(7, odd + SHAPE + field(5, FLOATS.tobytes()))
    (found,) = read_weights(file(tmp_path, odd + field(100, inner)))
    np.testing.assert_array_equal(found.blobs[0], FLOATS.reshape(2, 3))


def test_blobs_without_values_or_axes(tmp_path: Path) -> None:
    empty = field(7, field(1, b"\0\3"))
    scalar = field(5, FLOATS[1:2].tobytes())
    (found,) = read_weights(file(tmp_path, layer(empty, scalar)))
    assert [blob.shape for blob in found.blobs] == [(0, 3), ()]
    assert found.blobs[1] == 1


def test_types_of_v1_and_v0_layers_have_their_present_names(tmp_path: Path) -> None:
    net = NetParameter()
    net.layers.add(name="a", type=V1LayerParameter.SOFTMAX_LOSS)
    net.layers.add().layer.name = "b"
    net.layers[1].layer.type = "innerproduct"
    net.layers.add().layer.type = "padding"
    fork = field(2, field(4, b"d") + varint(5 << 3) + varint(99))
    layers = read_weights(file(tmp_path, net.SerializeToString() + fork))
    assert [(layer.name, layer.type) for layer in layers] == [
        ("a", "SoftmaxWithLoss"),
        ("b", "InnerProduct"),
        ("", "padding"),
        ("d", "99"),
    ]


def test_agrees_with_protobuf_on_nets_of_all_sizes(tmp_path: Path, generator: np.random.Generator) -> None:
    for _ in range(20):
        net = NetParameter(name="n")
        for i in range(int(generator.integers(1, 5))):
            added = net.layer.add(name=f"l{i}", type="Convolution", bottom=["x"])
            added.convolution_param.num_output = int(generator.integers(1, 1000))
            for _ in range(int(generator.integers(0, 3))):
                shape = [int(n) for n in generator.integers(1, 9, generator.integers(0, 5))]
                added.blobs.add(data=generator.normal(size=int(np.prod(shape)))).shape.dim.extend(shape)
        layers = read_weights(file(tmp_path, net.SerializeToString()))
        for found, expected in zip(layers, net.layer, strict=True):
            assert (found.name, found.type) == (expected.name, expected.type)
            for array, blob in zip(found.blobs, expected.blobs, strict=True):
                np.testing.assert_array_equal(array.ravel(), np.array(blob.data, np.float32))
                assert array.shape == tuple(blob.shape.dim)


# -- files that are something else ---------------------------------------------------------------------------

GOOD = layer(SHAPE + field(5, FLOATS.tobytes()))
BROKEN = [
    (b"", "is empty; expected weights (.caffemodel)"),
    (bytes(1000), "it holds nothing but zeros"),
    (b'name: "net"\nlayer { }', "it holds text"),
    (b"<!DOCTYPE html><html>", "it holds a web page"),
    (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
    (b"\x89HDF\r\n\x1a\n", "it holds HDF5 data; name it with .h5"),
    (b"PK\x03\x04" + bytes(40), "a ZIP archive"),
    (b"\x1f\x8b\x08\0", "gzip data"),
    (b"\x93NUMPY\x01\0", "a NumPy array"),
    (GOOD[:-1], "is truncated, or not a file of weights"),
    (GOOD + GOOD[:20], "is truncated, or not"),
    (GOOD + b"\xff" * 20, f"what begins at byte {len(GOOD)} is not in its form"),
    (GOOD + b"\x07", "is not in its form"),
    (GOOD + b"\x00\x01\x02", "is not in its form"),
    (field(1, b"name"), "it has no layers"),
    (SolverState(iter=3, learned_net="x").SerializeToString(), "a solver's state (.solverstate) or a mean"),
    (
        layer(SHAPE + field(5, FLOATS[:5].tobytes())),
        'in layer "a", blob 0, there are 5 values, expected as many',
    ),
    (layer(SHAPE), "there are 0 values, expected as many as its shape 2 x 3 has, 6"),
    (layer(field(5, FLOATS.tobytes())), "there are 6 values, expected a shape"),
    (layer(SHAPE + field(5, FLOATS.tobytes()[:-1])), "the values end within a number"),
    (layer(field(7, field(1, varint(2**64 - 1))) + SHAPE), "the shape -1 x 2 x 3 has a negative length"),
    (layer(field(7, field(1, varint(2**62) * 30))), "expected as many as its shape"),
    (layer(field(7, field(1, b"\1" * 33)) + field(5, bytes(4))), "the shape has more than 32 axes"),
    (layer(field(7, b"\x08\1" * 33) + field(5, bytes(4))), "the shape has more than 32 axes"),
    (layer(SHAPE + varint(10 << 3) + b"\x04" + field(12, bytes(24))), "raw and of the unknown type 4"),
]


@pytest.mark.parametrize(("data", "problem"), BROKEN)
def test_says_what_is_wrong_with_a_file(tmp_path: Path, data: bytes, problem: str) -> None:
    path = file(tmp_path, data)
    with pytest.raises(FileError) as caught:
        read_weights(path)
    assert str(caught.value).startswith(path)
    assert problem in str(caught.value)


@pytest.mark.parametrize("data", [layer() * 11, layer(*[SHAPE + field(5, FLOATS.tobytes())] * 11)])
def test_no_net_has_that_many(tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "MOST", 10)
    with pytest.raises(FileError, match=r"more (layers|blobs) than any"):
        read_weights(file(tmp_path, data))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_reads_from_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(GOOD,))
    writer.start()
    (found,) = read_weights(str(pipe))
    writer.join()
    np.testing.assert_array_equal(found.blobs[0], FLOATS.reshape(2, 3))


@pytest.mark.parametrize("read", [read_weights, read_state, read_blob])
def test_no_reader_takes_what_another_one_reads(tmp_path: Path, read: Any) -> None:
    kinds = {
        read_weights: GOOD,
        read_state: SolverState(iter=1, history=[BlobProto(data=[1])]).SerializeToString(),
        read_blob: BlobProto(num=1, channels=1, height=1, width=2, data=[1, 2]).SerializeToString(),
    }
    for owner, data in kinds.items():
        path = file(tmp_path, data)
        if owner is read:
            read(path)
        else:
            with pytest.raises(FileError):
                read(path)


@pytest.mark.parametrize("path", ["", "a\0b", "no/such.caffemodel", "/dev/zero", "."])
def test_paths_that_are_no_files(path: str) -> None:
    with pytest.raises(FileError):
        read_weights(path)


def test_refuses_what_is_larger_than_protobuf_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LARGEST", 10)
    with pytest.raises(FileError, match="larger than 2 GiB"):
        read_weights(file(tmp_path, GOOD))


HOSTILE = {
    "empty layers": field(100, b"") * 20_000,
    "empty blobs": layer(*[SHAPE + field(5, FLOATS.tobytes())] * 2_000),
    "a long name": field(100, field(1, b"\xff" * 100_000)),
    "empty pieces": layer(SHAPE + field(5, b"") * 20_000 + field(5, FLOATS.tobytes())),
    "tiny pieces": layer(SHAPE + field(5, FLOATS[:1].tobytes()) * 10_000),
    "many axes": layer(field(7, field(1, b"\1" * 100_000)) + field(5, bytes(4))),
    "huge shape": layer(field(7, field(1, varint(2**40)))),
    "a length beyond": field(100, b"x") + varint(100 << 3 | 2) + varint(2**60),
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_memory_stays_in_proportion(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "MOST", 1_000)
    path = file(tmp_path, HOSTILE[name])
    tracemalloc.start()
    try:
        read_weights(path)
    except FileError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 10 * len(HOSTILE[name]) + 2**19


def test_large_blobs_are_views_of_the_file(tmp_path: Path) -> None:
    values = np.ones(2**20, "<f4")
    path = file(tmp_path, layer(field(7, field(1, varint(2**20))) + field(5, values.tobytes())))
    tracemalloc.start()
    (found,) = read_weights(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(found.blobs[0], values)
    assert peak < 1.1 * values.nbytes + 2**17
