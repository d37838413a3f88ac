"""Scale: multiplies by a vector along some axes, and adds another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.channels import Add
from pycaffe_lite.layers.broadcast_base import Broadcast
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.memory import borrow
from pycaffe_lite.proto import caffe_pb2


@register_layer("Scale")
class Scale(Broadcast):
    """Multiplies by a vector, repeated over the axes that it does not have, and may add another one.

        y[n, c, h, w] = x[n, c, h, w] s[c] + b[c]
        dx = dy s,  ds[c] = sum of dy x over n, h, w,  db[c] = sum of dy over n, h, w

    Bottoms: x, any shape; s, where it is not learned, like x from `axis` on, over as many axes as it has.
    Tops: y, like x; may be x itself (in place), and then x is kept for the derivative.
    Blobs: with one bottom: s, of the bottom's shape from `axis` on over `num_axes` axes; with bias_term: b, like
        s, after it or alone.
    Parameters: scale_param { axis: 1, num_axes: 1, filler: constant 1, bias_term: false, bias_filler: constant
        0 }. num_axes -1 means all axes from `axis` on, 0 one number for all.

    ds accumulates as every parameter's diff does; Caffe overwrites it where s covers all of x, or axis is 0.

    Errors: axes that x does not have; an s that does not fit.

    Source: Caffe's ScaleLayer.
    """

    param: caffe_pb2.ScaleParameter

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.param = param = self.layer_param.scale_param
        if len(bottom) == 1:
            filler = param.filler if param.HasField("filler") else caffe_pb2.FillerParameter(value=1)
            self.add_param(self.operand_shape(bottom[0]), filler)
        if param.bias_term:
            self.add_param(self.operand(bottom).shape, param.bias_filler)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        if self.param.bias_term and self.blobs[-1].shape != self.operand(bottom).shape:
            raise self.error(
                f"expected a second bottom of shape {list(self.blobs[-1].shape)}, as when it was made, got "
                f"{list(bottom[1].shape)}."
            )
        x = bottom[0]
        self.kept = Blob(x.shape, x.order, x.dtype) if top[0] is x else None

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        arrays = [bottom[0].data, top[0].data]
        if self.kept is not None:
            arrays = [bottom[0].data, self.kept.data, top[0].data]
        vectors = [self.operand(bottom).data.reshape(-1)]
        if self.param.bias_term:
            vectors.append(self.blobs[-1].data.reshape(-1))
        body = _scale if self.kept is None else _keep_and_scale
        self.channels.map(body, *arrays, vectors=vectors, written=len(arrays) - 1)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """One walk through memory for all that is wanted: the sums for s and b, and dx."""
        learned = len(bottom) == 1
        want_scale = self.param_propagate_down[0] if learned else propagate_down[1]
        want_bias = self.param.bias_term and self.param_propagate_down[-1]
        reads = [top[0].diff]
        if want_scale:
            reads.append(bottom[0].data if self.kept is None else self.kept.data)
        writes = [bottom[0].diff] if propagate_down[0] else []
        scale = self.operand(bottom)

        def body(add: Add, dy: Array, *others: Array) -> None:
            if want_bias:
                add(0, dy)
            if want_scale:
                with borrow(dy.shape, dy.dtype) as product:
                    add(-1, np.multiply(dy, others[0], out=product))
            if writes:
                dx, factor = others[-2:]
                np.multiply(dy, factor, out=dx)

        sums = self.channels.sums(
            want_bias + want_scale,
            body,
            *reads,
            *writes,
            vectors=[scale.data.reshape(-1)] if writes else [],
            written=len(writes),
        )
        if want_bias:
            self.blobs[-1].diff[...] += sums[0].reshape(scale.shape)
        if want_scale and learned:
            scale.diff[...] += sums[-1].reshape(scale.shape)
        elif want_scale:
            scale.diff[...] = sums[-1].reshape(scale.shape)


def _scale(x: Array, y: Array, scale: Array, bias: Array | None = None) -> None:
    np.multiply(x, scale, out=y)
    if bias is not None:
        np.add(y, bias, out=y)


def _keep_and_scale(x: Array, kept: Array, y: Array, scale: Array, bias: Array | None = None) -> None:
    np.copyto(kept, x)
    _scale(x, y, scale, bias)
