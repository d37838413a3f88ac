"""Eltwise, Reduction and ArgMax."""

from __future__ import annotations

from rigs.layer_cases.table import Case, add, uniform, values

IMAGE = (2, 3, 2, 2)
LARGE = (3, 8, 110, 110)

for top in ("a", "y"):
    place = "-in-place" if top == "a" else ""
    for name, fields in (
        ("sum", ""),
        ("coefficients", "coeff: 0.5 coeff: -1 coeff: 2"),
        ("product", "operation: PROD"),
        ("fast-product", "operation: PROD stable_prod_grad: false"),
        ("maximum", "operation: MAX"),
    ):
        add(
            Case(
                text=f'type: "Eltwise" bottom: "a" bottom: "b" bottom: "c" top: "{top}" eltwise_param {{ {fields} }}',
                bottoms=(IMAGE,) * 3,
                tops=(IMAGE,),
                name=name + place,
                large=(LARGE,) * 3,
            )
        )
    add(
        Case(
            text=f'type: "Eltwise" bottom: "a" bottom: "b" top: "{top}" eltwise_param {{ operation: MAX }}',
            bottoms=(IMAGE,) * 2,
            tops=(IMAGE,),
            name="maximum-of-two" + place,
            large=(LARGE,) * 2,
        )
    )

for operation in ("SUM", "ASUM", "SUMSQ", "MEAN"):
    for axis, shape in ((0, ()), (1, (2,)), (2, (2, 3)), (-1, (2, 3, 2))):
        add(
            Case(
                text=f'type: "Reduction" bottom: "x" top: "y" '
                f"reduction_param {{ operation: {operation} axis: {axis} coeff: 1.5 }}",
                bottoms=(IMAGE,),
                tops=(shape,),
                name=f"{operation}-{axis}",
                large=(LARGE,),
            )
        )

for name, fields, top in (
    ("plain", "", (2, 1, 1, 1)),
    ("top-k", "top_k: 3", (2, 1, 3, 1)),
    ("values", "top_k: 2 out_max_val: true", (2, 2, 2, 1)),
    ("axis", "axis: 1 top_k: 2", (2, 2, 2, 2)),
    ("axis-values", "axis: -2 out_max_val: true", (2, 3, 1, 2)),
):
    add(
        Case(
            text=f'type: "ArgMax" bottom: "x" top: "y" argmax_param {{ {fields} }}',
            bottoms=(uniform(IMAGE, -1, 1),),
            tops=(top,),
            name=name,
            differentiable=(),
            large=(LARGE,),
        )
    )
add(
    Case(
        text='type: "ArgMax" bottom: "x" top: "y" argmax_param { top_k: 2 }',
        bottoms=(values([[1, 1, 0], [2, 3, 3]]),),
        tops=((2, 1, 2),),
        name="matrix",
        differentiable=(),
    )
)
