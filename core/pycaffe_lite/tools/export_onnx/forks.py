"""What layers of Caffe's forks are in ONNX, but for those that know of boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.layers.bn_pspnet import PSPNetBN
from pycaffe_lite.layers.bn_segnet import EPS
from pycaffe_lite.tools.export_onnx.converters import Item, by_the_batch, converts, weight
from pycaffe_lite.tools.export_onnx.graph import INT64, Graph

# -- moves of values ----------------------------------------------------------------------------------------


@converts("Permute", "Transpose")
def _axes_order(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    return [g.add("Transpose", x[0], perm=list(item.layer.axes))]


@converts("Reverse")
def _reverse(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    return [g.reversed(x[0], item.layer.axis)]


@converts("ShuffleChannel")
def _shuffle_channel(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    form, group = item.bottoms[0], item.layer.group
    rest = [form.length(axis) for axis in range(2, form.axes)]
    groups = g.reshape(x[0], form[slice(1)] + [group, form.length(1) // group, *rest])
    turned = g.add("Transpose", groups, perm=[0, 2, 1, *range(3, 3 + len(rest))])
    return [g.reshape(turned, item.tops[0])]


@converts("Reorg")
def _reorg(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    form, s = item.bottoms[0], item.layer.stride
    channels, height, width = (form.length(axis) for axis in (1, 2, 3))
    thin = channels // (s * s)
    if item.layer.enlarges:
        cut, order = [s, s, thin, height, width], [0, 3, 4, 1, 5, 2]
    else:
        cut, order = [thin, height, s, width, s], [0, 3, 5, 1, 2, 4]
    moved = g.add("Transpose", g.reshape(x[0], form[slice(1)] + cut), perm=order)
    return [g.reshape(moved, item.tops[0])]


# -- resizing -----------------------------------------------------------------------------------------------


@converts("Interp")
def _interp(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    """Cut, then resized with corners onto corners."""
    bottom, top = item.bottoms[0], item.tops[0]
    y = x[0] if bottom.axes == 4 else g.add("Unsqueeze", x[0], g.ints(3))
    place = item.layer.resizing.place
    sizes = [bottom.length(axis) if axis < bottom.axes else 1 for axis in (2, 3)]
    if any((part.start, part.stop) != (0, size) for part, size in zip(place, sizes, strict=True)):
        y = g.add("Slice", y, g.ints(*(part.start for part in place)), g.ints(*(part.stop for part in place)),
                  g.ints(2, 3))  # fmt: skip
    sizes, lengths = [part.stop - part.start for part in place], [top.length(2), top.length(3)]
    # One row or column is repeated: OpenCV 5.0's Resize gives other values from run to run for an image of one pixel.
    repeats = [length if size == 1 else 1 for size, length in zip(sizes, lengths, strict=True)]
    if max(repeats) > 1:
        y = g.add("Tile", y, g.ints(1, 1, *repeats))
    if [size * repeat for size, repeat in zip(sizes, repeats, strict=True)] == lengths:
        return [y]
    both = g.add("Concat", g.lengths(y, 0, 2), g.ints(*lengths), axis=0)
    return [g.add("Resize", y, "", "", both, mode="linear", coordinate_transformation_mode="align_corners")]


@converts("Upsample")
def _upsample(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    """Each pixel several times; or with a mask, each value to its place in a plane of zeros."""
    bottom, top = item.bottoms[0], item.tops[0]
    if len(x) == 1:
        scales = g.constant([1, 1, item.layer.scale, item.layer.scale])
        return [g.add("Resize", x[0], "", scales, mode="nearest", coordinate_transformation_mode="asymmetric",
                      nearest_mode="floor")]  # fmt: skip
    channels, pixels = bottom.length(1), bottom.length(2) * bottom.length(3)
    flat = bottom[slice(1)] + [channels, pixels]
    values, mask = g.reshape(x[0], flat), g.add("Cast", g.reshape(x[1], flat), to=INT64)
    plane = g.constant(np.zeros((1, channels, item.layer.plane)))
    zeros = g.add("Expand", plane, g.add("Concat", g.lengths(x[0], 0, 1), g.ints(1, 1), axis=0))
    return [g.reshape(g.add("ScatterElements", zeros, mask, values, axis=2), top)]


# -- arithmetic ---------------------------------------------------------------------------------------------


@converts("ReLU6")
def _relu6(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    slope = float(item.layer.slope)
    if slope:
        return [g.add("Min", g.add("LeakyRelu", x[0], alpha=slope), g.constant(6.0))]
    return [g.add("Clip", x[0], g.constant(0.0), g.constant(6.0))]


@converts("Axpy")
def _axpy(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    scale, form = item.bottoms[:2]
    factor = x[0]
    if scale.axes != form.axes:
        factor = g.reshape(x[0], form[slice(2)] + [1] * (form.axes - 2))
    return [g.add("Add", g.add("Mul", factor, x[1]), x[2])]


@converts("Normalize")
def _normalize(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    layer, axes = item.layer, item.bottoms[0].axes
    total = g.reduce("ReduceSum", g.add("Mul", x[0], x[0]), layer.axes, True)
    normal = g.add("Div", x[0], g.add("Sqrt", g.scaled(total, 1, float(layer.param.eps))))
    scale = item.blob(0)
    values = scale if scale.ndim == 0 else scale.reshape(-1, *[1] * (axes - 2))
    return [g.add("Mul", normal, weight(g, item, 0, values))]


@converts("BN")
def _bn(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    layer = getattr(item.layer, "meaning", item.layer)
    vectors = [np.asarray(blob.data).reshape(-1) for blob in layer.blobs]
    if isinstance(layer, PSPNetBN):
        slope, bias, mean, variance = (weight(g, item, i, values) for i, values in enumerate(vectors))
        return [g.add("BatchNormalization", x[0], slope, bias, mean, variance, epsilon=layer.param.eps)]
    scale, shift = (weight(g, item, i, values.reshape(-1, 1, 1)) for i, values in enumerate(vectors))
    tops = [x[0]]
    if layer.learns:
        tops = by_the_batch(g, x[0], [0, 2, 3], EPS)
    return [g.add("Add", g.add("Mul", tops[0], scale), shift), *tops[1 : len(item.tops)]]
