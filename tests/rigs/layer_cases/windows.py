"""The layers with windows: Convolution, Deconvolution, Im2col, Pooling and SPP; and InnerProduct."""

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


def convolution(
    type_: str,
    name: str,
    fields: str,
    bottom: tuple[int, ...],
    top: tuple[int, ...],
    large: tuple[int, ...] | None = None,
) -> None:
    add(
        Case(
            text=f'type: "{type_}" bottom: "x" top: "y" convolution_param {{ num_output: {top[1]} {fields} }}',
            bottoms=(bottom,),
            tops=(top,),
            name=name,
            large=(large,) if large else (),
        )
    )


for name, fields, top in (
    ("plain", "kernel_size: 3", (2, 4, 3, 4)),
    ("stride-pad", "kernel_size: 3 stride: 2 pad: 1", (2, 4, 3, 3)),
    ("stride-beyond-kernel", "kernel_size: 2 stride: 3", (2, 4, 2, 2)),
    ("dilation", "kernel_size: 2 dilation: 3 pad: 2 stride: 2", (2, 4, 3, 4)),
    ("dilation-divides", "kernel_size: 3 dilation: 2 pad: 3 stride: 2", (2, 4, 4, 4)),
    ("much-pad", "kernel_size: 2 pad: 4 stride: 2", (2, 4, 6, 7)),
    ("multiple", "kernel_size: 3 pad: 1", (2, 12, 5, 6)),
    ("no-bias", "kernel_h: 1 kernel_w: 3 bias_term: false", (2, 4, 5, 4)),
):
    convolution("Convolution", f"depthwise-{name}", f"group: 4 {fields}", IMAGE, top, large=(6, 4, 90, 90))
convolution("Convolution", "depthwise-one-axis", "group: 4 kernel_size: 3 stride: 2", (2, 4, 7), (2, 4, 3))
convolution("Convolution", "depthwise-three-axes", "group: 4 kernel_size: 2", (1, 4, 3, 3, 3), (1, 4, 2, 2, 2))
# Few large images are cut along their rows.
convolution("Convolution", "bands", "kernel_size: 3 stride: 2 pad: 2", (1, 2, 5, 4), (1, 3, 4, 3), (1, 2, 300, 301))
convolution(
    "Convolution", "depthwise-bands", "group: 4 kernel_size: 3 stride: 2", (1, 4, 5, 4), (1, 4, 2, 1), (2, 4, 200, 99)
)
convolution("Convolution", "pointwise-bands", "kernel_size: 1", (1, 3, 2, 2), (1, 2, 2, 2), (1, 3, 400, 200))
convolution("Convolution", "pointwise-group", "group: 2 kernel_size: 1", (2, 4, 2, 3), (2, 2, 2, 3))
convolution("Convolution", "no-axes-group", "group: 4", (3, 4), (3, 4))

for name, fields, top in (
    ("plain", "kernel_size: 3", (2, 3, 7, 8)),
    ("stride-pad", "kernel_size: 3 stride: 2 pad: 1", (2, 3, 9, 11)),
    ("sides", "kernel_h: 2 kernel_w: 3 stride_h: 3 stride_w: 1", (2, 3, 14, 8)),
    ("dilation", "kernel_size: 2 dilation: 2 pad: 1", (2, 3, 5, 6)),
    ("pointwise", "kernel_size: 1", (2, 3, 5, 6)),
    ("no-bias", "kernel_size: 2 stride: 2 bias_term: false", (2, 3, 10, 12)),
):
    convolution("Deconvolution", name, fields, IMAGE, top, large=(6, 4, 40, 40))
for name, fields, bottom, top in (
    ("group", "kernel_size: 3 stride: 2 group: 2", IMAGE, (2, 6, 11, 13)),
    ("depthwise", "kernel_size: 4 stride: 2 pad: 1 group: 4", IMAGE, (2, 4, 10, 12)),
    ("depthwise-dense", "kernel_size: 3 group: 4", IMAGE, (2, 4, 7, 8)),
    ("depthwise-multiple", "kernel_size: 3 stride: 2 group: 4", (2, 8, 3, 4), (2, 4, 7, 9)),
    ("one-axis", "kernel_size: 3 stride: 2", (2, 3, 4), (2, 2, 9)),
    ("three-axes", "kernel_size: 2", (1, 2, 2, 2, 2), (1, 2, 3, 3, 3)),
    ("no-axes", "", (3, 4), (3, 2)),
    ("bands", "kernel_size: 3 stride: 2", (1, 2, 3, 3), (1, 2, 7, 7)),
):
    convolution("Deconvolution", name, fields, bottom, top, (1, 2, 150, 151) if name == "bands" else None)
for type_, top in (("Convolution", (2, 3, 2, 4)), ("Deconvolution", (2, 3, 2, 6))):
    add(
        Case(
            text=f'type: "{type_}" bottom: "x" top: "y" convolution_param {{ num_output: 2 kernel_size: 2 axis: 2 }}',
            bottoms=((2, 3, 4, 5),),
            tops=(top,),
            name="batch-axes",
        )
    )

for name, fields, bottom, top in (
    ("plain", "kernel_size: 3", IMAGE, (2, 36, 3, 4)),
    ("stride-pad", "kernel_size: 3 stride: 2 pad: 2 dilation: 2", IMAGE, (2, 36, 3, 3)),
    ("sides", "kernel_h: 2 kernel_w: 3 pad_h: 1 pad_w: 0", IMAGE, (2, 24, 6, 4)),
    ("one-axis", "kernel_size: 2 axis: -2", (2, 3, 2, 5), (2, 3, 4, 4)),
    ("three-axes", "kernel_size: 2", (1, 2, 3, 3, 3), (1, 16, 2, 2, 2)),
    ("no-axes", "kernel_size: 1", (3, 4), (3, 4)),
):
    add(
        Case(
            text=f'type: "Im2col" bottom: "x" top: "y" convolution_param {{ {fields} }}',
            bottoms=(bottom,),
            tops=(top,),
            name=name,
            large=((4, 4, 40, 40),) if len(bottom) == 4 else (),
        )
    )

for name, fields, bottom, top in (
    ("MAX", "pyramid_height: 3", uniform((2, 3, 8, 7), -1, 1), (2, 63)),
    ("AVE", "pyramid_height: 2 pool: AVE", (2, 3, 5, 4), (2, 15)),
    ("STOCHASTIC", "pyramid_height: 2 pool: STOCHASTIC", uniform((2, 3, 4, 4), 0.1, 1), (2, 15)),
    ("one-level", "pyramid_height: 1", (2, 3, 5, 4), (2, 3, 1, 1)),
):
    add(
        Case(
            text=f'type: "SPP" bottom: "x" top: "y" spp_param {{ {fields} }}',
            bottoms=(bottom,),
            tops=(top,),
            name=name,
            large=(uniform((6, 16, 64, 64), 0.1, 1),),
        )
    )
