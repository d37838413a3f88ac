"""Several labels a record, from lists, databases, npz and csv files: shapes, order, resuming, nets that learn them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite import rng
from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.layers.contract import Place
from pycaffe_lite.layers.feed_base import FeedLayer
from pycaffe_lite.layers.registry import create
from pycaffe_lite.phase import TRAIN
from pycaffe_lite.proto.caffe_pb2 import Datum
from rigs.data_tools import write_lmdb
from rigs.layer_rig import layer_param
from rigs.net_rig import inner_product, layer, make_solver

Opened = tuple[FeedLayer, list[Blob]]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[str], Opened]]:
    """Builds data layers, and closes them in the end."""
    made: list[FeedLayer] = []

    def build(text: str) -> Opened:
        one = create(layer_param(f'top: "data" top: "label" {text}'), TRAIN, Place(folder=str(tmp_path)))
        assert isinstance(one, FeedLayer)
        made.append(one)
        top = [Blob(), Blob()]
        one.build([], top)
        return one, top

    yield build
    for one in made:
        one.close()


def image_list(folder: Path, text: str, names: list[str]) -> None:
    """A list, and images of 2 x 3 of which image i is all i."""
    cv2 = pytest.importorskip("cv2")
    for i, name in enumerate(names):
        (folder / name).write_bytes(cv2.imencode(".png", np.full((2, 3), i, np.uint8))[1].tobytes())
    (folder / "list.txt").write_text(text)


def image_data(fields: str) -> str:
    return f'type: "ImageData" image_data_param {{ source: "list.txt" is_color: false {fields} }}'


def batches(one: FeedLayer, top: list[Blob], passes: int) -> tuple[list[Any], list[Any]]:
    """The first values of the images, and the labels."""
    images, labels = [], []
    for _ in range(passes):
        one.forward([], top)
        images += top[0].data.reshape(len(top[0].data), -1)[:, 0].tolist()
        labels += top[1].data.tolist()
    return images, labels


# -- image lists ---------------------------------------------------------------------------------------------


def test_label_dim_numbers_end_each_line(tmp_path: Path, opened: Callable[[str], Opened]) -> None:
    image_list(tmp_path, "a 1.png 1 0 -0.5\nb.png\t2  3 1e1\n", ["a 1.png", "b.png"])
    one, top = opened(image_data("batch_size: 3 label_dim: 3"))
    assert [blob.shape for blob in top] == [(3, 1, 2, 3), (3, 3)]
    assert batches(one, top, 1) == ([0, 1, 0], [[1, 0, -0.5], [2, 3, 10], [1, 0, -0.5]])


def test_one_label_a_line_is_caffes_rule(tmp_path: Path, opened: Callable[[str], Opened]) -> None:
    image_list(tmp_path, "my 2 photo 3\n", ["my 2 photo"])
    for label_dim in ("", "label_dim: 1"):
        one, top = opened(image_data(label_dim))
        assert top[1].shape == (1,)
        assert batches(one, top, 1) == ([0], [3])


def test_one_real_label_a_line(tmp_path: Path, opened: Callable[[str], Opened]) -> None:
    image_list(tmp_path, "a.png 0.5\nb.png -2\n", ["a.png", "b.png"])
    one, top = opened(image_data("batch_size: 3 label_dim: 1"))
    assert top[1].shape == (3,)
    assert batches(one, top, 1) == ([0, 1, 0], [0.5, -2, 0.5])
    np.testing.assert_array_equal(one.all_labels(), [0.5, -2])
    with pytest.raises(CaffeError, match=r"list.txt:1: .*a whole number .*; label_dim: 1, .*takes a real number"):
        opened(image_data("batch_size: 3"))


def test_lists_without_labels(tmp_path: Path, opened: Callable[[str], Opened]) -> None:
    image_list(tmp_path, "a.png\nb.png\n", ["a.png", "b.png"])
    one, top = opened(image_data("batch_size: 2"))
    assert batches(one, top, 1) == ([0, 1], [0, 0])


def test_shuffled_lists_keep_images_and_labels_together(tmp_path: Path, opened: Callable[[str], Opened]) -> None:
    names = [f"{i}.png" for i in range(5)]
    image_list(tmp_path, "".join(f"{i}.png {i} {i / 2}\n" for i in range(5)), names)
    one, top = opened(image_data("batch_size: 2 label_dim: 2 shuffle: true"))
    images, labels = batches(one, top, 5)
    assert labels == [[i, i / 2] for i in images]
    assert sorted(images[:5]) == sorted(images[5:]) == list(range(5))
    assert images[:5] != images[5:]


@pytest.mark.parametrize(
    ("text", "fields", "problem"),
    [
        ("a.png 1 2\n", "label_dim: 3", r"list.txt:1: expected the name of an image and 3 numbers, .* got 'a.png 1 2'"),
        ("a.png 1 x\n", "label_dim: 2", "list.txt:1: expected the name of an image and 2 numbers"),
        ("a.png 1 nan\n", "label_dim: 2", "list.txt:1: expected the name of an image and 2 numbers"),
        ("a.png 1 1e39\n", "label_dim: 2", "list.txt:1: expected the name of an image and 2 numbers"),
        ("a.png 1\n", "label_dim: 0", "label_dim: … } of 1 or more, got 0"),
        ("a.png 1 2\n", "", r"a.png 1: no such file .*, looked for from the working folder .*label_dim: … } says so"),
        ("b.png 1\n", "", r"b.png: no such file \(.*b.png\), looked for from the working folder /[^;]*$"),
    ],
)
def test_lines_that_do_not_fit(
    tmp_path: Path, opened: Callable[[str], Opened], text: str, fields: str, problem: str
) -> None:
    image_list(tmp_path, text, ["a.png"])
    with pytest.raises(CaffeError, match=problem):
        opened(image_data(fields))


def test_a_net_learns_three_labels_of_images(tmp_path: Path) -> None:
    """Which of three pixels of an image are white."""
    cv2 = pytest.importorskip("cv2")
    lines = []
    for i in range(8):
        bits = [i >> bit & 1 for bit in range(3)]
        pixels = np.array([bits], np.uint8) * 255
        (tmp_path / f"{i}.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
        lines.append(f"{i}.png {' '.join(map(str, bits))}\n")
    (tmp_path / "list.txt").write_text("".join(lines))
    data = layer(
        "data",
        "ImageData",
        top=["x", "label"],
        more='image_data_param { source: "list.txt" is_color: false batch_size: 8 label_dim: 3 } '
        "transform_param { scale: 0.0039 mean_value: 127 }",
    )
    loss = layer("loss", "SigmoidCrossEntropyLoss", ["fc", "label"], ["loss"])
    solver = make_solver(
        tmp_path,
        data + inner_product("fc", "x", 3) + loss,
        'base_lr: 4 lr_policy: "fixed" random_seed: 1 max_iter: 60 snapshot_after_train: false ',
    )
    try:
        first = float(solver.net.forward()["loss"])
        solver.solve()
        assert solver.net.blobs["label"].shape == (8, 3)
        assert float(solver.net.forward()["loss"]) < 0.2 < first
        np.testing.assert_array_equal(solver.net.blobs["fc"].data > 0, solver.net.blobs["label"].data == 1)
    finally:
        solver.close()


# -- databases -----------------------------------------------------------------------------------------------


def float_datum(pixel: int, labels: list[float]) -> bytes:
    datum = Datum(channels=1, height=1, width=2, data=bytes([pixel, pixel])).SerializeToString()
    return bytes(datum) + b"".join(b"\x2d" + struct.pack("<f", label) for label in labels)


@pytest.mark.parametrize("shuffle", ["", "shuffle: true"])
def test_datums_with_float_labels(tmp_path: Path, opened: Callable[[str], Opened], shuffle: str) -> None:
    write_lmdb(tmp_path / "db", [float_datum(i, [i, -i / 4]) for i in range(5)])
    text = f'type: "Data" data_param {{ source: "db" backend: LMDB batch_size: 2 {shuffle} }}'
    one, top = opened(text)
    assert top[1].shape == (2, 2)
    images, labels = batches(one, top, 5)
    assert labels == [[i, -i / 4] for i in images]
    assert sorted(images[:5]) == list(range(5))


def test_the_label_blob_follows_the_records(tmp_path: Path, opened: Callable[[str], Opened]) -> None:
    write_lmdb(tmp_path / "db", [float_datum(i, [1.0] * (1 + i)) for i in range(3)])
    one, top = opened('type: "Data" data_param { source: "db" backend: LMDB batch_size: 1 }')
    shapes = [top[1].shape]
    for _ in range(4):
        one.forward([], top)
        shapes.append(top[1].shape)
    assert shapes == [(1,), (1,), (1, 2), (1, 3), (1,)]


def test_a_second_database_of_labels(tmp_path: Path) -> None:
    """The recipe for stock Caffe: images in one database, k x 1 x 1 floats in another."""
    generator = np.random.default_rng(2)
    pixels = generator.integers(0, 256, (12, 4), dtype=np.uint8)
    targets = (pixels[:, :2] / 255 - pixels[:, 2:] / 510).astype(np.float32)
    rows = zip(pixels, targets, strict=True)
    images, labels = [], []
    for row, target in rows:
        images.append(bytes(Datum(channels=1, height=2, width=2, data=row.tobytes()).SerializeToString()))
        labels.append(bytes(Datum(channels=2, height=1, width=1, float_data=target.tolist()).SerializeToString()))
    write_lmdb(tmp_path / "images", images)
    write_lmdb(tmp_path / "labels", labels)
    net = (
        layer("images", "Data", top=["x"], more=database("images") + "transform_param { scale: 0.00392157 }")
        + layer("labels", "Data", top=["target"], more=database("labels"))
        + inner_product("fc", "x", 2)
        + layer("flat", "Flatten", ["target"], ["y"])
        + layer("loss", "EuclideanLoss", ["fc", "y"], ["loss"])
    )
    base = 'base_lr: 0.5 lr_policy: "fixed" random_seed: 1 max_iter: 500 snapshot_after_train: false '
    solver = make_solver(tmp_path, net, base)
    try:
        solver.solve()
        solver.net.forward()
        expected = solver.net.blobs["target"].data.reshape(4, 2)
        assert any(np.allclose(expected, targets[i : i + 4]) for i in (0, 4, 8))
        np.testing.assert_allclose(solver.net.blobs["fc"].data, expected, atol=0.02)
    finally:
        solver.close()


def database(name: str) -> str:
    return f'data_param {{ source: "{name}" backend: LMDB batch_size: 4 }} '


# -- npz and csv files ---------------------------------------------------------------------------------------


def npz(folder: Path) -> str:
    numbers = np.arange(10)
    images = numbers.reshape(-1, 1, 1).repeat(4, 1).repeat(4, 2).astype(np.uint8)
    np.savez(folder / "some.npz", data=images, label=np.stack([numbers, numbers / 2], axis=1))
    return 'source: "some.npz" backend: NPZ'


def csv(folder: Path) -> str:
    rows = [f"{i},{i},{i / 2}" for i in range(10)]
    (folder / "some.csv").write_text("\n".join(["x,label_0,label_1", *rows]))
    return 'source: "some.csv" backend: CSV'


@pytest.mark.parametrize("write", [npz, csv])
def test_files_are_read_on_and_round(write: Any, tmp_path: Path, opened: Callable[[str], Opened]) -> None:
    one, top = opened(f'type: "Data" data_param {{ {write(tmp_path)} batch_size: 4 }}')
    assert one.records() == 10
    images, labels = batches(one, top, 5)
    assert images == [*range(10), *range(10)]
    assert labels == [[i, i / 2] for i in images]


@pytest.mark.parametrize("write", [npz, csv])
def test_files_shuffled_and_resumed(write: Any, tmp_path: Path, opened: Callable[[str], Opened]) -> None:
    text = (
        f'type: "Data" data_param {{ {write(tmp_path)} batch_size: 4 shuffle: true }} transform_param {{ scale: 0.5 }}'
    )
    one, top = opened(text)
    seen = batches(one, top, 2)
    state = one.state()
    after = batches(one, top, 6)
    images = [2 * i for i in seen[0] + after[0]]
    assert sorted(images[:10]) == list(range(10)) != images[:10]
    assert seen[1] + after[1] == [[i, i / 2] for i in images]
    rng.set_random_seed(77)
    other, other_top = opened(text)
    other.restore(state)
    assert batches(other, other_top, 6) == after


def test_npz_images_are_cropped_and_mirrored(tmp_path: Path, opened: Callable[[str], Opened]) -> None:
    text = (
        f'type: "Data" data_param {{ {npz(tmp_path)} batch_size: 4 }} transform_param {{ crop_size: 2 mirror: true }}'
    )
    one, top = opened(text)
    assert top[0].shape == (4, 1, 2, 2)
    assert batches(one, top, 2)[0] == list(range(8))


# -- what is seen before training ----------------------------------------------------------------------------


@pytest.mark.parametrize(("bad", "record"), [(None, 0), ((3, 1), 3), ((5, 0), 5)])
def test_labels_of_classes_are_checked_in_all_columns(tmp_path: Path, bad: Any, record: int) -> None:
    labels = np.arange(12).reshape(6, 2) % 3
    if bad is not None:
        labels[bad] = 7
    np.savez(tmp_path / "some.npz", data=np.zeros((6, 1, 3, 2)), label=labels)
    net = layer("d", "Data", top=["x", "label"], more='data_param { source: "some.npz" backend: NPZ batch_size: 2 }')
    net += inner_product("fc", "x", 6) + layer(
        "r", "Reshape", ["fc"], ["scores"], "reshape_param { shape { dim: 0 dim: 3 dim: 2 } }"
    )
    net += layer("loss", "SoftmaxWithLoss", ["scores", "label"], ["loss"])
    base = 'base_lr: 0.1 lr_policy: "fixed" random_seed: 1 max_iter: 1 snapshot_after_train: false '
    solver = make_solver(tmp_path, net, base)
    try:
        if bad is None:
            solver.solve()
            return
        with pytest.raises(CaffeError, match=rf"expected labels from 0 to 2, .* got 7 in record {record}, and 1 such"):
            solver.solve()
    finally:
        solver.close()
