"""Layers that bring data into a net."""

from __future__ import annotations

from layer_cases.table import Case, add

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
