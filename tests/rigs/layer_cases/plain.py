"""The layers without arithmetic worth the name, ReLU and Dropout."""

from __future__ import annotations

from pycaffe_lite.phase import TEST
from rigs.layer_cases.table import Case, add

LARGE = ((3, 8, 80, 80),)

add(Case(text='type: "Split" bottom: "x" top: "y"', bottoms=((2, 3),), tops=((2, 3),), name="one"))
add(
    Case(
        text='type: "Split" bottom: "x" top: "y" top: "z" top: "u"',
        bottoms=((2, 3, 2, 2),),
        tops=((2, 3, 2, 2),) * 3,
        name="three",
        large=LARGE,
    )
)
add(Case(text='type: "Silence" bottom: "x" bottom: "y"', bottoms=((2, 3), (4,))))

for name, fields in (("plain", ""), ("leaky", "relu_param { negative_slope: 0.3 }")):
    for top in ("x", "y"):
        add(
            Case(
                text=f'type: "ReLU" bottom: "x" top: "{top}" {fields}',
                bottoms=((3, 2, 3, 2),),
                tops=((3, 2, 3, 2),),
                name=f"{name}{'-in-place' if top == 'x' else ''}",
                large=LARGE,
            )
        )

for phase, name in ((0, "train"), (TEST, "test")):
    for top in ("x", "y"):
        add(
            Case(
                text=f'type: "Dropout" bottom: "x" top: "{top}" dropout_param {{ dropout_ratio: 0.3 }}',
                bottoms=((3, 2, 3, 2),),
                tops=((3, 2, 3, 2),),
                name=f"{name}{'-in-place' if top == 'x' else ''}",
                phase=phase,
                large=LARGE,
            )
        )
