"""Layers that read from HDF5 files, image files and memory, and one that writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.phase import TEST
from rigs.layer_cases.table import Case, add, labels


def write_rows(folder: Path) -> None:
    """As many rows as a batch has, so that all batches are the same."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "rows.h5", "w") as file:
        file["data"] = np.random.default_rng(5).normal(size=(4, 3, 2))
        file["label"] = np.arange(4)
    (folder / "list.txt").write_text("rows.h5\n", encoding="utf-8")


add(
    Case(
        text='type: "HDF5Data" top: "data" top: "label" hdf5_data_param { source: "FOLDER/list.txt" batch_size: 4 }',
        tops=((4, 3, 2), (4,)),
        prepare=write_rows,
    )
)


def need_h5py(folder: Path) -> None:
    pytest.importorskip("h5py")


add(
    Case(
        text='type: "HDF5Output" bottom: "data" bottom: "label" hdf5_output_param { file_name: "FOLDER/written.h5" }',
        bottoms=((2, 3, 2, 2), labels((2,), 3)),
        differentiable=(),
        prepare=need_h5py,
        once=True,
    )
)
add(
    Case(
        text='type: "MemoryData" top: "data" top: "label" '
        "memory_data_param { batch_size: 2 channels: 3 height: 2 width: 4 }",
        tops=((2, 3, 2, 4), (2, 1, 1, 1)),
        arrange=lambda layer: layer.set_input_arrays(np.arange(48).reshape(2, 3, 2, 4), np.arange(2)),
    )
)


def write_images(folder: Path) -> None:
    """As many images as a batch has, so that all batches are the same."""
    cv2 = pytest.importorskip("cv2")
    pixels = np.random.default_rng(6).integers(0, 256, (3, 6, 5, 3), np.uint8)
    for i, image in enumerate(pixels):
        cv2.imwrite(str(folder / f"{i}.png"), image)
    (folder / "images.txt").write_text("0.png 2\n1.png 0\n2.png 1\n", encoding="utf-8")


IMAGES = 'source: "FOLDER/images.txt" root_folder: "FOLDER/" batch_size: 3'
for name, fields, transform, top in (
    ("plain", "", "", (3, 3, 6, 5)),
    ("gray-resized-cropped", "is_color: false new_height: 8 new_width: 9", "crop_size: 4 scale: 0.5", (3, 1, 4, 4)),
):
    add(
        Case(
            text=f'type: "ImageData" top: "data" top: "label" transform_param {{ {transform} }} '
            f"image_data_param {{ {IMAGES} {fields} }}",
            tops=(top, (3,)),
            name=name,
            phase=TEST,
            prepare=write_images,
        )
    )


def write_windows(folder: Path) -> None:
    """One window that a batch shows again and again."""
    write_images(folder)
    (folder / "windows.txt").write_text("# 0\n0.png\n3\n6\n5\n1\n2 0.9 1 1 3 4\n", encoding="utf-8")


add(
    Case(
        text='type: "WindowData" top: "data" top: "label" transform_param { crop_size: 4 mean_value: 100 } '
        'window_data_param { source: "FOLDER/windows.txt" root_folder: "FOLDER/" batch_size: 2 fg_fraction: 1 }',
        tops=((2, 3, 4, 4), (2,)),
        prepare=write_windows,
    )
)
