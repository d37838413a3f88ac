"""extract-features: the values of a net's blobs, image by image."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST
from pycaffe_lite.proto.caffe_pb2 import Datum
from pycaffe_lite.tools import features
from rigs.data_tools import files_in, messages, records, run
from rigs.idx_files import write_idx

pytest.importorskip("lmdb")

NET = """
name: "small"
layer { name: "data" type: "Data" top: "data" top: "label"
        data_param { source: "tiny-images-idx3-ubyte" backend: IDX batch_size: 4 } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
        inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "ip" top: "relu" include { phase: TEST } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a net, its weights and ten images to run it on; the working folder."""
    monkeypatch.chdir(tmp_path)
    write_idx(tmp_path / "tiny-images-idx3-ubyte", np.arange(10 * 6).reshape(10, 2, 3))
    write_idx(tmp_path / "tiny-labels-idx1-ubyte", np.arange(10) % 3)
    (tmp_path / "net.prototxt").write_text(NET)
    with contextlib.closing(Net("net.prototxt", phase=TEST)) as net:
        net.save("net.caffemodel")
    return tmp_path


def expected(name: str, batches: int) -> list[np.ndarray]:
    """The blob's values, as the net itself computes them."""
    rows = []
    with contextlib.closing(Net("net.prototxt", phase=TEST, weights="net.caffemodel")) as net:
        for _ in range(batches):
            net.forward_loss()
            rows += list(np.array(net.blobs[name].data, np.float32))
    return rows


def test_values_of_several_blobs(folder: Path) -> None:
    result = run("extract_features", "net.caffemodel", "net.prototxt", "ip,data,label", "a,b,c", "3", "lmdb", "CPU")
    assert files_in(folder) >= {"a", "b", "c"}
    for database, name, shape in (("a", "ip", (3, 1, 1)), ("b", "data", (1, 2, 3)), ("c", "label", (1, 1, 1))):
        written = records(folder / database)
        assert [key for key, _ in written] == [b"%010d" % i for i in range(12)]
        for (_, value), values in zip(written, expected(name, 3), strict=True):
            datum = Datum.FromString(value)
            assert (datum.channels, datum.height, datum.width) == shape
            np.testing.assert_array_equal(np.array(datum.float_data, np.float32), values.ravel())
            assert not (datum.HasField("data") or datum.HasField("label") or datum.HasField("encoded"))
    lines = [line for line in messages(result) if "Restarting data" not in line]  # another thread's, anywhere
    assert lines[-5:] == [
        "I Extracting Features",
        "I Extracted features of 12 query images for feature blob ip",
        "I Extracted features of 12 query images for feature blob data",
        "I Extracted features of 12 query images for feature blob label",
        "I Successfully extracted the features!",
    ]


def test_it_is_the_test_phase_that_runs(folder: Path) -> None:
    run("extract-features", "net.caffemodel", "net.prototxt", "relu", "a", "1", "lmdb", "--quiet")
    values = [Datum.FromString(value).float_data for _, value in records(folder / "a")]
    np.testing.assert_array_equal(np.array(values, np.float32), np.maximum(np.array(expected("ip", 1)), 0))


def test_a_scalar_is_one_value_a_batch(folder: Path) -> None:
    run("extract-features", "net.caffemodel", "net.prototxt", "loss", "a", "2", "lmdb")
    values = [Datum.FromString(value).float_data[0] for _, value in records(folder / "a")]
    with contextlib.closing(Net("net.prototxt", phase=TEST, weights="net.caffemodel")) as net:
        assert values == [np.float32(net.forward_loss()), np.float32(net.forward_loss())]


def test_blobs_with_the_channels_last(monkeypatch: pytest.MonkeyPatch) -> None:
    blob = Blob((2, 3, 4, 5), order=(0, 2, 3, 1))
    blob.data[...] = np.arange(120).reshape(2, 3, 4, 5)
    second = Datum.FromString(features._datums(blob)[1])
    assert (second.channels, second.height, second.width) == (3, 4, 5)
    np.testing.assert_array_equal(second.float_data, np.arange(60, 120))


def test_logs_every_thousand(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_LOGGED", 5)
    lines = messages(run("extract-features", "net.caffemodel", "net.prototxt", "ip", "a", "3", "lmdb"))
    counts = [line.split()[4] for line in lines if "Extracted features of" in line]
    assert counts == ["5", "10", "12"]


def test_leveldb_and_a_gpu_that_is_not_there(folder: Path) -> None:
    pytest.importorskip("plyvel")
    args = ("net.caffemodel", "net.prototxt", "ip", "a", "1", "leveldb", "GPU", "0")
    result = run("extract-features", *args)
    assert "W --gpu GPU: there is no GPU here; computing on the CPU." in messages(result)
    assert len(records(folder / "a")) == 4


@pytest.mark.parametrize(
    ("args", "status", "problem"),
    [
        (("ips", "a"), 1, 'Unknown feature blob name "ips" in the network net.prototxt; did you mean "ip"?'),
        (("xyzzy", "a"), 1, "its blobs are data, label, "),
        (("ip,data", "a"), 2, "got 2 blobs, a."),
        (("ip,data", "a,a"), 2, "Give a database of its own for each blob"),
        (("ip,data", "a,./a/"), 2, "Give a database of its own for each blob"),
        (("ip", "there"), 1, "there: expected the name of a new database"),
        (("ip", "no/a"), 1, "there is no folder "),
        (("data,ip", "a,there"), 1, "there: expected the name of a new database"),
    ],
)
def test_what_is_refused(folder: Path, args: tuple[str, str], status: int, problem: str) -> None:
    (folder / "there").mkdir()
    before = files_in(folder)
    result = run("extract-features", "net.caffemodel", "net.prototxt", *args, "1", "lmdb", status=status)
    assert problem in result.output
    assert files_in(folder) == before


@pytest.mark.parametrize(
    "args", [("0", "lmdb"), ("x", "lmdb"), ("1", "hdf5"), ("1", "lmdb", "TPU"), ("1", "lmdb", "GPU", "0", "1"), ("1",)]
)
def test_wrong_usage(folder: Path, args: tuple[str, ...]) -> None:
    run("extract-features", "net.caffemodel", "net.prototxt", "ip", "a", *args, status=2)


def test_missing_files_are_named(folder: Path) -> None:
    result = run("extract-features", "no.caffemodel", "net.prototxt", "ip", "a", "1", "lmdb", status=1)
    assert f"looked for {folder}/no.caffemodel from the working folder {folder}" in result.output
    result = run("extract-features", "net.caffemodel", "no.prototxt", "ip", "a", "1", "lmdb", status=1)
    assert f"looked for {folder}/no.prototxt from the working folder {folder}" in result.output


def test_a_failure_on_the_way_leaves_no_database(folder: Path) -> None:
    write_idx(folder / "tiny-labels-idx1-ubyte", np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 99]))
    before = files_in(folder)
    result = run("extract-features", "net.caffemodel", "net.prototxt", "ip,data", "a,b", "3", "lmdb", status=1)
    assert "expected labels from 0 to 2, got 99" in result.output
    assert files_in(folder) == before


def test_blobs_of_more_than_four_axes(folder: Path) -> None:
    (folder / "five.prototxt").write_text(
        'layer { name: "in" type: "Input" top: "in" input_param { shape { dim: [1, 1, 1, 1, 2] } } }'
    )
    message = r'Blob "in" .*expected at most 4 axes.*got shape \[1, 1, 1, 1, 2\]'
    with contextlib.closing(Net("five.prototxt", phase=TEST)) as net, pytest.raises(CaffeError, match=message):
        features.check_blobs(net, ["in"])
