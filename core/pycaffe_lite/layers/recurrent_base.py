"""What the recurrent layers share: sequences, the state they carry on, the products of all steps at once."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import ClassVar

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.kernels import products
from pycaffe_lite.kernels.copying import dense, dense_to_write
from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.layers.filler import fill
from pycaffe_lite.memory import Loans, borrow
from pycaffe_lite.parallel import parallel_for
from pycaffe_lite.proto.caffe_pb2 import FillerParameter

Param = tuple[tuple[int, ...], FillerParameter]


class Recurrent(Layer):
    """A layer that takes N independent streams through T time steps, a state going on from each to the next.

        z_t = W_x x_t + b + W_static x_static + W_h (cont_t h_{t-1})
        state_t = a function of z_t, cont_t and state_{t-1}, the subclass's own

    Bottoms: x, T x N x …, of any range; cont, T x N: 0 where a sequence begins, so that nothing comes in from
        before, else 1, or a number between them that the state is scaled with; optionally x_static, N x …, the
        same in all steps; with expose_hidden the states before the first step, each 1 x N x num_output.
    Tops: y, T x N x num_output; with expose_hidden the states after the last step, each 1 x N x num_output.
    blobs: W_x, blocks * num_output x inputs; b, blocks * num_output; W_static, if there is a static input;
        W_h, blocks * num_output x num_output; then what the subclass adds.

    Parameters (recurrent_param): num_output; weight_filler, bias_filler; expose_hidden (false). Without it each
        forward begins with the state that the one before ended with, 0 at first, so that a long sequence may
        come in pieces. No derivative goes back from one forward into the one before, nor through exposed
        states, as in Caffe. `debug_info` makes no difference.

    Parameters that are applied in each step take random numbers for each of the T steps when they are made, of which
    those for the first are kept, as in Caffe.

    Unlike Caffe, T may change from one forward to the next. If N does, the state is 0 again.

    Errors: shapes that do not fit; a diff wanted for cont.

    Attributes:
        state_names: h, the one that W_h is multiplied with, and others.
        blocks: how many values of z a unit has.
        hidden: T + 1 x N x D, h before the first step and after each.
        conted: T x N x D, cont_t h_{t-1}.
        z: T x N x blocks x D, at first what the inputs give; the subclass may write over it, step by step.
        z_diff: like z.
        carried: each state after the last forward, N x D.
        pieces: slices of the units, which the threads share in each step.
    """

    state_names: ClassVar[tuple[str, ...]] = ("h",)
    blocks: ClassVar[int] = 1
    may_propagate = (True, False)

    # -- what a subclass writes ----------------------------------------------------------------------------

    def step_params(self) -> list[Param]:
        """The shapes and fillers of the parameters that are applied in each step, W_h first."""
        return [((self.blocks * self.units, self.units), self.layer_param.recurrent_param.weight_filler)]

    def begin(self, first: Sequence[Array]) -> None:
        """Takes the states before the first step, each N x D."""
        np.copyto(self.hidden[0], first[0])

    def step_forward(self, t: int, units: slice, z: Array) -> None:
        """From z_t, blocks x N x D in passing memory, to hidden[t + 1] and the other states, for some units."""
        raise NotImplementedError

    def end(self, top: Blob) -> list[Array]:
        """Fills the top; returns the states after the last step."""
        raise NotImplementedError

    def begin_backward(self, top: Blob) -> Array:
        """The derivatives of all h that come from the top, T x N x D."""
        raise NotImplementedError

    def step_backward(self, t: int, units: slice, hidden_diff: Array) -> None:
        """From the derivative of hidden[t + 1] to z_diff[t], for some units."""
        raise NotImplementedError

    # -- set-up --------------------------------------------------------------------------------------------

    def check_counts(self, bottoms: int, tops: int) -> None:
        super().check_counts(bottoms, tops)
        exposed = len(self.state_names) if self.layer_param.recurrent_param.expose_hidden else 0
        if bottoms - exposed not in (2, 3) or tops != 1 + exposed:
            raise self.error(
                f"expected {2 + exposed} bottom blobs, or {3 + exposed} with a static input, and {1 + exposed} "
                f"top blob(s) with expose_hidden: {'true' if exposed else 'false'}, "
                f"got {bottoms} bottom(s) and {tops} top(s)."
            )

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.recurrent_param
        self.units = param.num_output
        if self.units < 1:
            raise self.error("expected num_output of 1 or more, got 0; set recurrent_param { num_output: … }.")
        self.exposed = param.expose_hidden
        self.static = len(bottom) > 2 + (len(self.state_names) if self.exposed else 0)
        self.carried: list[Array] = []
        self._check_shapes(bottom)
        outputs = self.blocks * self.units
        self.add_param((outputs, prod(bottom[0].shape[2:])), param.weight_filler)
        self.add_param((outputs,), param.bias_filler)
        if self.static:
            self.add_param((outputs, prod(bottom[2].shape[1:])), param.weight_filler)
        self.recurrent = len(self.blobs)
        shared = self.step_params()
        for shape, filler in shared:
            self.add_param(shape, filler)
        self._draw_for_later_steps(shared, bottom[0].shape[0] - 1)

    def _draw_for_later_steps(self, shared: Sequence[Param], steps: int) -> None:
        """Draws as many random numbers as Caffe does for steps after the first, and drops them.

        Caffe makes a net of all the steps, in which each fills its parameters before they become the first one's. What
        is filled or chosen by chance after this layer depends on it.
        """
        dropped = [(Blob(shape), filler) for shape, filler in shared]
        for _ in range(steps):
            for blob, filler in dropped:
                fill(blob, filler)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._check_shapes(bottom)
        self._check_inputs(0, bottom[0].shape[2:])
        if self.static:
            self._check_inputs(2, bottom[2].shape[1:])
        steps, streams = bottom[1].shape
        top[0].reshape(steps, streams, self.units)
        for blob in top[1:]:
            blob.reshape(1, streams, self.units)
        dtype = bottom[0].dtype
        self.z, self.z_diff = (np.empty((steps, streams, self.blocks, self.units), dtype) for _ in range(2))
        self.hidden = np.empty((steps + 1, streams, self.units), dtype)
        self.conted = np.empty((steps, streams, self.units), dtype)
        if not self.carried or self.carried[0].shape != self.hidden.shape[1:]:
            self.carried = [np.zeros(self.hidden.shape[1:], dtype) for _ in self.state_names]
        self.pieces = products.cuts(self.units, streams * self.blocks * self.units**2)

    def _check_shapes(self, bottom: Sequence[Blob]) -> None:
        x, cont = bottom[0].shape, bottom[1].shape
        if len(x) < 2 or cont != x[:2]:
            raise self.error(
                f"expected x of shape T x N x … and cont of shape T x N, got shapes {list(x)} and {list(cont)}."
            )
        if self.static and bottom[2].shape[:1] != x[1:2]:
            raise self.error(
                f"expected a static input of {x[1]} streams, as x of shape {list(x)} has, "
                f"got shape {list(bottom[2].shape)}."
            )
        for name, blob in zip(self.state_names, self._states(bottom), strict=False):
            if blob.shape != (1, x[1], self.units):
                raise self.error(f"expected a first {name} of shape {[1, x[1], self.units]}, got {list(blob.shape)}.")

    def _check_inputs(self, index: int, shape: tuple[int, ...]) -> None:
        expected = self.blobs[index].shape[1]
        if prod(shape) != expected:
            raise self.error(
                f"expected {expected} values in each item of bottom {index}, as when it was made, got {prod(shape)}."
            )

    def _states(self, bottom: Sequence[Blob]) -> Sequence[Blob]:
        """The bottoms that are states."""
        return bottom[3 if self.static else 2 :]

    # -- the state that is carried on ----------------------------------------------------------------------

    def reset(self) -> None:
        """Makes the next forward begin with a state of 0."""
        for array in self.carried:
            array.fill(0)

    def state(self) -> dict[str, Array]:
        """What the next forward begins with, by name; what an exact resume needs."""
        return {name: array.copy() for name, array in zip(self.state_names, self.carried, strict=True)}

    def restore(self, state: dict[str, Array]) -> None:
        """Goes on where `state` was called.

        Raises:
            CaffeError: the state is of another layer.
        """
        shapes = {name: np.shape(values) for name, values in state.items()}
        expected = dict.fromkeys(self.state_names, self.hidden.shape[1:])
        if shapes != expected:
            raise CaffeError(f'layer "{self.name}": expected a state of shapes {expected}, got {shapes}.')
        for name, array in zip(self.state_names, self.carried, strict=True):
            np.copyto(array, state[name])

    # -- forward -------------------------------------------------------------------------------------------

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.cont = bottom[1].data[:, :, None]
        self.begin([blob.data[0] for blob in self._states(bottom)] if self.exposed else self.carried)
        self._multiply_inputs(bottom)
        if len(self.z):
            np.multiply(self.hidden[0], self.cont[0], out=self.conted[0])
        weight = self.blobs[self.recurrent].data.reshape(self.blocks, self.units, self.units)
        for t in range(len(self.z)):
            parallel_for(len(self.pieces), lambda i, t=t: self._piece_forward(t, self.pieces[i], weight))  # type: ignore[misc]
        last = self.end(top[0])
        for target, values in zip([blob.data[0] for blob in top[1:]] or self.carried, last, strict=True):
            np.copyto(target, values)

    def _multiply_inputs(self, bottom: Sequence[Blob]) -> None:
        """z = W_x x + b + W_static x_static, for all time steps at once."""
        weight, bias = self.blobs[0].data, self.blobs[1].data
        with Loans() as loans:
            products.multiply(_rows(bottom[0], 2, loans), weight, matrix(self.z, 2), bias)
        if self.static:
            with borrow(self.z.shape[1:], self.z.dtype) as static, Loans() as loans:
                products.multiply(_rows(bottom[2], 1, loans), self.blobs[2].data, matrix(static, 1))
                np.add(self.z, static, out=self.z)

    def _piece_forward(self, t: int, units: slice, weight: Array) -> None:
        """One time step, for some of the units."""
        from_inputs = self.z[t, :, :, units].transpose(1, 0, 2)
        with borrow(from_inputs.shape, from_inputs.dtype) as z:
            np.matmul(self.conted[t], weight[:, units].transpose(0, 2, 1), out=z)
            np.add(z, from_inputs, out=z)
            self.step_forward(t, units, z)
        if t + 1 < len(self.z):
            np.multiply(self.hidden[t + 1, :, units], self.cont[t + 1], out=self.conted[t + 1, :, units])

    # -- backward ------------------------------------------------------------------------------------------

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        self.cannot_propagate(propagate_down, 1, "cont")
        for blob, wanted in zip(self._states(bottom), propagate_down[3 if self.static else 2 :], strict=True):
            if wanted:
                blob.diff.fill(0)
        diff = self.begin_backward(top[0])
        weight = self.blobs[self.recurrent].data
        for t in reversed(range(len(self.z))):
            parallel_for(len(self.pieces), lambda i, t=t: self._piece_backward(t, self.pieces[i], weight, diff))  # type: ignore[misc]
        self._add_gradients(bottom)
        if propagate_down[0]:
            _multiply_back(matrix(self.z_diff, 2), self.blobs[0].data, bottom[0].diff)
        if self.static:
            self._backward_static(propagate_down[2], bottom[2])

    def _backward_static(self, down: bool, bottom: Blob) -> None:
        """The derivative of W_static x_static is the sum of z_diff over the time steps."""
        with borrow(self.z_diff.shape[1:], self.z_diff.dtype) as total, Loans() as loans:
            np.add.reduce(self.z_diff, axis=0, out=total)
            diff = matrix(total, 1)
            if self.param_propagate_down[2]:
                products.add_weight_gradient(diff, _rows(bottom, 1, loans), self.blobs[2].diff)
            if down:
                _multiply_back(diff, self.blobs[2].data, bottom.diff)

    def _piece_backward(self, t: int, units: slice, weight: Array, diff: Array) -> None:
        """One time step back, for some of the units."""
        diff = diff[t, :, units]
        with borrow(diff.shape, diff.dtype) as hidden_diff:
            if t + 1 < len(self.z):
                np.matmul(matrix(self.z_diff[t + 1], 1), weight[:, units], out=hidden_diff)
                np.multiply(hidden_diff, self.cont[t + 1], out=hidden_diff)
                np.add(hidden_diff, diff, out=hidden_diff)
            else:
                np.copyto(hidden_diff, diff)
            self.step_backward(t, units, hidden_diff)

    def _add_gradients(self, bottom: Sequence[Blob]) -> None:
        """Adds to the derivatives of the weights, from all time steps at once."""
        z_diff, wanted = matrix(self.z_diff, 2), self.param_propagate_down
        if wanted[0]:
            with Loans() as loans:
                products.add_weight_gradient(z_diff, _rows(bottom[0], 2, loans), self.blobs[0].diff)
        if wanted[1]:
            products.add_bias_gradient(z_diff, self.blobs[1].diff)
        if wanted[self.recurrent]:
            products.add_weight_gradient(z_diff, matrix(self.conted, 2), self.blobs[self.recurrent].diff)


def matrix(array: Array, axes: int) -> Array:
    """A dense array as a matrix, the first axes being its rows."""
    return array.reshape(prod(array.shape[:axes]), prod(array.shape[axes:]))


def _rows(blob: Blob, axes: int, loans: Loans) -> Array:
    """The data as a dense matrix, the first axes being its rows."""
    return matrix(dense(blob.data, loans), axes)


def _multiply_back(dy: Array, weight: Array, diff: Array) -> None:
    """diff = dy weight, in a diff of any shape and memory."""
    with dense_to_write(diff) as memory:
        products.multiply_back(dy, weight, memory.reshape(len(dy), weight.shape[1]))
