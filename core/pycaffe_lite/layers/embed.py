"""Embed: rows of a table, looked up by number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.kernels.rows import add_rows, take_rows
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.rows_base import RowsLayer


@register_layer("Embed")
class Embed(RowsLayer):
    """Looks its numbers up in a learnable table: an InnerProduct with one-hot rows.

        y[i] = W[x[i]] + b        dW[x[i]] += dy[i],  db = sum of all dy[i]

    Bottom: numbers from 0 to input_dim - 1, any shape; nothing is propagated into them.
    Top: the bottom's axes, then num_output.
    blobs: weight, input_dim x num_output; bias, num_output.

    Parameters (embed_param): num_output, input_dim, both 1 or more; bias_term (true); weight_filler, bias_filler.

    Errors: a number outside the table; a bottom that learns.

    Source: Caffe's EmbedLayer.
    """

    may_propagate = (False,)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.embed_param
        self.inputs, self.outputs = param.input_dim, param.num_output
        if self.inputs < 1 or self.outputs < 1:
            raise self.error(
                f"expected input_dim and num_output of 1 or more, got {self.inputs} and {self.outputs}; "
                "set embed_param { input_dim: … num_output: … }."
            )
        self.add_param((self.inputs, self.outputs), param.weight_filler)
        if param.bias_term:
            self.add_param((self.outputs,), param.bias_filler)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].reshape(*bottom[0].shape, self.outputs)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.rows = self.read_rows(bottom[0], self.inputs)
        y = top[0].data.reshape(-1, self.outputs)
        take_rows(self.blobs[0].data, self.rows, y)
        if len(self.blobs) > 1:
            np.add(y, self.blobs[1].data, out=y)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        self.cannot_propagate(propagate_down, 0, "its numbers")
        dy = top[0].diff.reshape(-1, self.outputs)
        if self.param_propagate_down[0]:
            add_rows(dy, self.rows, self.blobs[0].diff)
        if len(self.blobs) > 1 and self.param_propagate_down[1]:
            self.blobs[1].diff[...] += np.ones(len(dy), dy.dtype) @ dy
