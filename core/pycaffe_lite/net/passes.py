"""BatchNorm, Scale and ReLU, one after the other and in place, run as one layer.

Each of them walks through its blob by itself, and such walks take as long as memory does. Together they read and write
it half as often, in the same steps for each element. The sums for the derivatives of scale and bias are also those that
BatchNorm's derivative needs:

    n = (x - mean) / std        y = max(0, s n + b)
    t = dy where y > 0          db = sum of t        ds = sum of t n
    dx = s / std (t - db / m - n ds / m)             for channels of m values

The layers stay what they are: one that runs alone, or with debug_info, finds all that it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.channels import Add
from pycaffe_lite.kernels.normalization import add_products, derive, normalize
from pycaffe_lite.layers.batch_norm import BatchNorm
from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.layers.relu import ReLU
from pycaffe_lite.layers.scale import Scale
from pycaffe_lite.memory import BOOL, borrow

if TYPE_CHECKING:
    from pycaffe_lite.net import Net


class Chain:
    """Consecutive layers of a net: a BatchNorm, a Scale in place and perhaps a ReLU in place.

    Attributes:
        first, last: their numbers.
    """

    def __init__(self, net: Net, first: int, relu: bool) -> None:
        self.first, self.last = first, first + 1 + relu
        norm, scale = net.layers[first : first + 2]
        assert isinstance(norm, BatchNorm)
        assert isinstance(scale, Scale)
        self._norm, self._scale, self._relu = norm, scale, relu
        self._bottom, self._top = net.bottoms[first][0], net.tops[first][0]

    def forward(self) -> None:
        """What the layers' forward passes do; the Scale's input is kept where the BatchNorm keeps its output."""
        norm, scale = self._norm, self._scale
        assert scale.kept is not None
        scale.kept.data = norm.normal.data
        vectors = [*norm.prepare(self._bottom.data), *(blob.data for blob in scale.blobs)]
        body = _forward if not self._relu else _forward_and_rectify
        norm.channels.map(body, self._bottom.data, norm.normal.data, self._top.data, vectors=vectors, written=2)

    def backward(self) -> None:
        """What the layers' backward passes do."""
        norm, scale = self._norm, self._scale
        normal, diff = norm.normal.data, self._top.diff
        if not self._relu:
            sums = norm.channels.sums(2, add_products, diff, normal)
        else:
            sums = norm.channels.sums(2, _rectify_and_sum, self._top.data, normal, diff, written=1)
        for blob, total, wanted in zip(scale.blobs, sums[::-1], scale.param_propagate_down, strict=False):
            if wanted:
                blob.diff[...] += total
        factor = scale.blobs[0].data * norm.inverse_std
        means = np.zeros_like(sums) if norm.use_global_stats else sums / max(1, norm.channels.size)
        norm.channels.map(derive, diff, normal, self._bottom.diff, vectors=[*means, factor])


def steps(net: Net, first: int, last: int) -> list[int | Chain]:
    """What a pass through layers first … last does, in order: layers by their numbers, and chains.

    Chains are those that lie in that range as a whole; with debug_info everybody sees what is between.
    """
    found: list[int | Chain] = []
    i = first
    while i <= last:
        chain = None if net.debug_info else net.chains.get(i)
        if chain is not None and chain.last <= last:
            found.append(chain)
            i = chain.last + 1
        else:
            found.append(i)
            i += 1
    return found


def find_chains(net: Net) -> dict[int, Chain]:
    """The chains of a net by the numbers of their first layers."""
    chains = {}
    for i in range(len(net.layers) - 1):
        if _begins(net, i) and _follows(net, i + 1, Scale) and _fits(net.layers[i + 1], net.tops[i][0]):
            relu = i + 2 < len(net.layers) and _follows(net, i + 2, ReLU) and not _slope(net.layers[i + 2])
            chains[i] = Chain(net, i, relu)
    return chains


def _begins(net: Net, i: int) -> bool:
    """Whether layer i is a BatchNorm, and in place if it goes backward: then nobody sees the diffs between."""
    if not isinstance(net.layers[i], BatchNorm):
        return False
    return not net.backward_plan.layers[i] or (net.backward_plan.bottoms[i][0] and net.bottoms[i][0] is net.tops[i][0])


def _follows(net: Net, i: int, kind: type[Layer]) -> bool:
    """Whether layer i is of that type, works in place on the top of the one before, and goes backward if that does."""
    layer, plan = net.layers[i], net.backward_plan
    return (
        isinstance(layer, kind)
        and len(net.bottoms[i]) == 1
        and net.bottoms[i][0] is net.tops[i][0] is net.tops[i - 1][0]
        and plan.layers[i] == plan.layers[i - 1]
        and plan.bottoms[i][0] == plan.layers[i]
        and not any(layer.loss_weights)
        and not any(net.layers[i - 1].loss_weights)
    )


def _slope(relu: Layer) -> float:
    return float(relu.layer_param.relu_param.negative_slope)


def _fits(scale: Layer, blob: Blob) -> bool:
    """Whether a Scale multiplies the channels of axis 1."""
    return scale.blobs[0].num_axes == 1 and scale.canonical_axis(scale.layer_param.scale_param.axis, blob) == 1


def _forward(
    x: Array, normal: Array, y: Array, mean: Array, inverse_std: Array, scale: Array, bias: Array | None = None
) -> None:
    normalize(x, normal, mean, inverse_std)
    np.multiply(normal, scale, out=y)
    if bias is not None:
        np.add(y, bias, out=y)


def _forward_and_rectify(x: Array, normal: Array, y: Array, *vectors: Array) -> None:
    _forward(x, normal, y, *vectors)
    np.maximum(y, 0, out=y)


def _rectify_and_sum(add: Add, y: Array, normal: Array, diff: Array) -> None:
    with borrow(y.shape, BOOL) as positive:
        np.greater(y, 0, out=positive)
        np.multiply(diff, positive, out=diff)
    add_products(add, diff, normal)
