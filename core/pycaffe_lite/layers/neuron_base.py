"""What the element-wise layers of one bottom have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.elementwise import elementwise
from pycaffe_lite.layers.contract import Layer


class Neuron(Layer):
    """A function of each element: a type writes `function` and `derivative`.

    Bottoms: x, any shape.
    Tops: y, like x; may be x itself (in place).

    Attributes:
        keeps_input: whether in place x is kept for the derivative, which would otherwise be handed y for it.
    """

    keeps_input: ClassVar[bool] = False

    def function(self, x: Array, y: Array) -> None:
        """Sets y, which may be x."""
        raise NotImplementedError

    def derivative(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        """Sets dx, which may be dy; x is y in place unless the type keeps it."""
        raise self.error("has no derivative; put propagate_down: false on it or leave it out of training.")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].reshape_like(bottom[0])
        keep = self.keeps_input and top[0] is bottom[0]
        self.kept = Blob(bottom[0].shape, bottom[0].order, bottom[0].dtype) if keep else None

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self.kept is None:
            elementwise(self.function, bottom[0].data, top[0].data)
        else:
            elementwise(self._keep_and_apply, bottom[0].data, self.kept.data)

    def _keep_and_apply(self, x: Array, kept: Array) -> None:
        np.copyto(kept, x)
        self.function(kept, x)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            x = bottom[0].data if self.kept is None else self.kept.data
            elementwise(self.derivative, x, top[0].data, top[0].diff, bottom[0].diff)


class ExponentialNeuron(Neuron):
    """A neuron with a base, of its power or of its logarithm."""

    def logarithm_of_base(self, base: float) -> float:
        """ln(base), 1 for the base -1, which stands for e; a CaffeError for what is no base."""
        if base == -1:
            return 1.0
        if not 0 < base < np.inf:
            raise self.error(f"expected a base above 0, or -1 for e, got {base:g}.")
        return float(np.log(base))
