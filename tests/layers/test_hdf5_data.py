"""The HDF5Data layer: Caffe's batches, files that follow one another, and what can be wrong with them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite import rng
from pycaffe_lite.blob import Blob
from pycaffe_lite.data.sources import hdf5
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.layers.contract import Place
from pycaffe_lite.layers.hdf5_data import HDF5Data
from pycaffe_lite.layers.registry import create
from pycaffe_lite.phase import TRAIN
from pycaffe_lite.proto import caffe_pb2
from pycaffe_lite.proto.text import parse
from rigs.golden_formats import FORMATS
from rigs.layer_rig import layer_param

h5py = pytest.importorskip("h5py")

Opened = tuple[HDF5Data, list[Blob]]


@pytest.fixture
def opened() -> Iterator[Callable[..., Opened]]:
    """Builds HDF5Data layers, and closes them in the end."""
    made: list[HDF5Data] = []

    def build(param: Any, folder: Path) -> Opened:
        layer = create(param, TRAIN, Place(folder=str(folder)))
        assert isinstance(layer, HDF5Data)
        made.append(layer)
        top = [Blob() for _ in param.top]
        layer.build([], top)
        return layer, top

    yield build
    for layer in made:
        layer.close()


def param_of(fields: str = "", tops: str = 'top: "data"', source: str = "list.txt", batch_size: int = 4) -> Any:
    return layer_param(
        f'type: "HDF5Data" {tops} hdf5_data_param {{ source: "{source}" batch_size: {batch_size} {fields} }}'
    )


def write_files(folder: Path, *rows: int, width: int = 2) -> None:
    """Files of so many rows; the first value of each row is its number among all."""
    start = 0
    for i, count in enumerate(rows):
        with h5py.File(folder / f"{i}.h5", "w") as file:
            numbers = np.arange(start, start + count)
            file.create_dataset("data", data=numbers[:, None] + np.zeros((1, width)), chunks=True)
        start += count
    (folder / "list.txt").write_text("".join(f"{i}.h5\n" for i in range(len(rows))))


def numbers(layer: HDF5Data, top: list[Blob], passes: int) -> list[int]:
    seen: list[int] = []
    for _ in range(passes):
        layer.forward([], top)
        seen += top[0].data[:, 0].astype(int).tolist()
    return seen


@pytest.mark.parametrize("at_once", [True, False])
def test_batches_are_those_of_caffe(
    at_once: bool, opened: Callable[..., Opened], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdf5, "WHOLE_BYTES", 1 << 30 if at_once else 0)
    net = parse((FORMATS / "hdf5/data.prototxt").read_text(), caffe_pb2.NetParameter)
    layer, top = opened(net.layer[0], FORMATS)
    with np.load(FORMATS / "hdf5/data.npz") as arrays:
        expected = dict(arrays)
    for i in range(len(expected["data"])):
        layer.forward([], top)
        for name, blob in zip(net.layer[0].top, top, strict=True):
            np.testing.assert_array_equal(blob.data, expected[name][i])


def test_a_batch_may_go_round_several_times(tmp_path: Path, opened: Callable[..., Opened]) -> None:
    write_files(tmp_path, 3, 1)
    layer, top = opened(param_of(batch_size=10), tmp_path)
    assert numbers(layer, top, 2) == [0, 1, 2, 3] * 5


def test_no_word_of_the_generator_is_taken(tmp_path: Path, opened: Callable[..., Opened]) -> None:
    write_files(tmp_path, 3)
    opened(param_of("shuffle: true"), tmp_path)
    assert rng.word() == rng.Generator(1).word()


@pytest.mark.parametrize("at_once", [True, False])
def test_shuffling_gives_each_row_once_in_a_pass(
    at_once: bool, tmp_path: Path, opened: Callable[..., Opened], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdf5, "WHOLE_BYTES", 1 << 30 if at_once else 0)
    write_files(tmp_path, 5, 3, 4)
    layer, top = opened(param_of("shuffle: true"), tmp_path)
    seen = numbers(layer, top, 12)
    passes = [seen[i : i + 12] for i in range(0, 48, 12)]
    assert all(sorted(each) == list(range(12)) for each in passes)
    assert len({tuple(each) for each in passes}) == 4
    assert len({each[0] // 5 for each in passes}) > 1
    rng.set_random_seed(1)
    assert numbers(*opened(param_of("shuffle: true"), tmp_path), 12) == seen
    rng.set_random_seed(2)
    assert numbers(*opened(param_of("shuffle: true"), tmp_path), 12) != seen


@pytest.mark.parametrize("fields", ["", "shuffle: true"])
def test_state_and_restore(fields: str, tmp_path: Path, opened: Callable[..., Opened]) -> None:
    write_files(tmp_path, 5, 3, 4)
    layer, top = opened(param_of(fields, batch_size=5), tmp_path)
    numbers(layer, top, 4)
    state = layer.state()
    expected = numbers(layer, top, 5)
    rng.set_random_seed(9)
    other, other_top = opened(param_of(fields, batch_size=5), tmp_path)
    other.restore(state)
    assert numbers(other, other_top, 5) == expected


def test_rows_are_read_ahead_by_another_thread(
    tmp_path: Path, opened: Callable[..., Opened], monkeypatch: pytest.MonkeyPatch
) -> None:
    readers: list[str] = []
    read = hdf5.RowFile.read

    def noting(self: Any, *args: Any) -> None:
        readers.append(threading.current_thread().name)
        read(self, *args)

    monkeypatch.setattr(hdf5.RowFile, "read", noting)
    write_files(tmp_path, 40)
    layer, top = opened(param_of(batch_size=4), tmp_path)
    assert numbers(layer, top, 1) == [0, 1, 2, 3]
    for _ in range(500):
        if len(readers) >= 5:  # the batch that the net has, and four ahead of it
            break
        time.sleep(0.01)
    assert len(readers) >= 5
    assert threading.current_thread().name not in readers
    assert layer.state() == {"pass": 0, "file": 0, "row": 4}  # as if the others had not been read


def test_a_state_from_before_rows_were_read_ahead(tmp_path: Path, opened: Callable[..., Opened]) -> None:
    write_files(tmp_path, 5, 3)
    layer, top = opened(param_of(batch_size=4), tmp_path)
    numbers(layer, top, 1)
    layer.restore({"pass": 3, "file": 1, "row": 2})
    assert numbers(layer, top, 2) == [7, 0, 1, 2, 3, 4, 5, 6]
    shuffled, top = opened(param_of("shuffle: true", batch_size=8), tmp_path)
    shuffled.restore({"pass": 2, "file": 0, "row": 0, "shuffle_seed": 1791095845})
    assert numbers(shuffled, top, 1) == [4, 0, 3, 1, 2, 7, 6, 5]


@pytest.mark.parametrize("state", [{}, {"pass": 0, "file": 1, "row": 0}, {"pass": 0, "file": 0, "row": 3}])
def test_a_state_of_other_files_is_refused(
    state: dict[str, int], tmp_path: Path, opened: Callable[..., Opened]
) -> None:
    write_files(tmp_path, 3)
    layer, top = opened(param_of(batch_size=2), tmp_path)
    numbers(layer, top, 1)
    with pytest.raises(CaffeError):
        layer.restore(state)
    assert numbers(layer, top, 1) == [2, 0]


def test_files_are_found_beside_their_list(tmp_path: Path, opened: Callable[..., Opened]) -> None:
    (tmp_path / "lists").mkdir()
    write_files(tmp_path / "lists", 2)
    layer, top = opened(param_of(source="lists/list.txt", batch_size=2), tmp_path)
    assert numbers(layer, top, 1) == [0, 1]


def damage(folder: Path) -> None:
    """Files that are wrong in one way each, with a list for each."""
    whole = (FORMATS / "hdf5/one.h5").read_bytes()
    contents = {"empty.h5": b"", "text.h5": b"words\n" * 99, "half.h5": whole[: len(whole) // 2]}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "folder.h5").mkdir()
    datasets: dict[str, Any] = {
        "string": np.array([b"a", b"b"]),
        "complex": np.ones(3, complex),
        "record": np.ones(3, [("a", float)]),
        "flags": np.ones(3, bool),
        "scalar": 3.0,
        "no_rows": np.zeros((0, 3)),
        "rows": np.ones((3, 2)),
        "null": h5py.Empty("f"),
    }
    with h5py.File(folder / "odd.h5", "w") as file:
        for name, values in datasets.items():
            file[name] = values
        file["link"] = h5py.SoftLink("/nowhere")
        file["outside"] = h5py.ExternalLink("none.h5", "/data")
        file.create_group("group")
        file.create_dataset("huge", (1 << 40, 1 << 20), "f")
    for name in (*contents, "folder.h5", "odd.h5", "none.h5"):
        (folder / f"{name}.txt").write_text(f"{name}\n")
    (folder / "blank.txt").write_text(" \n")
    (folder / "long.txt").write_bytes(b"\0" * 100)


LISTS = [
    ("none.txt", 'no list of HDF5 files "none.txt"'),
    ("", "Expected the path of a list"),
    ("blank.txt", "path of one HDF5 file or more, got none"),
    ("long.txt", "expected a text file"),
    ("odd.h5", "is an HDF5 file; expected a text file"),
    ("folder.h5", "folder.h5: it is a folder"),
    ("none.h5.txt", 'no HDF5 file "none.h5"'),
    ("empty.h5.txt", "expected an HDF5 file that can be read"),
    ("text.h5.txt", "expected an HDF5 file that can be read"),
    ("half.h5.txt", "expected an HDF5 file that can be read: .*truncated"),
    ("folder.h5.txt", "expected an HDF5 file that can be read"),
]


@pytest.mark.parametrize(("source", "words"), LISTS)
def test_lists_and_files_that_are_wrong(source: str, words: str, tmp_path: Path, opened: Callable[..., Opened]) -> None:
    damage(tmp_path)
    with pytest.raises(CaffeError, match=rf'^layer "layer" \(HDF5Data\): .*{words}'):
        opened(param_of(source=source), tmp_path)


DATASETS = [
    ("other", 'dataset "other", got none; it has '),
    ("row", 'dataset "row", got none; did you mean "rows"'),
    ("string", 'numbers in dataset "string"'),
    ("complex", 'numbers in dataset "complex", got complex128'),
    ("record", 'numbers in dataset "record"'),
    ("flags", 'numbers in dataset "flags", got bool'),
    ("scalar", r'one row or more in dataset "scalar", got shape \[\]'),
    ("no_rows", r'one row or more in dataset "no_rows", got shape \[0, 3\]'),
    ("null", 'one row or more in dataset "null"'),
    ("link", 'dataset "link", got none'),
    ("outside", 'dataset "outside", got none'),
    ("group", 'dataset "group", got none'),
    ("huge", 'dataset "huge" claims shape'),
]


@pytest.mark.parametrize(("name", "words"), DATASETS)
def test_datasets_that_are_wrong(name: str, words: str, tmp_path: Path, opened: Callable[..., Opened]) -> None:
    damage(tmp_path)
    with pytest.raises(CaffeError, match=rf"(?s)\(HDF5Data\): .*{words}"):
        opened(param_of(source="odd.h5.txt", tops=f'top: "{name}"', batch_size=1 << 20), tmp_path)


def test_datasets_with_other_numbers_of_rows(tmp_path: Path, opened: Callable[..., Opened]) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"], file["label"] = np.ones((3, 2)), np.ones(4)
    (tmp_path / "list.txt").write_text("a.h5")
    with pytest.raises(CaffeError, match='rows in dataset "label" as the 3 of "data", got 4'):
        opened(param_of(tops='top: "data" top: "label"'), tmp_path)


def test_rows_of_another_shape_in_a_later_file(tmp_path: Path, opened: Callable[..., Opened]) -> None:
    write_files(tmp_path, 4, 4)
    with h5py.File(tmp_path / "1.h5", "w") as file:
        file["data"] = np.ones((4, 3))
    layer, top = opened(param_of(), tmp_path)
    layer.forward([], top)
    for _ in range(2):
        with pytest.raises(CaffeError, match=r"1.h5: expected rows of shapes \[2\], as .*0.h5 has, got \[3\]"):
            layer.forward([], top)


def test_what_the_layer_does_not_take(tmp_path: Path, opened: Callable[..., Opened]) -> None:
    write_files(tmp_path, 3)
    with pytest.raises(CaffeError, match="batch_size: … } of 1 or more"):
        opened(param_of(batch_size=0), tmp_path)
    param = param_of()
    param.transform_param.scale = 2
    with pytest.raises(CaffeError, match="does not transform data"):
        opened(param, tmp_path)


def test_a_closed_layer_says_so(tmp_path: Path, opened: Callable[..., Opened]) -> None:
    write_files(tmp_path, 3)
    layer, top = opened(param_of(), tmp_path)
    layer.close()
    with pytest.raises(CaffeError, match="got one that has been closed"):
        layer.forward([], top)
