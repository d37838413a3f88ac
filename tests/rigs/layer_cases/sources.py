"""Layers that bring data into a net."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pycaffe_lite.phase import TEST
from rigs.idx_files import write_idx
from rigs.layer_cases.table import Case, add

add(
    Case(
        text='type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } }',
        tops=((2, 3),),
    )
)
add(
    Case(
        text='type: "Input" top: "x" top: "y" input_param { shape { dim: 2 dim: 3 } shape { dim: 2 } }',
        tops=((2, 3), (2,)),
        name="two",
    )
)
add(
    Case(
        text='type: "DummyData" top: "x" top: "y" dummy_data_param { shape { dim: 2 dim: 3 } '
        'data_filler { value: 2 } data_filler { type: "gaussian" } }',
        tops=((2, 3), (2, 3)),
    )
)
add(
    Case(
        text='type: "DummyData" top: "x" dummy_data_param { num: 2 channels: 3 height: 4 width: 5 }',
        tops=((2, 3, 4, 5),),
        name="legacy",
    )
)


def write_mnist(folder: Path) -> None:
    """As many images as a batch has, so that all batches are the same."""
    pixels = np.random.default_rng(3).integers(0, 256, (4, 5, 6))
    write_idx(folder / "train-images-idx3-ubyte", pixels)
    write_idx(folder / "train-labels-idx1-ubyte", np.arange(4))


IDX = 'data_param { source: "FOLDER/train-images-idx3-ubyte" backend: IDX batch_size: 4 }'
add(
    Case(
        text=f'type: "Data" top: "data" top: "label" {IDX}',
        tops=((4, 1, 5, 6), (4,)),
        prepare=write_mnist,
    )
)
add(
    Case(
        text=f'type: "Data" top: "data" transform_param {{ crop_size: 3 scale: 0.5 }} {IDX}',
        tops=((4, 1, 3, 3),),
        name="cropped",
        phase=TEST,
        prepare=write_mnist,
    )
)
