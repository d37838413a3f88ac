"""Layers that copy values to other places: Concat, Slice, Crop, Flatten, Reshape, Tile, Filter, and so on."""

from __future__ import annotations

from rigs.layer_cases.table import Case, add, labels, values

IMAGE = (2, 3, 4, 5)
LARGE = (4, 8, 80, 80)

for name, fields, bottoms, top in (
    ("channels", "", ((2, 3, 2, 2), (2, 1, 2, 2), (2, 2, 2, 2)), (2, 6, 2, 2)),
    ("batch", "axis: 0", ((2, 3), (4, 3)), (6, 3)),
    ("last-axis", "axis: -1", ((2, 3, 1), (2, 3, 2)), (2, 3, 3)),
    ("concat-dim", "concat_dim: 2", ((2, 2, 3), (2, 2, 1)), (2, 2, 4)),
    ("one", "", ((2, 3, 2),), (2, 3, 2)),
):
    named = " ".join(f'bottom: "x{i}"' for i in range(len(bottoms)))
    add(
        Case(
            text=f'type: "Concat" {named} top: "y" concat_param {{ {fields} }}',
            bottoms=bottoms,
            tops=(top,),
            name=name,
            large=(LARGE,) * len(bottoms),
        )
    )

for name, fields, bottom, tops in (
    ("even", "", (2, 6, 2, 2), ((2, 2, 2, 2),) * 3),
    ("points", "slice_point: 1 slice_point: 4", (2, 5, 2), ((2, 1, 2), (2, 3, 2), (2, 1, 2))),
    ("batch", "axis: 0", (4, 3), ((2, 3), (2, 3))),
    ("slice-dim", "slice_dim: 2", (2, 3, 4), ((2, 3, 2), (2, 3, 2))),
    ("one", "", (2, 3, 2), ((2, 3, 2),)),
):
    named = " ".join(f'top: "y{i}"' for i in range(len(tops)))
    add(
        Case(
            text=f'type: "Slice" bottom: "x" {named} slice_param {{ {fields} }}',
            bottoms=(bottom,),
            tops=tops,
            name=name,
            # Two tops cut the batch: it can only grow by two.
            grow=() if name == "batch" else None,
            large=((4, 12, 80, 80),),
        )
    )

for name, fields, bottoms, top in (
    ("default", "", ((2, 3, 4, 5), (1, 1, 2, 3)), (2, 3, 2, 3)),
    ("one-offset", "axis: 2 offset: 1", ((2, 3, 4, 5), (2, 3, 3, 2)), (2, 3, 3, 2)),
    ("offsets", "axis: -2 offset: 1 offset: 2", ((2, 3, 4, 5), (2, 3, 2, 3)), (2, 3, 2, 3)),
    ("channels", "axis: 1 offset: 1", ((2, 4, 3), (5, 2, 1)), (2, 2, 1)),
):
    add(
        Case(
            text=f'type: "Crop" bottom: "x" bottom: "like" top: "y" crop_param {{ {fields} }}',
            bottoms=bottoms,
            tops=(top,),
            name=name,
            differentiable=(0,),
            large=(LARGE, (4, 7, 70, 70)) if len(top) == 4 else (),
        )
    )

for name, fields, bottom, top in (
    ("image", "", IMAGE, (2, 60)),
    ("middle", "axis: 1 end_axis: -2", IMAGE, (2, 12, 5)),
    ("pixels", "axis: 2", IMAGE, (2, 3, 20)),
    ("all", "axis: 0", (2, 3), (6,)),
):
    text = f'type: "Flatten" bottom: "x" top: "y" flatten_param {{ {fields} }}'
    add(Case(text=text, bottoms=(bottom,), tops=(top,), name=name, large=(LARGE,)))

for name, fields, bottom, top in (
    ("copy-and-infer", "shape { dim: 0 dim: -1 dim: 2 }", (2, 3, 4), (2, 6, 2)),
    ("image", "shape { dim: 0 dim: 4 dim: -1 }", (2, 2, 2, 6), (2, 4, 6)),
    ("split-channels", "shape { dim: 3 dim: -1 } axis: 1 num_axes: 1", (2, 6, 2, 2), (2, 3, 2, 2, 2)),
    ("insert", "shape { dim: 1 } axis: -1 num_axes: 0", (2, 3), (2, 3, 1)),
):
    text = f'type: "Reshape" bottom: "x" top: "y" reshape_param {{ {fields} }}'
    large = ((4, 6, 80, 80),) if len(bottom) == 4 else ()
    add(Case(text=text, bottoms=(bottom,), tops=(top,), name=name, large=large))

for name, fields, bottom, top in (
    ("channels", "tiles: 3", IMAGE, (2, 9, 4, 5)),
    ("batch", "axis: 0 tiles: 2", (2, 3), (4, 3)),
    ("last-axis", "axis: -1 tiles: 2", (2, 3), (2, 6)),
    ("once", "tiles: 1", (2, 3), (2, 3)),
):
    text = f'type: "Tile" bottom: "x" top: "y" tile_param {{ {fields} }}'
    add(Case(text=text, bottoms=(bottom,), tops=(top,), name=name, large=(LARGE,)))

# Before the first forward the tops are as long as the bottoms, so here all items are kept; see test_filter.py.
add(
    Case(
        text='type: "Filter" bottom: "x" bottom: "z" bottom: "keep" top: "y" top: "w"',
        bottoms=(IMAGE, (2, 3), values([[1], [-2]])),
        tops=(IMAGE, (2, 3)),
        differentiable=(0, 1),
    )
)
for name, bottoms, top in (
    ("image", (IMAGE, values([1, 0, 1])), (3, 3, 4, 5)),
    ("matrix", ((4, 2), values([3, 3, 3, 0, 1])), (5, 2)),
    ("vector", ((4,), values([2, 2])), (2,)),
):
    add(
        Case(
            text='type: "BatchReindex" bottom: "x" bottom: "index" top: "y"',
            bottoms=bottoms,
            tops=(top,),
            name=name,
            differentiable=(0,),
            large=(LARGE, values([3, 1, 3, 0, 3, 1])) if len(top) == 4 else (),
        )
    )

for name, fields, bottom, top in (
    ("vector", "", labels((5,), 4), (5, 3)),
    ("matrix", "", labels((2, 3), 4), (2, 3, 3)),
    ("no-bias", "bias_term: false", values([2, 2, 0, 2]), (4, 3)),
):
    add(
        Case(
            text=f'type: "Embed" bottom: "x" top: "y" embed_param {{ input_dim: 4 num_output: 3 {fields} }}',
            bottoms=(bottom,),
            tops=(top,),
            name=name,
            differentiable=(),
            differentiable_params=(0,) if "false" in fields else (0, 1),
            large=(labels((50000,), 4),),
        )
    )

for name, shape in (("matrix", (2, 3)), ("scalar", ())):
    dims = " ".join(f"dim: {length}" for length in shape)
    add(
        Case(
            text=f'type: "Parameter" top: "y" parameter_param {{ shape {{ {dims} }} }}',
            tops=(shape,),
            name=name,
            differentiable_params=(0,),
        )
    )
