"""Nesterov: momentum that looks ahead."""

from __future__ import annotations

import numpy as np

from pycaffe_lite.memory import borrow
from pycaffe_lite.solvers.sgd import Piece, SGDSolver


class NesterovSolver(SGDSolver):
    """Nesterov's accelerated gradient.

        V' ← μ V + α ∇L(W)
        W  ← W − ((1 + μ) V' − μ V)

    Source: Caffe's NesterovSolver; Sutskever, Martens, Dahl and Hinton, On the Importance of Initialization and
        Momentum in Deep Learning (2013).
    """

    type = "Nesterov"

    def compute_update_value(self, piece: Piece, rate: float) -> None:
        (history,) = piece.history
        momentum = self.param.momentum
        with borrow(history.shape, history.dtype) as before:
            np.multiply(history, momentum, out=before)
            np.multiply(piece.diff, rate * piece.lr_mult, out=piece.diff)
            np.add(before, piece.diff, out=history)
            np.multiply(history, 1 + momentum, out=piece.diff)
            np.subtract(piece.diff, before, out=piece.diff)
