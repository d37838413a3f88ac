"""What layers that propose and find boxes are in ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pycaffe_lite.kernels.boxes import CENTER_SIZE, CORNER
from pycaffe_lite.layers.proposal_base import ProposalBase
from pycaffe_lite.tools.export_onnx.converters import Item, converts
from pycaffe_lite.tools.export_onnx.graph import FLOAT, Form, Graph


@converts("PriorBox")
def _prior_box(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    """A constant, since it follows from shapes alone."""
    return [g.constant(item.layer.boxes[None])]


@converts("DetectionOutput")
def _detection_output(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    """Of each class the top_k best, of them those that NonMaxSuppression leaves, of an image's the keep_top_k best.

    What stays is marked in a table of images x (classes x ranks), whose order is that of the layer's rows.
    """
    layer, param = item.layer, item.param.detection_output_param
    priors = item.bottoms[2].at[2] // 4
    classes = [label for label in range(layer.classes) if label != param.background_label_id]
    most = layer.top_k if 0 <= layer.top_k < priors else priors
    if param.nms_param.eta < 1:
        raise item.cannot("ONNX's NonMaxSuppression has no threshold that falls; leave out eta.")
    if not classes or not most or not param.keep_top_k:
        raise item.cannot("it finds nothing, with its top_k, keep_top_k or num_classes.")
    locations = 1 if param.share_location else layer.classes
    codes = g.reshape(x[0], item.bottoms[0][slice(1)] + [priors, locations, 4])
    boxes = _decoded(g, g.add("Transpose", codes, perm=[0, 2, 1, 3]), x[2], param)
    if param.clip:
        boxes = g.add("Min", g.add("Max", boxes, g.constant(0.0)), g.constant(1.0))
    scores = g.reshape(x[1], item.bottoms[1][slice(1)] + [priors, layer.classes])
    scores = g.add("Gather", g.add("Transpose", scores, perm=[0, 2, 1]), g.ints(*classes), axis=1)
    scores, places = g.add("TopK", scores, g.ints(most), outputs=2, axis=2)
    if param.share_location:
        boxes = g.add("Reshape", boxes, g.ints(-1, priors, 4))
        places = g.add("Reshape", places, g.ints(-1, len(classes) * most, 1))
    else:
        boxes = g.add("Reshape", g.add("Gather", boxes, g.ints(*classes), axis=1), g.ints(-1, priors, 4))
        places = g.add("Reshape", places, g.ints(-1, most, 1))
    boxes = g.add("GatherND", boxes, places, batch_dims=1)
    found = _suppressed(g, boxes, scores, most, most, param.nms_param.nms_threshold, float(layer.threshold))
    table = g.ints(-1, len(classes) * most)
    found, scores = g.add("Reshape", found, table), g.add("Reshape", scores, table)
    if 0 < param.keep_top_k < len(classes) * most:
        found = _best(g, found, scores, param.keep_top_k)
    at = g.add("Transpose", g.add("NonZero", found), perm=[1, 0])
    image, place = (g.add("Gather", at, g.ints(column), axis=1) for column in (0, 1))
    label = g.add("Gather", g.constant(classes), g.add("Div", place, g.ints(most)), axis=0)
    score = g.add("Unsqueeze", g.add("GatherND", scores, at), g.ints(1))
    box = g.add("GatherND", g.add("Reshape", boxes, g.ints(-1, len(classes) * most, 4)), at)
    rows = g.add("Concat", g.add("Cast", image, to=FLOAT), label, score, box, axis=1)
    return [g.add("Unsqueeze", _or_none(g, rows, scores), g.ints(0, 1))]


def _decoded(g: Graph, codes: str, priors: str, param: Any) -> str:
    """The boxes, … x priors x 4, that codes stand for, see `kernels.boxes.decode`."""
    table = g.add("Reshape", priors, g.ints(2, -1, 4))
    prior, variance = (g.add("Gather", table, g.constant(i, np.int64), axis=0) for i in (0, 1))
    if not param.variance_encoded_in_target:
        codes = g.add("Mul", codes, variance)
    if param.code_type == CORNER:
        return g.add("Add", prior, codes)
    begin, end = _halves(g, prior)
    size = g.add("Sub", end, begin)
    if param.code_type == CENTER_SIZE:
        return shifted(g, codes, g.add("Div", g.add("Add", begin, end), g.constant(2.0)), size)
    return g.add("Add", prior, g.add("Mul", codes, g.add("Concat", size, size, axis=-1)))


def shifted(g: Graph, codes: str, centre: str, size: str) -> str:
    """Boxes whose centres and sizes are shifted by codes as CENTER_SIZE has it."""
    move, growth = _halves(g, codes)
    middle = g.add("Add", centre, g.add("Mul", move, size))
    half = g.add("Div", g.add("Mul", g.add("Exp", growth), size), g.constant(2.0))
    return g.add("Concat", g.add("Sub", middle, half), g.add("Add", middle, half), axis=-1)


def _halves(g: Graph, boxes: str) -> tuple[str, str]:
    """The first two and the last two of four numbers along the last axis."""
    first = g.add("Slice", boxes, g.ints(0), g.ints(2), g.ints(-1))
    return first, g.add("Slice", boxes, g.ints(2), g.ints(4), g.ints(-1))


def _suppressed(
    g: Graph, boxes: str, scores: str, count: int, most: int, overlap: float, threshold: float, ends: float = 0
) -> str:
    """Which boxes stay, sets x count, true or false.

    Args:
        boxes: sets of `count` boxes.
        scores: as many, each set's falling.
        most: how many of a set stay.
        overlap: boxes that overlap a better one more go.
        threshold: so do those whose score is not above.
        ends: by how much a box is wider than the difference of its corners.
    """
    boxes = g.add("Reshape", boxes, g.ints(-1, count, 4))
    begin, end = _halves(g, boxes)
    # ONNX would turn a box round that ends before it begins; in Caffe it has no area.
    cleaned = g.add("Concat", begin, g.scaled(g.add("Max", begin, end), 1, ends), axis=-1)
    rows = g.add("Reshape", scores, g.ints(-1, 1, count))
    limits = [g.ints(most), g.constant([min(overlap, 1.0)])]
    limits += [g.constant([threshold])] if np.isfinite(threshold) else []
    chosen = g.add("NonMaxSuppression", cleaned, rows, *limits)
    at = g.add("Gather", chosen, g.ints(0, 2), axis=1)
    flat = g.add("Reshape", scores, g.ints(-1, count))
    nothing = g.add("Expand", g.constant(0.0), g.add("Shape", flat))
    marks = g.add("Expand", g.constant([1.0]), g.lengths(at, 0, 1))
    return g.add("Greater", g.add("ScatterND", nothing, at, marks), g.constant(0.0))


def _best(g: Graph, found: str, scores: str, most: int) -> str:
    """Those of what is found, images x places, that are the best of their image."""
    score = g.add("Where", found, scores, g.constant(-np.inf))
    values, places = g.add("TopK", score, g.ints(most), outputs=2, axis=1)
    ones, zeros = (g.add("Expand", g.constant(n), g.add("Shape", of)) for n, of in ((1.0, values), (0.0, scores)))
    best = g.add("ScatterElements", zeros, places, ones, axis=1)
    return g.add("And", found, g.add("Greater", best, g.constant(0.0)))


def _or_none(g: Graph, rows: str, per_image: str) -> str:
    """The rows; if there are none, for each image one of its number and -1."""
    images = g.lengths(per_image, 0, 1)
    numbers = g.add("Range", g.constant(0, np.int64), g.add("Squeeze", images, g.ints(0)), g.constant(1, np.int64))
    column = g.add("Unsqueeze", g.add("Cast", numbers, to=FLOAT), g.ints(1))
    nothing = g.add("Expand", g.constant(np.full((1, 6), -1)), g.add("Concat", images, g.ints(1), axis=0))
    both = g.add("Concat", rows, g.add("Concat", column, nothing, axis=1), axis=0)
    count = g.lengths(rows, 0, 1)
    some = g.add("Greater", count, g.ints(0))
    return g.add("Slice", both, g.ints(0), g.add("Where", some, count, images), g.ints(0))


@converts("Proposal", "Python")
def _proposal(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    """Faster R-CNN's proposals; of Python layers only the one that stands in for them."""
    layer = getattr(item.layer, "user", item.layer)
    if not isinstance(layer, ProposalBase):
        raise item.cannot("ONNX has nothing for what a user's Python class computes.")
    form, how = item.bottoms[0], layer.how
    height, width = form.length(2), form.length(3)
    count = form.length(1) // 2
    anchors = layer.all_anchors(height, width).astype(np.float32)
    ends = anchors[:, 2:] + np.float32(1)
    size = ends - anchors[:, :2]
    scores = g.add("Slice", x[0], g.ints(count), g.ints(2 * count), g.ints(1))
    scores = g.add("Reshape", g.add("Transpose", scores, perm=[0, 2, 3, 1]), g.ints(-1, len(anchors)))
    codes = g.add("Reshape", g.add("Transpose", x[1], perm=[0, 2, 3, 1]), g.ints(-1, len(anchors), 4))
    boxes = shifted(g, codes, g.constant((anchors[:, :2] + ends) / 2), g.constant(size))
    boxes, least = _inside(g, boxes, x[2], item.bottoms[2], how.least)
    begin, end = _halves(g, boxes)
    large = g.add("Not", g.add("Less", g.scaled(g.add("Sub", end, begin), 1, 1.0), least))
    small = g.reduce("ReduceMin", g.add("Cast", large, to=FLOAT), [2], False)
    scores = g.add("Where", g.add("Greater", small, g.constant(0.0)), scores, g.constant(-np.inf))

    looked = how.before if 0 < how.before < len(anchors) else len(anchors)
    values, places = g.add("TopK", scores, g.ints(looked), outputs=2, axis=1)
    chosen = g.add("GatherND", boxes, g.add("Unsqueeze", places, g.ints(2)), batch_dims=1)
    stay = _suppressed(g, chosen, values, looked, how.after or looked, how.threshold, -np.inf, 1.0)
    stay = g.add("And", stay, g.add("Greater", values, g.constant(-np.inf)))
    at = g.add("Transpose", g.add("NonZero", stay), perm=[1, 0])
    image = g.add("Cast", g.add("Gather", at, g.ints(0), axis=1), to=FLOAT)
    tops = [g.add("Concat", image, g.add("GatherND", chosen, at), axis=1)]
    if len(item.tops) > 1:
        score = g.add("GatherND", values, at)
        tops.append(score if item.tops[1].axes == 1 else g.add("Unsqueeze", score, g.ints(1)))
    return tops


def _inside(g: Graph, boxes: str, info: str, form: Form, least: float) -> tuple[str, str]:
    """Boxes cut to the image, and the least width and height that one may have."""
    numbers = g.add("Reshape", info, g.ints(-1))
    sides = g.scaled(g.add("Gather", numbers, g.ints(1, 0, 1, 0), axis=0), 1, -1.0)
    cut = g.add("Max", g.add("Min", boxes, sides), g.constant(0.0))
    scales = g.ints(3 if np.prod(form.at) > 3 else 2, 2)  # the width's, and the height's
    return cut, g.scaled(g.add("Gather", numbers, scales, axis=0), float(least))
