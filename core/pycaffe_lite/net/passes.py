"""What a pass through a net does, step by step: nodes, and chains of nodes that run as one.

BatchNorm, Scale and ReLU, one after the other and in place, are such a chain. Each of them walks through its blob by
itself, and such walks take as long as memory does. Together they read and write it half as often, in the same steps for
each element. The sums for the derivatives of scale and bias are also those that BatchNorm's derivative needs:

    n = (x - mean) / std        y = max(0, s n + b)
    t = dy where y > 0          db = sum of t        ds = sum of t n
    dx = s / std (t - db / m - n ds / m)             for channels of m values

The layers stay what they are: one that runs alone, or with debug_info, finds all that it needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pycaffe_lite.kernels.normalization import derive, normalize_and_scale, rectify_and_sum, sum_products
from pycaffe_lite.layers.batch_norm import BatchNorm
from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.layers.relu import ReLU
from pycaffe_lite.layers.scale import Scale
from pycaffe_lite.net.node import Node


class Chain:
    """A BatchNorm, a Scale in place and perhaps a ReLU in place.

    Attributes:
        nodes: the two or three of them, in order.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = tuple(nodes)
        norm, scale = (node.layer for node in nodes[:2])
        assert isinstance(norm, BatchNorm)
        assert isinstance(scale, Scale)
        self._norm, self._scale, self._relu = norm, scale, len(nodes) > 2
        self._bottom, self._top = nodes[0].bottoms[0], nodes[0].tops[0]

    def forward(self) -> float:
        """What the layers' forward passes do; the Scale's input is kept where the BatchNorm keeps its output."""
        for node in self.nodes:
            node.reshape_if_needed()
        norm, scale = self._norm, self._scale
        assert scale.kept is not None
        scale.kept.data = norm.normal.data
        vectors = [*norm.prepare(self._bottom.data), *(blob.data for blob in scale.blobs)]
        x, normal, y = self._bottom.data, norm.normal.data, self._top.data
        normalize_and_scale(norm.channels, x, normal, y, vectors, self._relu)
        return 0.0

    def backward(self) -> None:
        """What the layers' backward passes do, if they take part."""
        if not self.nodes[0].goes_backward:
            return
        norm, scale = self._norm, self._scale
        normal, diff = norm.normal.data, self._top.diff
        if not self._relu:
            sums = sum_products(norm.channels, diff, normal)
        else:
            sums = rectify_and_sum(norm.channels, self._top.data, normal, diff)
        for blob, total, wanted in zip(scale.blobs, sums[::-1], scale.param_propagate_down, strict=False):
            if wanted:
                blob.diff[...] += total
        factor = scale.blobs[0].data * norm.inverse_std
        means = np.zeros_like(sums) if norm.use_global_stats else sums / max(1, norm.channels.size)
        derive(norm.channels, diff, normal, self._bottom.diff, [*means, factor])


Step = Node | Chain


def fuse(nodes: Sequence[Node]) -> list[Step]:
    """The steps of a pass through all nodes, which have been planned: those that can run as one do."""
    steps: list[Step] = []
    i = 0
    while i < len(nodes):
        length = _chain_length(nodes[i : i + 3])
        steps.append(Chain(nodes[i : i + length]) if length > 1 else nodes[i])
        i += length
    return steps


def within(steps: Sequence[Step], first: int, last: int) -> Iterator[Step]:
    """The steps of a pass through nodes first … last alone; of a chain that is cut, its nodes."""
    begin = 0
    for step in steps:
        nodes = step.nodes if isinstance(step, Chain) else (step,)
        end = begin + len(nodes)
        if first <= begin and end <= last + 1:
            yield step
        else:
            yield from nodes[max(0, first - begin) : max(0, last + 1 - begin)]
        begin = end


def _chain_length(nodes: Sequence[Node]) -> int:
    """How many of the next three nodes run as one."""
    if len(nodes) < 2 or not _begins(nodes[0]) or not _follows(nodes[1], nodes[0], Scale) or not _fits(nodes[1]):
        return 1
    return 3 if len(nodes) > 2 and _follows(nodes[2], nodes[1], ReLU) and not _slope(nodes[2].layer) else 2


def _begins(node: Node) -> bool:
    """Whether it is a BatchNorm, and in place if it goes backward: then nobody sees the diffs between."""
    if not isinstance(node.layer, BatchNorm):
        return False
    return not node.goes_backward or (node.propagate_down[0] and node.works_in_place)


def _follows(node: Node, before: Node, kind: type[Layer]) -> bool:
    """Whether it is of that type, works in place on the top of the one before, and goes backward if that does."""
    return (
        isinstance(node.layer, kind)
        and node.works_in_place
        and node.tops[0] is before.tops[0]
        and node.goes_backward == before.goes_backward
        and node.propagate_down[0] == node.goes_backward
        and not any(node.layer.loss_weights)
        and not any(before.layer.loss_weights)
    )


def _slope(relu: Layer) -> float:
    return float(relu.layer_param.relu_param.negative_slope)


def _fits(node: Node) -> bool:
    """Whether a Scale multiplies the channels of axis 1."""
    scale, blob = node.layer, node.bottoms[0]
    return scale.blobs[0].num_axes == 1 and scale.canonical_axis(scale.layer_param.scale_param.axis, blob) == 1
