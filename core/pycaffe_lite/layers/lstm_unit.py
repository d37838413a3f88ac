"""LSTMUnit: one time step of an LSTM, from gate inputs to the next state."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.elementwise import PIECE
from pycaffe_lite.kernels.gates import FORGET, unit_backward, unit_forward, unit_slopes
from pycaffe_lite.layers.contract import Layer, register_layer
from pycaffe_lite.parallel import parallel_for, slices


@register_layer("LSTMUnit")
class LSTMUnit(Layer):
    """One time step of a long short-term memory.

        i = s(x_0), f = cont s(x_1), o = s(x_2), g = tanh(x_3)        s(x) = 1 / (1 + exp(-x))
        c = f c_prev + i g        h = o tanh(c)

    Bottoms: c_prev, 1 x N x D; x, 1 x N x 4D, of any range; cont, 1 x N: 0 where a sequence begins, else 1, or a
        number between them that the forget gate is scaled with.
    Tops: c and h, 1 x N x D.

    Where cont is a fraction the derivative of f takes the scaled f for the sigmoid, f (1 - f), as in Caffe.

    Errors: shapes that do not fit; a diff wanted for cont.

    Source: Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997; Caffe's LSTMUnitLayer.
    """

    num_bottoms = (3, 3)
    num_tops = (2, 2)
    may_propagate = (True, True, False)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shapes = [blob.shape for blob in bottom]
        streams, units = (*shapes[0], 0, 0, 0)[1:3]
        if shapes != [(1, streams, units), (1, streams, 4 * units), (1, streams)]:
            raise self.error(
                f"expected shapes 1 x N x D (cell), 1 x N x 4D (gate inputs) and 1 x N (cont), got "
                f"{', '.join(str(list(shape)) for shape in shapes)}."
            )
        for blob in top:
            blob.reshape(1, streams, units)
        dtype = bottom[0].dtype
        self.gates, self.gates_diff = (np.empty((4, streams, units), dtype) for _ in range(2))
        self.squashed, self.through, self.cell_diff = (np.empty((streams, units), dtype) for _ in range(3))
        self.cuts = slices(streams, self.gates.size // PIECE)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        np.copyto(self.gates, self._by_gate(bottom[1].data))
        cont, cell = bottom[2].data[0][:, None], bottom[0].data[0]
        self._each(unit_forward, self.gates, cont, cell, top[0].data[0], self.squashed, top[1].data[0])

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        self.cannot_propagate(propagate_down, 2, "cont")
        if not any(propagate_down):
            return
        np.copyto(self.cell_diff, top[0].diff[0])
        cell, hidden_diff, forget = bottom[0].data[0], top[1].diff[0], self.gates[FORGET]
        self._each(unit_slopes, self.gates, cell, self.squashed, self.through, self.gates_diff)
        self._each(unit_backward, forget, self.through, hidden_diff, self.cell_diff, self.gates_diff)
        if propagate_down[0]:
            np.copyto(bottom[0].diff[0], self.cell_diff)
        if propagate_down[1]:
            streams, units = self.squashed.shape
            rows = self.gates_diff.transpose(1, 0, 2).reshape(streams, 4 * units)
            np.copyto(bottom[1].diff[0], rows)

    def _by_gate(self, array: Array) -> Array:
        """1 x N x 4D as 4 x N x D."""
        streams, units = self.squashed.shape
        return array[0].reshape(streams, 4, units).transpose(1, 0, 2)

    def _each(self, body: Callable[..., object], *arrays: Array) -> None:
        """Calls body for matching pieces of all arrays, cut along the streams."""
        parallel_for(len(self.cuts), lambda i: body(*(array[..., self.cuts[i], :] for array in arrays)))
