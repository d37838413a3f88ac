"""AdaGrad: each value's rate falls with the sum of its squared gradients."""

from __future__ import annotations

import numpy as np

from pycaffe_lite.memory import borrow
from pycaffe_lite.proto.read import SolverText
from pycaffe_lite.solvers.sgd import Piece, SGDSolver


class AdaGradSolver(SGDSolver):
    """AdaGrad.

        H ← H + ∇L(W)²
        W ← W − α ∇L(W) / (√H + δ)

    δ is `delta` (1e-8). There is no momentum.

    Source: Caffe's AdaGradSolver; Duchi, Hazan and Singer, Adaptive Subgradient Methods (2011).
    """

    type = "AdaGrad"

    @classmethod
    def check(cls, text: SolverText) -> None:
        super().check(text)
        if text.param.momentum:
            raise text.error("momentum", f"expected no momentum with AdaGrad, got {text.param.momentum:g}.")

    def constants(self, rate: float) -> tuple[float, ...]:
        return self.param.delta, rate

    def compute_update_value(self, piece: Piece, rate: float) -> None:
        (history,) = piece.history
        with borrow(history.shape, history.dtype) as term:
            np.square(piece.diff, out=term)
            np.add(history, term, out=history)
        scale_by_root(piece.diff, history, self.param.delta, rate * piece.lr_mult)


def scale_by_root(diff: np.ndarray, squares: np.ndarray, delta: float, rate: float) -> None:
    """diff ← rate * diff / (√squares + delta)"""
    with borrow(squares.shape, squares.dtype) as root:
        np.sqrt(squares, out=root)
        np.add(root, delta, out=root)
        np.divide(diff, root, out=diff)
        np.multiply(diff, rate, out=diff)
