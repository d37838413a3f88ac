"""Layers that read from HDF5 files, image files and memory, and one that writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from layer_cases.table import Case, add, labels


def write_rows(folder: Path) -> None:
    """As many rows as a batch has, so that all batches are the same."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "rows.h5", "w") as file:
        file["data"] = np.random.default_rng(5).normal(size=(4, 3, 2))
        file["label"] = np.arange(4)
    (folder / "list.txt").write_text("rows.h5\n", encoding="utf-8")


add(
    Case(
        text='type: "HDF5Data" top: "data" top: "label" '
        'hdf5_data_param { source: "FOLDER/list.txt" batch_size: 4 }',
        tops=((4, 3, 2), (4,)),
        prepare=write_rows,
    )
)


def need_h5py(folder: Path) -> None:
    pytest.importorskip("h5py")


add(
    Case(
        text='type: "HDF5Output" bottom: "data" bottom: "label" '
        'hdf5_output_param { file_name: "FOLDER/written.h5" }',
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
        tops=((2, 3, 2, 4), (2,)),
        arrange=lambda layer: layer.set_input_arrays(np.arange(48).reshape(2, 3, 2, 4), np.arange(2)),
    )
)
