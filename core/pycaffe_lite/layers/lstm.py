"""LSTM: the long short-term memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.elementwise import PIECE
from pycaffe_lite.kernels.gates import FORGET, unit_backward, unit_forward, unit_slopes
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.recurrent_base import Recurrent, matrix
from pycaffe_lite.parallel import parallel_for, slices


@register_layer("LSTM")
class LSTM(Recurrent):
    """Takes streams through time steps with a memory that it learns to write, keep and read.

        z_t = W_x x_t + b + W_static x_static + W_h (cont_t h_{t-1})
        i, f, o = s(z_t) for the first three of its four blocks, g = tanh of the fourth, f = cont_t f
        c_t = f c_{t-1} + i g        h_t = o tanh(c_t)        y_t = h_t

    Bottoms, tops, parameters, errors: see `Recurrent`. The states are h and c, in this order.
    blobs: W_x, 4D x inputs; b, 4D; W_static, 4D x static inputs, if there is a static input; W_h, 4D x D; the
        rows are those of the gates i, f, o, g.

    Source: Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997; Donahue et al., "Long-term Recurrent
        Convolutional Networks for Visual Recognition and Description", 2015; Caffe's LSTMLayer.
    """

    num_bottoms = (2, 5)
    num_tops = (1, 3)
    state_names = ("h", "c")
    blocks = 4

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        self.cells = np.empty_like(self.hidden)
        self.squashed, self.through = np.empty_like(self.conted), np.empty_like(self.conted)
        self.cell_diff = np.empty_like(self.hidden[0])

    def begin(self, first: Sequence[Array]) -> None:
        super().begin(first)
        np.copyto(self.cells[0], first[1])

    def step_forward(self, t: int, units: slice, z: Array) -> None:
        before, after, squashed, hidden = (
            array[:, units] for array in (self.cells[t], self.cells[t + 1], self.squashed[t], self.hidden[t + 1])
        )
        unit_forward(z, self.cont[t], before, after, squashed, hidden)
        np.copyto(self.z[t, :, :, units], z.transpose(1, 0, 2))

    def end(self, top: Blob) -> list[Array]:
        # A copy, because a layer in place behind this one would write over what backward needs.
        np.copyto(top.data, self.hidden[1:])
        return [self.hidden[-1], self.cells[-1]]

    def begin_backward(self, top: Blob) -> Array:
        self.cell_diff.fill(0)
        states = [matrix(array, 2) for array in (self.cells[:-1], self.squashed, self.through)]
        gates, gates_diff = (matrix(array, 2).reshape(-1, 4, self.units) for array in (self.z, self.z_diff))
        rows = slices(len(gates), gates.size // PIECE)

        def piece(i: int) -> None:
            cell, squashed, through = (array[rows[i]] for array in states)
            by_gate, diff_by_gate = (array[rows[i]].transpose(1, 0, 2) for array in (gates, gates_diff))
            unit_slopes(by_gate, cell, squashed, through, diff_by_gate)

        parallel_for(len(rows), piece)
        return top.diff

    def step_backward(self, t: int, units: slice, hidden_diff: Array) -> None:
        forget, through = self.z[t, :, FORGET, units], self.through[t, :, units]
        gates_diff = self.z_diff[t, :, :, units].transpose(1, 0, 2)
        unit_backward(forget, through, hidden_diff, self.cell_diff[:, units], gates_diff)
