"""The element-wise layers of one bottom, but ReLU and Dropout."""

from __future__ import annotations

from rigs.layer_cases.table import Case, add, uniform

SHAPE = (3, 2, 3, 2)
LARGE = ((3, 8, 80, 80),)


def add_both(
    layer: str, name: str = "plain", fields: str = "", low: float = -3, high: float = 3, agrees: bool = True
) -> None:
    """A case out of place and one in place."""
    for top in ("x", "y"):
        add(
            Case(
                text=f'type: "{layer}" bottom: "x" top: "{top}" {fields}',
                bottoms=(uniform(SHAPE, low, high),),
                tops=(SHAPE,),
                name=f"{name}{'-in-place' if top == 'x' else ''}",
                large=(uniform(LARGE[0], low, high),),
                # In place Clip passes every gradient, which is Caffe's number and not the derivative.
                differentiable=None if agrees or top == "y" else (),
                in_place_agrees=agrees,
            )
        )


for layer in ("BNLL", "Sigmoid", "TanH", "Swish", "ELU", "Power", "Exp"):
    add_both(layer)
add_both("Swish", "beta", "swish_param { beta: 1.7 }")
add_both("ELU", "alpha", "elu_param { alpha: 0.4 }")
add_both("Clip", "plain", "clip_param { min: -1 max: 2 }", agrees=False)

add_both("Power", "linear", "power_param { scale: -2 shift: 0.5 }")
add_both("Power", "square", "power_param { power: 2 scale: 0.5 shift: 1 }")
add_both("Power", "cube", "power_param { power: 3 scale: -1.5 shift: 0.25 }")
add_both("Power", "root", "power_param { power: 0.5 scale: 2 }", 0.1, 3)
add_both("Power", "inverse", "power_param { power: -1 shift: 4 }")
add_both("Power", "inverse-root", "power_param { power: -0.5 shift: 4 scale: 0.5 }")
add_both("Power", "zero", "power_param { power: 0 scale: 3 shift: 2 }")
add_both("Power", "zero-scale", "power_param { power: 3 scale: 0 shift: 2 }")
add_both("Exp", "base", "exp_param { base: 3 scale: 0.5 shift: -1.25 }")
add_both("Log", low=0.1)
add_both("Log", "base", "log_param { base: 10 scale: -1.5 shift: 5 }")

add(
    Case(
        text='type: "AbsVal" bottom: "x" top: "y"',
        bottoms=(SHAPE,),
        tops=(SHAPE,),
        large=LARGE,
    )
)
for top in ("x", "y"):
    add(
        Case(
            text=f'type: "Threshold" bottom: "x" top: "{top}" threshold_param {{ threshold: 0.3 }}',
            bottoms=(SHAPE,),
            tops=(SHAPE,),
            name="in-place" if top == "x" else "plain",
            differentiable=(),
            large=LARGE,
        )
    )
