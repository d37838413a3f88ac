"""LRN: local response normalization."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.choice import compiled
from pycaffe_lite.kernels.copying import in_memory_order
from pycaffe_lite.kernels.neighbours import AcrossChannels, Region, WithinChannel
from pycaffe_lite.layers.contract import Layer, register_layer
from pycaffe_lite.memory import borrow
from pycaffe_lite.parallel import parallel_for


@register_layer("LRN")
class LRN(Layer):
    """Divides each value by a power of the sum of the squares around it.

        y = x / scale ^ beta
        ACROSS_CHANNELS: scale = k + alpha / n * sum of x² over the n nearest channels at the same place
        WITHIN_CHANNEL:  scale = 1 + alpha / n² * sum of x² over the n x n nearest places in the same channel
        dx = dy / scale ^ beta - 2 alpha beta / n(²) x * sum of dy y / scale over the same neighbours

    What lies outside counts as 0, and n does not shrink at the edges. WITHIN_CHANNEL ignores k, as in Caffe.

    Bottoms: x, N x C x H x W.
    Tops: y, like x; may be x itself (in place), and then x is kept for the derivative, which Caffe takes at y.
    Parameters: lrn_param { local_size: 5 (n, odd), alpha: 1, beta: 0.75, k: 1, norm_region: ACROSS_CHANNELS };
        `engine` makes no difference.

    Errors: an even local_size; another number of axes than 4.

    Source: Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks",
    2012; Caffe's LRNLayer.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.lrn_param
        size = param.local_size
        if size % 2 == 0:
            raise self.error(f"expected an odd local_size, got {size}.")
        self.within = param.norm_region == param.WITHIN_CHANNEL
        self.half = size // 2
        self.share = param.alpha / (size * size if self.within else size)
        self.k = 1.0 if self.within else param.k
        self.beta = param.beta
        # beta is 0.75 almost everywhere, and there two square roots do.
        self.power = _QuarterPower() if self.beta == 0.75 else _Power(self.beta)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x = bottom[0]
        if x.num_axes != 4:
            raise self.error(f"expected a bottom of 4 axes (N, C, H, W), got shape {list(x.shape)}.")
        top[0].reshape_like(x)
        self.region: Region = (WithinChannel if self.within else AcrossChannels)(x, self.half)
        self.base = Blob(x.shape, x.order, x.dtype)
        self.kept = Blob(x.shape, x.order, x.dtype) if top[0] is x else None

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self.kept is None:
            self._run(self._normalize, bottom[0].data, self.base.data, top[0].data, written=2)
        else:
            self._run(self._keep_and_normalize, self.kept.data, self.base.data, top[0].data, written=3)

    def _keep_and_normalize(self, kept: Array, base: Array, x: Array) -> None:
        np.copyto(kept, x)
        self._normalize(kept, base, x)

    def _loops(self, x: Array) -> Any:
        """The compiled loops, for neighbours that lie side by side and the usual power."""
        side_by_side = isinstance(self.region, AcrossChannels) and self.region.shape[-1] == 1
        return compiled(x.dtype) if side_by_side and isinstance(self.power, _QuarterPower) else None

    def _normalize(self, x: Array, base: Array, y: Array) -> None:
        if loops := self._loops(x):
            loops.lrn_forward(x[..., 0], base[..., 0], y[..., 0], self.half, self.share, self.k)
            return
        space = self.region.workspace(x)
        np.square(x, out=space.terms)
        space.sum()
        np.multiply(space.memory, self.share, out=space.memory)
        np.add(space.memory, self.k, out=space.memory)
        self.power.prepare(space.memory, space.total, base)
        self.power.multiply(x, base, y)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            x = bottom[0].data if self.kept is None else self.kept.data
            self._run(self._derive, x, self.base.data, top[0].diff, bottom[0].diff)

    def _derive(self, x: Array, base: Array, dy: Array, dx: Array) -> None:
        if loops := self._loops(x):
            share = -2 * self.share * self.beta
            loops.lrn_backward(x[..., 0], base[..., 0], dy[..., 0], dx[..., 0], self.half, share)
            return
        with borrow(x.shape, x.dtype) as factor, borrow(x.shape, x.dtype) as ratio:
            self.power.factors(base, factor, ratio)
            np.multiply(ratio, x, out=ratio)
            space = self.region.workspace(x)
            np.multiply(ratio, dy, out=space.terms)
            space.sum()
            np.multiply(space.memory, -2 * self.share * self.beta, out=space.memory)
            np.multiply(space.total, x, out=ratio)
            np.multiply(dy, factor, out=dx)
            np.add(dx, ratio, out=dx)

    def _run(self, body: Callable[..., None], *arrays: Array, written: int = 1) -> None:
        """Calls body for matching pieces of all arrays; the last `written` ones are written to."""
        region = self.region
        with in_memory_order(arrays, region.order, written) as memory:
            views = [array.reshape(region.shape) for array in memory]
            parallel_for(len(region.cuts), lambda i: body(*(view[region.cuts[i]] for view in views)))


class _Power:
    """scale ^ -beta; what is kept of the scale for the derivative is its logarithm."""

    def __init__(self, beta: float) -> None:
        self.beta = beta

    def prepare(self, memory: Array, scale: Array, base: Array) -> None:
        """Fills base, what is kept, from the scale, a part of `memory`, which may be written over."""
        np.log(memory, out=memory)
        np.copyto(base, scale)

    def multiply(self, x: Array, base: Array, y: Array) -> None:
        """y = x scale ^ -beta"""
        np.multiply(base, -self.beta, out=y)
        np.exp(y, out=y)
        np.multiply(y, x, out=y)

    def factors(self, base: Array, factor: Array, ratio: Array) -> None:
        """factor = scale ^ -beta, ratio = factor / scale"""
        np.multiply(base, -self.beta, out=factor)
        np.exp(factor, out=factor)
        np.negative(base, out=ratio)
        np.exp(ratio, out=ratio)
        np.multiply(ratio, factor, out=ratio)


class _QuarterPower(_Power):
    """scale ^ -0.75; what is kept is scale ^ -0.25, so that the rest takes products alone."""

    def __init__(self) -> None:
        super().__init__(0.75)

    def prepare(self, memory: Array, scale: Array, base: Array) -> None:
        np.sqrt(memory, out=memory)
        np.sqrt(memory, out=memory)
        np.reciprocal(scale, out=base)

    def multiply(self, x: Array, base: Array, y: Array) -> None:
        np.multiply(x, base, out=y)
        np.multiply(y, base, out=y)
        np.multiply(y, base, out=y)

    def factors(self, base: Array, factor: Array, ratio: Array) -> None:
        np.square(base, out=ratio)
        np.multiply(ratio, base, out=factor)
        np.square(ratio, out=ratio)
        np.multiply(ratio, factor, out=ratio)
