"""The layers with one number for each channel: PReLU, Bias and Scale."""

from __future__ import annotations

from rigs.layer_cases.table import Case, add

IMAGE = (3, 2, 3, 2)
LARGE = ((5, 24, 50, 50),)

for top in ("x", "y"):
    place = "-in-place" if top == "x" else ""
    for name, shape, fields in (
        ("image", IMAGE, ""),
        ("matrix", (4, 3), ""),
        ("shared", IMAGE, "prelu_param { channel_shared: true }"),
    ):
        add(
            Case(
                text=f'type: "PReLU" bottom: "x" top: "{top}" {fields}',
                bottoms=(shape,),
                tops=(shape,),
                name=name + place,
                large=LARGE if len(shape) == 4 else (),
            )
        )
    for layer, param in (("Bias", "bias_param"), ("Scale", "scale_param")):
        for name, fields in (
            ("channels", ""),
            ("two-axes", "num_axes: 2"),
            ("last-axis", "axis: -1"),
            ("first-axis", "axis: 0"),
            ("to-the-end", "axis: 1 num_axes: -1"),
            ("everything", "axis: 0 num_axes: -1"),
            ("scalar", "num_axes: 0"),
        ):
            add(
                Case(
                    text=f'type: "{layer}" bottom: "x" top: "{top}" {param} {{ {fields} }}',
                    bottoms=(IMAGE,),
                    tops=(IMAGE,),
                    name=name + place,
                    grow=() if "axis: 0" in fields else (0,),
                    large=LARGE,
                )
            )
        for name, second, fields in (
            ("two-bottoms", (2,), ""),
            ("gate", (3, 2), "axis: 0"),
            ("two-bottoms-scalar", (), ""),
        ):
            add(
                Case(
                    text=f'type: "{layer}" bottom: "x" bottom: "v" top: "{top}" {param} {{ {fields} }}',
                    bottoms=(IMAGE, second),
                    tops=(IMAGE,),
                    name=name + place,
                    grow=(0, 1) if name == "gate" else (0,),
                    large=(*LARGE, {"two-bottoms": (24,), "gate": (5, 24)}.get(name, ())),
                )
            )
    for name, fields in (("bias", "bias_term: true"), ("scalar-bias", "bias_term: true num_axes: 0")):
        add(
            Case(
                text=f'type: "Scale" bottom: "x" top: "{top}" scale_param {{ {fields} }}',
                bottoms=(IMAGE,),
                tops=(IMAGE,),
                name=name + place,
                large=LARGE,
            )
        )
    add(
        Case(
            text=f'type: "Scale" bottom: "x" bottom: "v" top: "{top}" scale_param {{ bias_term: true }}',
            bottoms=(IMAGE, (2,)),
            tops=(IMAGE,),
            name="two-bottoms-bias" + place,
            grow=(0,),
            large=(*LARGE, (24,)),
        )
    )
add(
    Case(
        text='type: "Scale" bottom: "x" top: "y" scale_param { bias_term: true }',
        bottoms=((5, 4),),
        tops=((5, 4),),
        name="matrix",
        large=((400, 500),),
    )
)
