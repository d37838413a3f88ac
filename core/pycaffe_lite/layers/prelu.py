"""PReLU: a rectified linear unit that learns the slope of its negative side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.channels import Add, Channels
from pycaffe_lite.kernels.elementwise import zeros_like
from pycaffe_lite.layers.contract import Layer, register_layer
from pycaffe_lite.memory import BOOL, borrow
from pycaffe_lite.proto import caffe_pb2


@register_layer("PReLU")
class PReLU(Layer):
    """Keeps what is positive and multiplies the rest by a learned slope.

        y = max(0, x) + slope min(0, x)
        dslope = sum of dy x where x <= 0        dx = dy where x > 0, dy slope elsewhere

    Bottoms: x, two axes or more; channels along axis 1.
    Tops: y, like x; may be x itself (in place), and then x is kept for the derivative.
    Blobs: slope, one for each channel, or a scalar (shape ()) with channel_shared.
    Parameters: prelu_param { filler: constant 0.25, channel_shared: false }.

    Errors: fewer than two axes; another number of channels than the layer was made for.

    Source: He et al., "Delving Deep into Rectifiers", 2015; Caffe's PReLULayer.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._check_axes(bottom[0])
        param = self.layer_param.prelu_param
        filler = param.filler if param.HasField("filler") else caffe_pb2.FillerParameter(value=0.25)
        self.shared = param.channel_shared
        self.add_param(() if self.shared else (bottom[0].shape[1],), filler)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x = bottom[0]
        self._check_axes(x)
        if not self.shared and x.shape[1] != self.blobs[0].count:
            raise self.error(
                f"expected {self.blobs[0].count} channels, as when it was made, got shape {list(x.shape)}."
            )
        top[0].reshape_like(x)
        self.kept = Blob(x.shape, x.order, x.dtype) if top[0] is x else None
        self.channels = Channels(x, 1, 1 if self.shared else 2)

    def _check_axes(self, bottom: Blob) -> None:
        if bottom.num_axes < 2:
            raise self.error(f"expected a bottom of at least 2 axes, got shape {list(bottom.shape)}.")

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, y, slopes = bottom[0].data, top[0].data, [self._slopes()]
        if self.kept is None:
            self.channels.map(_rectify, x, y, vectors=slopes)
        else:
            self.channels.map(_keep_and_rectify, x, self.kept.data, y, vectors=slopes, written=2)

    def _slopes(self) -> np.ndarray:
        return self.blobs[0].data.reshape(-1)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """One walk through memory for the slopes' sums and dx, as far as they are wanted."""
        want_slopes, want_dx = self.param_propagate_down[0], propagate_down[0]

        def body(add: Add, x: Array, dy: Array, *dx_and_slope: Array) -> None:
            if want_slopes:
                _add_slope_terms(add, x, dy)
            if want_dx:
                _derive(x, dy, *dx_and_slope)

        sums = self.channels.sums(
            int(want_slopes),
            body,
            bottom[0].data if self.kept is None else self.kept.data,
            top[0].diff,
            *([bottom[0].diff] if want_dx else []),
            vectors=[self._slopes()] if want_dx else [],
            written=int(want_dx),
        )
        if want_slopes:
            self.blobs[0].diff[...] += sums[0].reshape(self.blobs[0].shape)


def _rectify(x: Array, y: Array, slope: Array) -> None:
    with borrow(x.shape, x.dtype) as negative:
        np.minimum(x, zeros_like(x), out=negative)
        np.multiply(negative, slope, out=negative)
        np.maximum(x, zeros_like(x), out=y)
        np.add(y, negative, out=y)


def _keep_and_rectify(x: Array, kept: Array, y: Array, slope: Array) -> None:
    np.copyto(kept, x)
    _rectify(x, y, slope)


def _add_slope_terms(add: Add, x: Array, dy: Array) -> None:
    """Adds dy x where x <= 0."""
    with borrow(x.shape, x.dtype) as terms:
        np.minimum(x, zeros_like(x), out=terms)
        add(0, np.multiply(terms, dy, out=terms))


def _derive(x: Array, dy: Array, dx: Array, slope: Array) -> None:
    with borrow(x.shape, BOOL) as positive, borrow(x.shape, x.dtype) as passed, borrow(x.shape, x.dtype) as rest:
        np.multiply(dy, np.greater(x, 0, out=positive), out=passed)
        np.subtract(dy, passed, out=rest)
        np.multiply(rest, slope, out=rest)
        np.add(passed, rest, out=dx)
