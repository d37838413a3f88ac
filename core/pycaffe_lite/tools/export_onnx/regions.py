"""What layers that cut boxes out of a map are in ONNX."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.layers.psroi_pooling import LEAST
from pycaffe_lite.tools.export_onnx.converters import Item, converts
from pycaffe_lite.tools.export_onnx.graph import DOUBLE, FLOAT, INT64, Graph


@converts("ROIPooling")
def _roi_pooling(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    """ONNX's own operator; onnxruntime rounds and cuts boxes as Caffe does."""
    size, scale = list(item.layer.size), float(item.layer.param.spatial_scale)
    return [g.add("MaxRoiPool", x[0], _boxes(g, item, x[1]), pooled_shape=size, spatial_scale=scale)]


def _boxes(g: Graph, item: Item, x: str) -> str:
    form = item.bottoms[1]
    return x if form.axes == 2 else g.reshape(x, form[slice(2)])


@converts("PSROIPooling")
def _psroi_pooling(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    """Differences of sums from the map's corner, as the layer itself does it, in double precision."""
    layer, form = item.layer, item.bottoms[0]
    group, sizes = layer.group, [form.length(2), form.length(3)]
    sums = g.add("Cast", x[0], to=DOUBLE)
    for axis in (2, 3):
        sums = g.add("CumSum", sums, g.constant(axis, np.int64))
    sums = g.add("Pad", sums, g.ints(0, 0, 1, 1, 0, 0, 0, 0))
    sums = g.reshape(sums, form[slice(1)] + [layer.outputs, group, group, *(size + 1 for size in sizes)])
    sums = g.add("Transpose", sums, perm=[0, 2, 3, 4, 5, 1])  # N x i x j x (H + 1) x (W + 1) x outputs

    boxes = _boxes(g, item, x[1])
    image = g.add("Unsqueeze", g.add("Cast", g.add("Gather", boxes, g.ints(0), axis=1), to=INT64), g.ints(2, 3))
    (tops, bottoms), (lefts, rights) = (_edges(g, item, boxes, axis, sizes[axis]) for axis in (0, 1))
    whole = g.add("Concat", g.lengths(boxes, 0, 1), g.ints(group, group, 1), axis=0)
    places = g.constant(np.stack(np.meshgrid(np.arange(group), np.arange(group), indexing="ij"), axis=-1), np.int64)
    first = g.add("Expand", image, whole)
    between = g.add("Expand", places, g.add("Concat", g.lengths(boxes, 0, 1), g.ints(group, group, 2), axis=0))

    def at(rows: str, columns: str) -> str:
        row = g.add("Expand", g.add("Unsqueeze", rows, g.ints(2, 3)), whole)
        column = g.add("Expand", g.add("Unsqueeze", columns, g.ints(1, 3)), whole)
        return str(g.add("GatherND", sums, g.add("Concat", first, between, row, column, axis=3)))

    total = g.add("Sub", at(bottoms, rights), at(bottoms, lefts))
    total = g.add("Sub", g.add("Add", total, at(tops, lefts)), at(tops, rights))
    return [_mean(g, total, [(tops, bottoms), (lefts, rights)])]


def _edges(g: Graph, item: Item, boxes: str, axis: int, size: int) -> tuple[str, str]:
    """Where the parts of boxes begin and end along an axis of the map, both R x group."""
    group, scale = item.layer.group, float(item.layer.param.spatial_scale)
    start, end = (_rounded(g, g.add("Gather", boxes, g.ints(column), axis=1)) for column in (2 - axis, 4 - axis))
    start, end = g.scaled(start, scale), g.scaled(g.scaled(end, 1, 1.0), scale)
    length = g.add("Max", g.add("Sub", end, start), g.constant(LEAST))
    part = g.add("Div", length, g.constant(float(group)))
    edges = g.add("Add", g.add("Mul", part, g.constant(np.arange(group + 1)[None])), start)
    first = g.add("Floor", g.add("Slice", edges, g.ints(0), g.ints(group), g.ints(1)))
    last = g.add("Ceil", g.add("Slice", edges, g.ints(1), g.ints(group + 1), g.ints(1)))
    clipped = [g.add("Clip", edge, g.constant(0.0), g.constant(float(size))) for edge in (first, last)]
    return g.add("Cast", clipped[0], to=INT64), g.add("Cast", clipped[1], to=INT64)


def _rounded(g: Graph, value: str) -> str:
    """The nearest whole numbers, halves away from 0; those of ONNX's Round go to the even one."""
    return str(g.add("Mul", g.add("Sign", value), g.add("Floor", g.scaled(g.add("Abs", value), 1, 0.5))))


def _mean(g: Graph, total: str, edges: Sequence[tuple[str, str]]) -> str:
    """Sums over the areas of their parts, R x i x j x outputs, 0 for empty ones, as R x outputs x i x j."""
    height, width = (g.add("Max", g.add("Sub", end, begin), g.constant(0, np.int64)) for begin, end in edges)
    area = g.add("Mul", g.add("Unsqueeze", height, g.ints(2, 3)), g.add("Unsqueeze", width, g.ints(1, 3)))
    some = g.add("Greater", area, g.constant(0, np.int64))
    divisor = g.add("Cast", g.add("Max", area, g.constant(1, np.int64)), to=DOUBLE)
    mean = g.add("Cast", g.add("Div", total, divisor), to=FLOAT)
    return str(g.add("Transpose", g.add("Where", some, mean, g.constant(0.0)), perm=[0, 3, 1, 2]))
