"""AdaDelta: a rate for each value from the sizes of its past gradients and updates."""

from __future__ import annotations

import numpy as np

from pycaffe_lite.memory import borrow
from pycaffe_lite.solvers.sgd import Piece, SGDSolver, kept_and_new


class AdaDeltaSolver(SGDSolver):
    """AdaDelta.

        G ← μ G + (1 − μ) ∇L(W)²
        R = ∇L(W) √((U + δ) / (G + δ))
        U ← μ U + (1 − μ) R²
        W ← W − α R

    μ is `momentum`, δ is `delta` (1e-8). The history holds all G first, then all U.

    Source: Caffe's AdaDeltaSolver; Zeiler, ADADELTA: An Adaptive Learning Rate Method (2012).
    """

    type = "AdaDelta"
    num_histories = 2

    def constants(self, rate: float) -> tuple[float, ...]:
        return *kept_and_new(self.param.momentum), self.param.delta, rate

    def compute_update_value(self, piece: Piece, rate: float) -> None:
        gradients, updates = piece.history
        diff, delta = piece.diff, self.param.delta
        self._remember(gradients, diff)
        with borrow(diff.shape, diff.dtype) as ratio, borrow(diff.shape, diff.dtype) as below:
            np.add(updates, delta, out=ratio)
            np.add(gradients, delta, out=below)
            np.divide(ratio, below, out=ratio)
            np.sqrt(ratio, out=ratio)
            np.multiply(diff, ratio, out=diff)
        self._remember(updates, diff)
        np.multiply(diff, rate * piece.lr_mult, out=diff)

    def _remember(self, history: np.ndarray, values: np.ndarray) -> None:
        """history ← μ history + (1 − μ) values²"""
        keep, rest = kept_and_new(self.param.momentum)
        with borrow(values.shape, values.dtype) as term:
            np.square(values, out=term)
            np.multiply(term, rest, out=term)
            np.multiply(history, keep, out=history)
            np.add(history, term, out=history)
