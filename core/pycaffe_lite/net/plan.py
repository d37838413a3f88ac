"""The forward pass of a net whose weights stay, planned: fewer steps, fewer walks through memory.

- BatchNorm with stored statistics and Scale are folded into the weights and the bias of the Convolution before them.
- A ReLU behind, and a sum with another blob before it, are done while a block of the Convolution's results is in the
  cache. Dropout, which does nothing here, is not run.
- A Convolution whose blob a Concat reads writes it where the Concat would copy it, unless a later layer works on
  it in place.

A blob between two layers that are run as one, which no other layer reads, does not come into being. Which layers are
joined follows from the nodes alone, so that it is the same for any number of threads.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.kernels.choice import compiled
from pycaffe_lite.kernels.copying import parts
from pycaffe_lite.kernels.depthwise import DepthwiseProduct
from pycaffe_lite.kernels.fused import Finish, FusedConvolution, FusedDepthwise, TiledConvolution
from pycaffe_lite.layers.batch_norm import BatchNorm
from pycaffe_lite.layers.concat import Concat
from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.layers.convolution import Convolution
from pycaffe_lite.layers.dropout import Dropout
from pycaffe_lite.layers.eltwise import Eltwise
from pycaffe_lite.layers.relu import ReLU
from pycaffe_lite.layers.scale import Scale
from pycaffe_lite.net.node import Node
from pycaffe_lite.net.passes import Step
from pycaffe_lite.phase import TEST


class Joined:
    """A Convolution and the layers behind it that run with it.

    Args:
        nodes: they, in order, the Convolution first.

    Attributes:
        nodes: they.
        bottom, top: what is read, and what the last of the layers writes.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = tuple(nodes)
        layer = nodes[0].layer
        assert isinstance(layer, Convolution)
        self.layer, self.bottom, self.top = layer, nodes[0].bottoms[0], nodes[-1].tops[0]
        self.rectify = any(isinstance(node.layer, ReLU) for node in nodes)
        sums = [node for node in nodes if isinstance(node.layer, Eltwise)]
        self.other = _other(sums[0], nodes[: nodes.index(sums[0])]) if sums else None
        self._prepare()

    def _prepare(self) -> None:
        """Folds the weights, and cuts the work for the shapes of now."""
        self.shape = self.bottom.shape
        layer, product = self.layer, self.layer.product
        factor, shift = _folded(self.nodes, layer.outputs)
        weight = layer.weight()
        bias = layer.blobs[1].data if len(layer.blobs) > 1 else 0
        finish = Finish(
            weight if (factor == 1).all() else (weight * factor).astype(layer.dtype),
            (bias * factor + shift).astype(layer.dtype),
            self.rectify,
        )
        if isinstance(product, DepthwiseProduct):
            self.kernel: FusedConvolution | TiledConvolution | FusedDepthwise = FusedDepthwise(product, finish)
            return
        kind = FusedConvolution if compiled(layer.dtype) is None else TiledConvolution
        images, maps = (layer.images(blob.data).shape for blob in (self.bottom, self.nodes[0].tops[0]))
        self.kernel = kind(layer.window, images, maps, finish, layer.group)

    def forward(self) -> float:
        """What all of the layers do; a bottom of another shape than before is a new one to cut."""
        if self.bottom.shape != self.shape:
            for node in self.nodes:
                node.reshape()
            self._prepare()
        images, other = self.layer.images, self.other
        added = None if other is None else images(other.data)
        self.kernel.run(images(self.bottom.data), images(self.top.data), added)
        return 0.0


class InPlace:
    """A Concat along the channels; what its bottoms' makers can write into its top, they do from the next pass on.

    Args:
        node: the Concat.
        written: which of its bottoms lie wherever they are told to.
    """

    def __init__(self, node: Node, written: Collection[Blob]) -> None:
        self.node, self._free = node, [blob in written for blob in node.bottoms]
        self._top: np.ndarray | None = None
        self._parts: list[np.ndarray] = []

    def forward(self) -> float:
        """Copies what does not lie in the top yet."""
        self.node.reshape_if_needed()
        top, bottoms = self.node.tops[0].data, self.node.bottoms
        if top is not self._top:
            self._top, self._parts = top, parts(top, 1, [blob.shape[1] for blob in bottoms])
        for blob, place, free in zip(bottoms, self._parts, self._free, strict=True):
            if blob.data is not place:
                np.copyto(place, blob.data)
                if free and not blob.pinned:
                    blob.data = place
        return 0.0

    def release(self) -> None:
        """Gives the bottoms that lie in the top memory of their own again."""
        for blob, place in zip(self.node.bottoms, self._parts, strict=False):
            if blob.data is place:
                blob.data = place.copy(order="K")


class Plan(NamedTuple):
    """What `plan` finds.

    Attributes:
        steps: of a forward pass.
        gone: the blobs that do not come into being.
        parameters: those that have been folded, and the arrays that they had.
    """

    steps: list[Step | Joined | InPlace]
    gone: list[Blob]
    parameters: list[tuple[Blob, np.ndarray]]

    def is_of_now(self) -> bool:
        """Whether the parameters still have the arrays that were folded."""
        return all(blob.data is array for blob, array in self.parameters)

    def release(self) -> None:
        """Gives back what blobs have been given."""
        for step in self.steps:
            if isinstance(step, InPlace):
                step.release()


def plan(nodes: Sequence[Node], kept: Collection[Blob]) -> Plan:
    """Joins what can run as one.

    Args:
        nodes: of a net, whose shapes are known and whose weights stay as they are.
        kept: blobs that are looked at after a pass.
    """
    steps: list[Step | Joined | InPlace] = []
    gone: list[Blob] = []
    taken: set[Node] = set()
    written: list[Blob] = []
    for i, node in enumerate(nodes):
        if node in taken:
            continue
        if _is_plain_convolution(node):
            chain = _follow(nodes, i, kept)
            taken.update(chain)
            step = Joined(chain)
            gone += [before.tops[0] for before in chain if before.tops[0] is not step.top]
            steps.append(step)
            written.append(step.top)
        elif _joins_channels(node):
            changed = any(node.tops[0] in after.tops and not _does_nothing(after) for after in nodes[i + 1 :])
            steps.append(InPlace(node, [] if changed else [blob for blob in node.bottoms if blob in written]))
        elif not _does_nothing(node):
            steps.append(node)
    parameters = [(blob, blob.data) for node in nodes if node in taken for blob in node.layer.blobs]
    return Plan(steps, list(dict.fromkeys(gone)), parameters)


def _does_nothing(node: Node) -> bool:
    """Whether it is a Dropout that leaves its blob as it is."""
    return isinstance(node.layer, Dropout) and node.works_in_place and node.layer.phase == TEST


def _is_plain_convolution(node: Node) -> bool:
    layer = node.layer
    if type(layer) is not Convolution or len(node.bottoms) != 1 or node.works_in_place or any(layer.loss_weights):
        return False
    return layer.axis == 1 and len(layer.window.kernel) == 2


def _joins_channels(node: Node) -> bool:
    layer = node.layer
    return isinstance(layer, Concat) and len(node.bottoms) > 1 and layer.axis == 1 and not any(layer.loss_weights)


def _follow(nodes: Sequence[Node], start: int, kept: Collection[Blob]) -> list[Node]:
    """A Convolution and the nodes that run with it."""
    chain, top = [nodes[start]], nodes[start].tops[0]
    while True:
        readers = [j for j in range(nodes.index(chain[-1]) + 1, len(nodes)) if top in nodes[j].bottoms]
        if not readers or not _joins(nodes[readers[0]], chain, nodes[start : readers[0]]):
            return chain
        reader = nodes[readers[0]]
        if reader.tops[0] is not top and (len(readers) > 1 or top in kept):
            return chain
        chain.append(reader)
        top = reader.tops[0]


def _joins(node: Node, chain: Sequence[Node], between: Sequence[Node]) -> bool:
    """Whether a node can run with a chain that ends in a blob that it reads.

    Args:
        between: the nodes from the first of the chain to that one, which is not among them.
    """
    layer, ends = node.layer, [type(before.layer) for before in chain]
    if len(node.tops) != 1 or any(layer.loss_weights) or ReLU in ends:
        return type(layer) is Dropout and layer.phase == TEST and not any(layer.loss_weights)
    if type(layer) is BatchNorm:
        return layer.use_global_stats and Eltwise not in ends
    if type(layer) is Scale:
        return len(node.bottoms) == 1 and _by_channel(layer, node.bottoms[0]) and Eltwise not in ends
    if type(layer) is ReLU:
        return layer.layer_param.relu_param.negative_slope == 0
    if type(layer) is Eltwise:
        return Eltwise not in ends and set(between) == set(chain) and _is_sum_of_two(node)
    return type(layer) is Dropout and layer.phase == TEST


def _by_channel(scale: Layer, bottom: Blob) -> bool:
    """Whether a Scale multiplies the channels of axis 1."""
    axis = scale.canonical_axis(scale.layer_param.scale_param.axis, bottom)
    return scale.blobs[0].num_axes == 1 and axis == 1


def _is_sum_of_two(node: Node) -> bool:
    param = node.layer.layer_param.eltwise_param
    plain = param.operation == param.SUM and all(factor == 1 for factor in param.coeff)
    different = len(node.bottoms) == 2 and node.bottoms[0] is not node.bottoms[1]
    return plain and different and node.tops[0] not in node.bottoms


def _other(node: Node, chain: Sequence[Node]) -> Blob:
    """The bottom of a sum that the chain before it does not make."""
    first, second = node.bottoms
    return second if first is chain[-1].tops[0] else first


def _folded(nodes: Sequence[Node], outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """What the BatchNorms and Scales among the nodes multiply each channel with, and what they add then."""
    factor, shift = np.ones(outputs), np.zeros(outputs)
    for layer in (node.layer for node in nodes):
        if isinstance(layer, BatchNorm):
            mean, variance = layer.stored()
            inverse_std = 1 / np.sqrt(variance + layer.eps)
            factor, shift = factor * inverse_std, (shift - mean) * inverse_std
        elif isinstance(layer, Scale):
            scale, *bias = (blob.data.astype(np.float64) for blob in layer.blobs)
            factor, shift = factor * scale, shift * scale + (bias[0] if bias else 0)
    return factor, shift
