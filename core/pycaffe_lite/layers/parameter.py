"""Parameter: a learnable array as a blob."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.contract import Layer, register_layer


@register_layer("Parameter")
class Parameter(Layer):
    """Hands out a parameter of its own.

        y = W        dW += dy

    Bottoms: none.
    Top: `shape`; it shares the parameter's data.
    Parameters: parameter_param { shape { dim: … } }; the values begin at 0, or come from a weights file.

    Source: Caffe's ParameterLayer, whose dW is overwritten in each pass instead of added to.
    """

    num_bottoms = (0, 0)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = [int(length) for length in self.layer_param.parameter_param.shape.dim]
        self.blobs.append(Blob(shape, dtype=self.dtype))

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].reshape(*self.blobs[0].shape)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].data = self.blobs[0].data

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if self.param_propagate_down[0]:
            np.add(self.blobs[0].diff, top[0].diff, out=self.blobs[0].diff)
