"""The same made-up records in each kind of source that several ranks can share, and small nets that train on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.proto.caffe_pb2 import Datum
from rigs.data_tools import write_lmdb
from rigs.idx_files import write_idx
from rigs.net_rig import inner_product, softmax_loss

RECORDS, SIDE, CLASSES = 150, 6, 4
PACKAGES = {"lmdb": "lmdb", "leveldb": "plyvel", "hdf5": "h5py", "images": "cv2", "windows": "cv2"}
"""What a source needs."""

SOURCES = ("idx", "npz", "csv", "lmdb", "leveldb", "hdf5", "images", "windows")
SHUFFLED = ("idx", "lmdb", "hdf5", "images")
"""Those that are tested with `shuffle: true`, too."""


def write_source(folder: Path, kind: str) -> None:
    """Writes RECORDS random images with labels of CLASSES classes: not a multiple of any batch."""
    if kind in PACKAGES:
        pytest.importorskip(PACKAGES[kind])
    generator = np.random.default_rng(11)
    images = generator.integers(0, 256, (RECORDS, 1, SIDE, SIDE), np.uint8)
    labels = generator.integers(0, CLASSES, RECORDS)
    WRITERS[kind](folder, images, labels)


def _idx(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    write_idx(folder / "train-images", images[:, 0])
    write_idx(folder / "train-labels", labels)


def _npz(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    np.savez(folder / "train.npz", data=images, label=labels)


def _csv(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    rows = [",".join(map(str, [label, *image.ravel()])) for image, label in zip(images, labels, strict=True)]
    (folder / "train.csv").write_text("\n".join(rows) + "\n")


def _datums(images: np.ndarray, labels: np.ndarray) -> list[bytes]:
    return [
        Datum(channels=1, height=SIDE, width=SIDE, data=image.tobytes(), label=int(label)).SerializeToString()
        for image, label in zip(images, labels, strict=True)
    ]


def _lmdb(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    write_lmdb(folder / "train-lmdb", _datums(images, labels))


def _leveldb(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    import plyvel

    db = plyvel.DB(str(folder / "train-leveldb"), create_if_missing=True)
    for i, value in enumerate(_datums(images, labels)):
        db.put(b"%04d" % i, value)
    db.close()


def _hdf5(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    import h5py

    for i, part in enumerate((slice(0, 41), slice(41, 42), slice(42, RECORDS))):
        with h5py.File(folder / f"train{i}.h5", "w") as file:
            file["x"], file["label"] = images[part] / np.float32(256), labels[part].astype(np.float32)
    (folder / "train-hdf5.txt").write_text("train0.h5\ntrain1.h5\ntrain2.h5\n")


def _images(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    import cv2

    lines = []
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        cv2.imwrite(str(folder / f"{i}.png"), image[0])
        lines.append(f"{i}.png {label}\n")
    (folder / "train-images.txt").write_text("".join(lines))


def _windows(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    import cv2

    text = ""
    for i in range(5):
        cv2.imwrite(str(folder / f"w{i}.png"), np.repeat(images[i, 0][..., None], 3, 2))
        text += f"# {i}\nw{i}.png\n3\n{SIDE}\n{SIDE}\n4\n"
        text += f"{1 + i % 3} 0.9 0 0 4 4\n2 0.8 1 1 5 5\n0 0.1 0 1 3 4\n0 0.2 2 2 5 5\n"
    (folder / "train-windows.txt").write_text(text)


WRITERS = {
    "idx": _idx, "npz": _npz, "csv": _csv, "lmdb": _lmdb, "leveldb": _leveldb, "hdf5": _hdf5, "images": _images,
    "windows": _windows,
}  # fmt: skip
_FILES = {
    "idx": "train-images", "npz": "train.npz", "csv": "train.csv", "lmdb": "train-lmdb", "leveldb": "train-leveldb",
    "hdf5": "train-hdf5.txt", "images": "train-images.txt", "windows": "train-windows.txt",
}  # fmt: skip
_SCALE = "transform_param { scale: 0.00390625 }"


def data_layer(kind: str, batch: int, shuffle: bool = False) -> str:
    """The text of a layer that reads that source."""
    names = 'name: "data" top: "x" top: "label" include { phase: TRAIN }'
    read = f'source: "{_FILES[kind]}" batch_size: {batch}' + (" shuffle: true" if shuffle else "")
    if kind == "hdf5":
        return f'layer {{ type: "HDF5Data" {names} hdf5_data_param {{ {read} }} }}\n'
    if kind == "images":
        return f'layer {{ type: "ImageData" {names} image_data_param {{ {read} is_color: false }} {_SCALE} }}\n'
    if kind == "windows":
        crop = "transform_param { crop_size: 4 mirror: true }"
        return f'layer {{ type: "WindowData" {names} window_data_param {{ {read} scale: 0.004 }} {crop} }}\n'
    return f'layer {{ type: "Data" {names} data_param {{ {read} backend: {kind.upper()} }} {_SCALE} }}\n'


def net_text(kind: str, batch: int, shuffle: bool = False) -> str:
    """A net of two layers, the second of which is used twice, so that its gradient is complete late."""
    shared = 'param { name: "w" } param { name: "b" }'
    return (
        'name: "shared" '
        + data_layer(kind, batch, shuffle)
        + inner_product("fc1", "x", 8)
        + 'layer { name: "relu" type: "ReLU" bottom: "fc1" top: "fc1" }'
        + inner_product("fc2", "fc1", 8, shared)
        + inner_product("fc3", "fc2", 8, shared)
        + inner_product("fc4", "fc3", CLASSES)
        + softmax_loss("fc4")
    )


RULES = {
    "SGD": "momentum: 0.9 weight_decay: 0.001 clip_gradients: 0.5",
    "passes": "momentum: 0.9 iter_size: 2",
    "Adam": 'type: "Adam" momentum: 0.9 momentum2: 0.99 delta: 1e-4',
}


def write_training(
    folder: Path, name: str, kind: str, batch: int, shuffle: bool, rule: str, more: str = "", rate: str = "0.01"
) -> Path:
    """Writes NAME.prototxt, the net, and the solver whose path is returned."""
    (folder / f"{name}.prototxt").write_text(net_text(kind, batch, shuffle))
    path = folder / f"{name}_solver.prototxt"
    path.write_text(
        f'net: "{name}.prototxt" base_lr: {rate} lr_policy: "fixed" random_seed: 5 max_iter: 20 '
        f'snapshot_prefix: "{name}" {RULES[rule]} {more}\n'
    )
    return path
