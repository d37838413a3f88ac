"""RMSProp: AdaGrad that forgets."""

from __future__ import annotations

import numpy as np

from pycaffe_lite.memory import borrow
from pycaffe_lite.proto.read import SolverText
from pycaffe_lite.solvers.adagrad import scale_by_root
from pycaffe_lite.solvers.sgd import Piece, SGDSolver, kept_and_new


class RMSPropSolver(SGDSolver):
    """RMSProp.

        H ← ρ H + (1 − ρ) ∇L(W)²
        W ← W − α ∇L(W) / (√H + δ)

    ρ is `rms_decay` (0.99), from 0 to below 1; δ is `delta` (1e-8). There is no momentum.

    Source: Caffe's RMSPropSolver; Tieleman and Hinton, Lecture 6.5 (2012).
    """

    type = "RMSProp"

    @classmethod
    def check(cls, text: SolverText) -> None:
        super().check(text)
        if text.param.momentum:
            raise text.error("momentum", f"expected no momentum with RMSProp, got {text.param.momentum:g}.")
        if not 0 <= text.param.rms_decay < 1:
            raise text.error("rms_decay", f"expected rms_decay from 0 to below 1, got {text.param.rms_decay:g}.")

    def constants(self, rate: float) -> tuple[float, ...]:
        return *kept_and_new(self.param.rms_decay), self.param.delta, rate

    def compute_update_value(self, piece: Piece, rate: float) -> None:
        (history,) = piece.history
        keep, rest = kept_and_new(self.param.rms_decay)
        with borrow(history.shape, history.dtype) as term:
            np.square(piece.diff, out=term)
            np.multiply(term, rest, out=term)
            np.multiply(history, keep, out=history)
            np.add(history, term, out=history)
        scale_by_root(piece.diff, history, self.param.delta, rate * piece.lr_mult)
