"""Adam: momentum, and a rate for each value from its squared gradients."""

from __future__ import annotations

import numpy as np

from pycaffe_lite.memory import borrow
from pycaffe_lite.proto.read import SolverText
from pycaffe_lite.solvers.adagrad import scale_by_root
from pycaffe_lite.solvers.sgd import Piece, SGDSolver, kept_and_new


class AdamSolver(SGDSolver):
    """Adam.

        M ← β₁ M + (1 − β₁) ∇L(W)
        V ← β₂ V + (1 − β₂) ∇L(W)²
        W ← W − α √(1 − β₂ᵗ) / (1 − β₁ᵗ) · M / (√V + δ)        t = 1, 2, …: the iteration, from 1

    β₁ is `momentum`, β₂ is `momentum2` (0.999), both from 0 to below 1; δ is `delta` (1e-8). The history holds all M
    first, then all V.

    Source: Caffe's AdamSolver, which computes 1 − β₂ in float32; Kingma and Ba, Adam (2015).
    """

    type = "Adam"
    num_histories = 2

    @classmethod
    def check(cls, text: SolverText) -> None:
        super().check(text)
        for field in ("momentum", "momentum2"):
            if not 0 <= (value := getattr(text.param, field)) < 1:
                raise text.error(field, f"expected {field} from 0 to below 1, got {value:g}.")

    def constants(self, rate: float) -> tuple[float, ...]:
        means = *kept_and_new(self.param.momentum), *kept_and_new(self.param.momentum2)
        return *means, self.param.delta, rate * self._correction()

    def compute_update_value(self, piece: Piece, rate: float) -> None:
        mean, square = piece.history
        (keep, rest), (keep2, rest2) = kept_and_new(self.param.momentum), kept_and_new(self.param.momentum2)
        with borrow(mean.shape, mean.dtype) as term:
            np.square(piece.diff, out=term)
            np.multiply(term, rest2, out=term)
            np.multiply(square, keep2, out=square)
            np.add(square, term, out=square)
            np.multiply(piece.diff, rest, out=term)
            np.multiply(mean, keep, out=mean)
            np.add(mean, term, out=mean)
        np.copyto(piece.diff, mean)
        scale_by_root(piece.diff, square, self.param.delta, rate * piece.lr_mult * self._correction())

    def _correction(self) -> float:
        """Makes up for both means having begun at 0."""
        step = self.iter + 1
        return float((1 - self.param.momentum2**step) ** 0.5 / (1 - self.param.momentum**step))
