"""The Data layer: Caffe's batches, Caffe's words of the random generator, and what can be wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite import log, rng
from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import CaffeError, MissingExtra
from pycaffe_lite.layers.contract import Place
from pycaffe_lite.layers.data import DataLayer
from pycaffe_lite.layers.registry import create
from pycaffe_lite.phase import TEST, TRAIN
from pycaffe_lite.proto import caffe_pb2
from pycaffe_lite.proto.text import parse
from rigs.golden_formats import FORMATS, table
from rigs.layer_rig import layer_param

Opened = tuple[DataLayer, list[Blob]]
CASES = {
    name: case
    for name, case in {**table("transform.json"), **table("transform_train.json")}.items()
    if "image" not in name
}
PACKAGES = {"png": "cv2", "jpg": "cv2", "leveldb": "plyvel", "gray": "cv2"}


@pytest.fixture
def opened() -> Iterator[Callable[..., Opened]]:
    """Builds Data layers, and closes them in the end."""
    made: list[DataLayer] = []

    def build(param: Any, phase: int = TRAIN, folder: str = "") -> Opened:
        layer = create(param, phase, Place(folder=folder))
        assert isinstance(layer, DataLayer)
        top = [Blob() for _ in param.top]
        made.append(layer)
        layer.build([], top)
        return layer, top

    yield build
    for layer in made:
        layer.close()


def param_of(
    source: Path | str, more: str = "backend: IDX", transform: str = "", tops: str = "", batch_size: int = 4
) -> Any:
    """A layer that reads from a source, IDX files unless `more` says otherwise."""
    fields = f'source: "{source}" batch_size: {batch_size} {more}'
    tops = tops or 'top: "data" top: "label"'
    return layer_param(f'type: "Data" {tops} transform_param {{ {transform} }} data_param {{ {fields} }}')


def run(layer: DataLayer, top: list[Blob], passes: int) -> list[np.ndarray]:
    results = []
    for _ in range(passes):
        layer.forward([], top)
        results.append(top[0].data.copy())
    return results


# -- parity --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_batches_are_those_of_caffe(name: str, opened: Callable[..., Opened], tmp_path: Path) -> None:
    for word, package in PACKAGES.items():
        if word in name:
            pytest.importorskip(package)
    case = CASES[name]
    net = parse((FORMATS / case["prototxt"]).read_text(), caffe_pb2.NetParameter)
    folder = FORMATS
    if "leveldb" in name:
        folder = tmp_path
        _copy_leveldb(net.layer[0].data_param.source, tmp_path)
    rng.set_random_seed(case.get("random_seed", 1))
    layer, top = opened(net.layer[0], TRAIN if case.get("phase") == "TRAIN" else TEST, str(folder))
    with np.load(FORMATS / case["arrays"]) as arrays:
        expected = dict(arrays)
    for i in range(case["passes"]):
        layer.forward([], top)
        assert top[0].shape == tuple(case["shape"])
        tolerance = 2 if "jpg" in name else 1e-6
        np.testing.assert_allclose(top[0].data, expected["data"][i], rtol=0, atol=tolerance)
        np.testing.assert_array_equal(top[1].data, expected["label"][i])
    if "after" in expected:
        after = expected["after"]
        np.testing.assert_array_equal(rng.uniform(after.size).reshape(after.shape), after)


def _copy_leveldb(source: str, folder: Path) -> None:
    (folder / source).mkdir(parents=True)
    for file in (FORMATS / source).iterdir():
        (folder / source / file.name).write_bytes(file.read_bytes())


@pytest.mark.parametrize(
    ("phase", "transform", "words"),
    [
        (TRAIN, "", 1),
        (TRAIN, "scale: 2 mean_value: 3", 1),
        (TEST, "crop_size: 5", 1),
        (TRAIN, "crop_size: 5", 3),
        (TEST, "mirror: true", 3),
        (TRAIN, "mirror: true crop_size: 5", 3),
    ],
)
def test_takes_as_many_words_as_caffe(
    tiny_mnist: Path, opened: Callable[..., Opened], phase: int, transform: str, words: int
) -> None:
    opened(param_of(tiny_mnist / "train-images-idx3-ubyte", transform=transform), phase)
    expected = rng.Generator(1)
    expected.words(words)
    assert rng.word() == expected.word()


def test_logs_what_caffe_logs(opened: Callable[..., Opened], monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    log.set_sink(lines.append)
    log.set_level("I")
    monkeypatch.chdir(FORMATS)
    opened(param_of("db/raw_lmdb", "backend: LMDB", "crop_size: 7"))
    assert [line.split("] ")[1] for line in lines[:2]] == [
        "Opened lmdb db/raw_lmdb",
        "output data size: 4,3,7,7",
    ]


# -- IDX -----------------------------------------------------------------------------------------------------


def test_idx_batches(tiny_mnist: Path, opened: Callable[..., Opened]) -> None:
    path = tiny_mnist / "train-images-idx3-ubyte"
    layer, top = opened(param_of(path, transform="scale: 0.00390625"))
    pixels = np.fromfile(path, np.uint8, offset=16).reshape(20, 1, 28, 28)
    batches = run(layer, top, 6)
    np.testing.assert_array_equal(np.concatenate(batches)[:20], pixels * np.float32(0.00390625))
    np.testing.assert_array_equal(batches[5], batches[0])
    np.testing.assert_array_equal(top[1].data, [0, 1, 2, 3])


def test_one_top_needs_no_labels(tiny_mnist: Path, opened: Callable[..., Opened]) -> None:
    (tiny_mnist / "train-labels-idx1-ubyte").unlink()
    layer, top = opened(param_of(tiny_mnist / "train-images-idx3-ubyte", tops='top: "data"'))
    assert run(layer, top, 1)[0].shape == (4, 1, 28, 28)
    with pytest.raises(CaffeError, match="expected its labels beside it"):
        opened(param_of(tiny_mnist / "train-images-idx3-ubyte"))


def test_forward_hands_the_batch_over_uncopied(tiny_mnist: Path, opened: Callable[..., Opened]) -> None:
    layer, top = opened(param_of(tiny_mnist / "train-images-idx3-ubyte", "backend: IDX prefetch: 2"))
    seen = set()
    for _ in range(20):
        layer.forward([], top)
        seen.add(top[0].data.__array_interface__["data"][0])
    assert len(seen) <= 3


@pytest.mark.parametrize("more", ["backend: IDX", "backend: IDX shuffle: true"])
def test_state_and_restore(tiny_mnist: Path, opened: Callable[..., Opened], more: str) -> None:
    param = param_of(tiny_mnist / "train-images-idx3-ubyte", more, "crop_size: 20 mirror: true")
    layer, top = opened(param)
    run(layer, top, 3)
    state = layer.state()
    expected = run(layer, top, 7)
    rng.set_random_seed(99)
    other, other_top = opened(param)
    other.restore(state)
    np.testing.assert_array_equal(run(other, other_top, 7), expected)


def test_shuffle(tiny_mnist: Path, opened: Callable[..., Opened]) -> None:
    layer, top = opened(param_of(tiny_mnist / "train-images-idx3-ubyte", "backend: IDX shuffle: true"))
    pixels = np.fromfile(tiny_mnist / "train-images-idx3-ubyte", np.uint8, offset=16).reshape(20, -1)
    order = []
    for _ in range(10):
        layer.forward([], top)
        for image, label in zip(top[0].data.reshape(4, -1), top[1].data, strict=True):
            (record,) = np.flatnonzero((pixels == image).all(axis=1))
            assert label == record % 10
            order.append(int(record))
    assert sorted(order[:20]) == sorted(order[20:]) == list(range(20))
    assert order[:20] != order[20:]


def test_shuffle_of_an_lmdb(opened: Callable[..., Opened]) -> None:
    source = FORMATS / "db" / "many_lmdb"
    layer, top = opened(param_of(source, "backend: LMDB shuffle: true", batch_size=1010))
    layer.forward([], top)
    labels = top[1].data.astype(int)
    assert labels.tolist() != sorted(labels) == list(range(1010))
    np.testing.assert_array_equal(top[0].data, np.load(str(source) + ".npz")["data"][labels])


def test_closed_layer(tiny_mnist: Path, opened: Callable[..., Opened]) -> None:
    layer, top = opened(param_of(tiny_mnist / "train-images-idx3-ubyte"))
    layer.close()
    layer.close()
    for action in (lambda: layer.forward([], top), layer.state, lambda: layer.restore({"position": 0})):
        with pytest.raises(CaffeError, match=r'layer "layer" \(Data\): expected an open layer'):
            action()


# -- what can be wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "transform", "message"),
    [
        ("backend: IDX", "crop_size: 29", "at least crop_size 29, got height 28 and width 28"),
        ("backend: IDX", "mean_value: 1 mean_value: 2", "one for each of the 1 channels, got 2"),
        ("backend: IDX", 'mean_file: "nothing"', 'There is no mean file "nothing"'),
        ("backend: LMDB", "", "expected a source for backend: LMDB, got one for IDX"),
        ("backend: LEVELDB", "", "expected a source for backend: LEVELDB, got one for IDX"),
        ("backend: IDX", 'mean_value: 1 mean_file: "x"', "expected mean_file or mean_value, got both"),
    ],
)
def test_refuses(tiny_mnist: Path, opened: Callable[..., Opened], more: str, transform: str, message: str) -> None:
    if "LEVELDB" in more:
        pytest.importorskip("plyvel")
    with pytest.raises(CaffeError, match=r'^layer "layer" \(Data\): .*' + re.escape(message)):
        opened(param_of(tiny_mnist / "train-images-idx3-ubyte", more, transform))


@pytest.mark.parametrize(
    ("batch_size", "message"), [(0, "of 1 or more, got 0 or none"), (4 * 10**9, "A blob holds at most")]
)
def test_refuses_batch_sizes(tiny_mnist: Path, opened: Callable[..., Opened], batch_size: int, message: str) -> None:
    with pytest.raises(CaffeError, match=r'^layer "layer" \(Data\): .*' + message):
        opened(param_of(tiny_mnist / "train-images-idx3-ubyte", batch_size=batch_size))


def test_refuses_no_source_and_a_missing_one(opened: Callable[..., Opened]) -> None:
    for text, message in (("batch_size: 4", "source: ... }, got none"), ('batch_size: 4 source: "x"', '"x"')):
        with pytest.raises(CaffeError, match=r'^layer "layer" \(Data\): .*' + message):
            opened(layer_param(f'type: "Data" top: "data" data_param {{ {text} }}'))


def test_a_bad_record_is_named_when_its_turn_comes(tmp_path: Path, opened: Callable[..., Opened]) -> None:
    lmdb = pytest.importorskip("lmdb")
    datum = caffe_pb2.Datum(channels=1, height=1, width=2, data=b"ab", label=1).SerializeToString()
    with lmdb.open(str(tmp_path), map_size=1 << 20) as env, env.begin(write=True) as transaction:
        for i in range(12):
            transaction.put(b"%03d" % i, datum if i != 6 else b"garbage")
    layer, top = opened(param_of(tmp_path, "backend: LMDB"))
    layer.forward([], top)
    with pytest.raises(CaffeError, match=rf"\(Data\): {tmp_path}, record 6 \(key '006'\): expected a Datum"):
        layer.forward([], top)


def test_missing_packages_keep_their_hint(opened: Callable[..., Opened], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(MissingExtra, match="images"):
        opened(param_of(FORMATS / "db" / "png_lmdb", "backend: LMDB"))


def test_rand_skip_is_ignored_and_said_to_be(tiny_mnist: Path, opened: Callable[..., Opened]) -> None:
    lines: list[str] = []
    log.set_sink(lines.append)
    log.set_level("W")
    layer, top = opened(param_of(tiny_mnist / "train-images-idx3-ubyte", "backend: IDX rand_skip: 9"))
    layer.forward([], top)
    np.testing.assert_array_equal(top[1].data, [0, 1, 2, 3])
    assert len(lines) == 1 and "rand_skip is ignored" in lines[0]


def test_shape_follows_the_records(tmp_path: Path, opened: Callable[..., Opened]) -> None:
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(tmp_path), map_size=1 << 20) as env, env.begin(write=True) as transaction:
        for width in (2, 3):
            datum = caffe_pb2.Datum(channels=1, height=1, width=width, data=b"x" * width, label=width)
            transaction.put(b"%03d" % width, datum.SerializeToString())
    layer, top = opened(param_of(tmp_path, "backend: LMDB", batch_size=1))
    for width in (2, 3, 2):
        layer.forward([], top)
        assert top[0].shape == (1, 1, 1, width)
        np.testing.assert_array_equal(top[1].data, [width])
