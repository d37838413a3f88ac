"""Convolution, Pooling and InnerProduct."""

from __future__ import annotations

from pycaffe_lite.phase import TEST
from rigs.layer_cases.table import Case, add, uniform

IMAGE = (2, 4, 5, 6)

for name, fields, top in (
    ("plain", "kernel_size: 3", (2, 2, 3, 4)),
    ("stride-pad", "kernel_size: 3 stride: 2 pad: 1", (2, 2, 3, 3)),
    ("sides", "kernel_h: 2 kernel_w: 3 stride_h: 1 stride_w: 2 pad_h: 1 pad_w: 0", (2, 2, 6, 2)),
    ("dilation", "kernel_size: 2 dilation: 2", (2, 2, 3, 4)),
    ("group", "kernel_size: 3 group: 2", (2, 2, 3, 4)),
    ("pointwise", "kernel_size: 1", (2, 2, 5, 6)),
    ("no-bias", "kernel_size: 3 bias_term: false", (2, 2, 3, 4)),
):
    add(
        Case(
            text=f'type: "Convolution" bottom: "x" top: "y" convolution_param {{ num_output: 2 {fields} }}',
            bottoms=(IMAGE,),
            tops=(top,),
            name=name,
            large=((9, 4, 40, 40),),
        )
    )
add(
    Case(
        text='type: "Convolution" bottom: "x" top: "y" convolution_param { num_output: 3 kernel_size: 3 }',
        bottoms=((2, 1, 5, 6),),
        tops=((2, 3, 3, 4),),
        name="one-channel",
        large=((64, 1, 28, 28),),
    )
)
add(
    Case(
        text='type: "Convolution" bottom: "a" bottom: "b" top: "y" top: "z" '
        "convolution_param { num_output: 2 kernel_size: 2 }",
        bottoms=((2, 3, 3, 3), (2, 3, 3, 3)),
        tops=((2, 2, 2, 2), (2, 2, 2, 2)),
        name="two-bottoms",
    )
)
for name, bottom, fields, top in (
    ("one-axis", (2, 3, 6), "kernel_size: 3 stride: 2", (2, 2, 2)),
    ("three-axes", (1, 2, 3, 3, 3), "kernel_size: 2", (1, 2, 2, 2, 2)),
    ("no-axes", (3, 4), "", (3, 2)),
):
    add(
        Case(
            text=f'type: "Convolution" bottom: "x" top: "y" convolution_param {{ num_output: 2 {fields} }}',
            bottoms=(bottom,),
            tops=(top,),
            name=name,
        )
    )

for method in ("MAX", "AVE"):
    for name, fields, top in (
        ("plain", "kernel_size: 2 stride: 2", (2, 4, 3, 3)),
        ("overlap-pad", "kernel_size: 3 stride: 2 pad: 1", (2, 4, 3, 4)),
        ("sides", "kernel_h: 3 kernel_w: 2 stride_h: 1 stride_w: 3 pad_h: 2 pad_w: 1", (2, 4, 7, 3)),
        ("floor", "kernel_size: 2 stride: 2 round_mode: FLOOR", (2, 4, 2, 3)),
        ("global", "global_pooling: true", (2, 4, 1, 1)),
    ):
        add(
            Case(
                text=f'type: "Pooling" bottom: "x" top: "y" pooling_param {{ pool: {method} {fields} }}',
                bottoms=(IMAGE,),
                tops=(top,),
                name=f"{method}-{name}",
                large=((9, 4, 60, 60),),
            )
        )
add(
    Case(
        text='type: "Pooling" bottom: "x" top: "y" top: "where" pooling_param { kernel_size: 3 stride: 2 }',
        bottoms=(IMAGE,),
        tops=((2, 4, 2, 3), (2, 4, 2, 3)),
        name="MAX-indices",
        weighted_tops=(0,),
    )
)
STOCHASTIC = 'type: "Pooling" bottom: "x" top: "y" pooling_param { pool: STOCHASTIC kernel_size: 2 stride: 2 }'
# In training the derivative is that of the chosen value alone: what the draw owes to the values has none.
add(
    Case(
        text=STOCHASTIC,
        bottoms=(uniform(IMAGE, 0.1, 1.0),),
        tops=((2, 4, 3, 3),),
        name="STOCHASTIC-train",
    )
)
add(
    Case(
        text=STOCHASTIC,
        bottoms=(uniform(IMAGE, 0.1, 1.0),),
        tops=((2, 4, 3, 3),),
        name="STOCHASTIC-test",
        phase=TEST,
    )
)

PRODUCT = 'type: "InnerProduct" bottom: "x" top: "y"'
for name, bottom, fields, top in (
    ("matrix", (3, 4), "", (3, 2)),
    ("image", (3, 2, 2, 3), "", (3, 2)),
    ("no-bias", (3, 4), "bias_term: false", (3, 2)),
    ("transpose", (3, 4), "transpose: true", (3, 2)),
    ("last-axis", (2, 3, 4), "axis: -1", (2, 3, 2)),
):
    add(
        Case(
            text=f"{PRODUCT} inner_product_param {{ num_output: 2 {fields} }}",
            bottoms=(bottom,),
            tops=(top,),
            name=name,
        )
    )
add(
    Case(
        text=PRODUCT + " inner_product_param { num_output: 60 }",
        bottoms=((2, 3),),
        tops=((2, 60),),
        name="large",
        large=((512, 800),),
    )
)
