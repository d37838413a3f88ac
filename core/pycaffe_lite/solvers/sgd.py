"""SGD: stochastic gradient descent with momentum, and the steps that all update rules share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pycaffe_lite import log
from pycaffe_lite.blob import Blob
from pycaffe_lite.kernels.choice import compiled
from pycaffe_lite.memory import aligned_bytes, borrow
from pycaffe_lite.net.watch import gradient_diverged, is_finite
from pycaffe_lite.parallel import one_blas_thread, parallel_for, slices
from pycaffe_lite.proto.read import SolverText
from pycaffe_lite.solvers import rates
from pycaffe_lite.solvers.loop import Solver
from pycaffe_lite.solvers.plateau import Plateau

DECOUPLED = "decoupled"
"""The regularization_type whose decay does not go through the gradient."""

PIECE = 1 << 17
"""Elements updated at a time: with fewer, threads wait more for the interpreter than they compute."""


@dataclass(frozen=True)
class Piece:
    """A part of one parameter, as flat views into the memory of the net.

    Attributes:
        data, diff: values and gradient.
        history: what the rule remembers of each value; one array for momentum, two for Adam.
        lr_mult, decay_mult: the parameter's multipliers.
        index: the number of the parameter.
    """

    data: np.ndarray
    diff: np.ndarray
    history: tuple[np.ndarray, ...]
    lr_mult: float
    decay_mult: float
    index: int = 0


class SGDSolver(Solver):
    """Stochastic gradient descent with momentum.

        V ← μ V + α ∇L(W)
        W ← W − V

    The rate α enters the history V, so a change of rate takes effect through the new gradients alone.

    Source: Caffe's SGDSolver; Krizhevsky, Sutskever and Hinton, ImageNet Classification (2012), for its use.
    """

    type = "SGD"
    num_histories = 1

    def setup(self) -> None:
        self.plateau = Plateau()
        parameters = self.net.flatten()
        assert parameters.data is not None and parameters.diff is not None
        self.parameters = parameters
        memory = [aligned_bytes(parameters.data.nbytes).view(parameters.data.dtype) for _ in range(self.num_histories)]
        self.flats = [parameters.data, *memory]
        for flat in memory:
            for blob, segment in zip(parameters.blobs, parameters.segments, strict=True):
                past = Blob(blob.shape, blob.order, blob.dtype)
                past.move_to(flat[segment], flat[segment])
                self.history.append(past)
        self.pieces = []
        for index, segment in enumerate(parameters.segments):
            count = segment.stop - segment.start
            for cut in slices(count, -(-count // PIECE)):
                part = slice(segment.start + cut.start, segment.start + cut.stop)
                self.pieces.append(
                    Piece(
                        parameters.data[part],
                        parameters.diff[part],
                        tuple(flat[part] for flat in memory),
                        parameters.lr_mult[index],
                        parameters.decay_mult[index],
                        index,
                    )
                )

    @classmethod
    def check(cls, text: SolverText) -> None:
        super().check(text)
        rates.check(text.param, text.location)
        if text.param.regularization_type not in ("L1", "L2", DECOUPLED):
            raise text.error(
                "regularization_type",
                f'expected regularization_type "L1" or "L2", or "{DECOUPLED}", got "{text.param.regularization_type}".',
            )

    @one_blas_thread
    @np.errstate(all="ignore")  # infinities are computed as Caffe does; the loss will show them
    def apply_update(self) -> float:
        """One update of all parameters from their diffs: the order of the steps is what this solver is."""
        rate = self.learning_rate()
        if self.displays:
            log.info(f"Iteration {self.iter}, lr = {log.number(rate)}", "sgd_solver.cpp:112")
        self.clip_gradients()
        bad: list[int] = []
        loop = self.loop()

        def update(i: int) -> None:
            piece = self.pieces[i]
            if self.check_finite and not is_finite(piece.diff):
                bad.append(piece.index)
                return
            if loop is not None:
                self.update_at_once(loop, piece, rate)
                return
            self.normalize(piece)
            self.regularize(piece)
            self.compute_update_value(piece, rate)
            self.decay(piece, rate)
            np.subtract(piece.data, piece.diff, out=piece.data)

        parallel_for(len(self.pieces), update)
        if bad:
            raise gradient_diverged(self.net.nodes, self.parameters.names[max(bad)], self.iter)
        return rate

    def loop(self) -> Any:
        """The compiled loop that does all steps of this type's update at once; None where they go one by one."""
        loops = compiled(self.pieces[0].data.dtype) if self.pieces and self.param.regularization_type == "L2" else None
        return getattr(loops, self.type.lower(), None)

    def update_at_once(self, loop: Any, piece: Piece, rate: float) -> None:
        """What normalize, regularize, compute_update_value and the subtraction do, in one walk through memory."""
        share, decay = 1 / self.param.iter_size, self.param.weight_decay * piece.decay_mult
        loop(piece.data, piece.diff, *piece.history, share, decay, *self.constants(rate * piece.lr_mult))

    def constants(self, rate: float) -> tuple[float, ...]:
        """What this type's compiled loop takes behind the share of a pass and the decay, the rate last."""
        return self.param.momentum, rate

    def learning_rate(self) -> float:
        """The rate of this iteration, from the policy."""
        if self.param.lr_policy == "step":
            self.current_step = self.iter // self.param.stepsize
        elif self.param.lr_policy == "multistep":
            step = rates.multistep_step(self.param, self.iter)
            if step != self.current_step:
                log.info(f"MultiStep Status: Iteration {self.iter}, step = {step}", "sgd_solver.cpp:50")
            self.current_step = step
        elif self.param.lr_policy == "plateau":
            return self._plateau_rate()
        return rates.rate(self.param, self.iter)

    def _plateau_rate(self) -> float:
        self.plateau = self.plateau.after(self.param, self.iter, self.smoothed_loss)
        if self.plateau.step != self.current_step:
            log.info(f"Plateau Status: Iteration {self.iter}, step = {self.plateau.step}")
        self.current_step = self.plateau.step
        return rates.adjusted(self.param, self.iter, rates.plateau_rate(self.param, self.current_step))

    def progress_state(self) -> dict[str, Any]:
        return {**super().progress_state(), "plateau": self.plateau.state()}

    def restore_progress(self, state: dict[str, Any] | None) -> None:
        """Without a state, plateau keeps the step of the snapshot and looks for its minimum anew."""
        super().restore_progress(state)
        self.plateau = Plateau.of(state["plateau"]) if state else Plateau(self.current_step, last_event=self.iter)

    def clip_gradients(self) -> float:
        """Scales all gradients down together if their L2 norm exceeds clip_gradients; returns the factor.

        The norm is that of the sums over iter_size passes, before they are divided and before weight decay.
        """
        limit = self.param.clip_gradients
        if limit < 0:
            return 1.0
        norm = self.gradient_norm()
        if not norm > limit:
            return 1.0
        factor = limit / norm
        log.info(
            f"Gradient clipping: scaling down gradients (L2 norm {log.number(norm)} > {log.number(limit)}) "
            f"by scale factor {log.number(factor)}",
            "sgd_solver.cpp:99",
        )
        for piece in self.pieces:
            np.multiply(piece.diff, factor, out=piece.diff)
        return factor

    def gradient_norm(self) -> float:
        """The L2 norm of all gradients together."""
        sums = np.zeros(len(self.pieces))

        def square(i: int) -> None:
            sums[i] = np.vdot(self.pieces[i].diff, self.pieces[i].diff)

        parallel_for(len(self.pieces), square)
        return float(np.sqrt(sums.sum()))

    def normalize(self, piece: Piece) -> None:
        """Divides the summed gradient by iter_size: ∇ ← ∇ / iter_size."""
        if self.param.iter_size > 1:
            np.multiply(piece.diff, 1 / self.param.iter_size, out=piece.diff)

    def regularize(self, piece: Piece) -> None:
        """Adds the gradient of weight decay: ∇ ← ∇ + λ W (L2) or ∇ + λ sign(W) (L1)."""
        decay = self.param.weight_decay * piece.decay_mult
        if not decay or self.param.regularization_type == DECOUPLED:
            return
        with borrow(piece.data.shape, piece.data.dtype) as term:
            if self.param.regularization_type == "L1":
                np.sign(piece.data, out=term)
                np.multiply(term, decay, out=term)
            else:
                np.multiply(piece.data, decay, out=term)
            np.add(piece.diff, term, out=piece.diff)

    def decay(self, piece: Piece, rate: float) -> None:
        """Decoupled weight decay: W ← W − α λ W, whatever the update rule makes of the gradient.

        With Adam that is AdamW. Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization (2019).
        """
        decay = rate * piece.lr_mult * self.param.weight_decay * piece.decay_mult
        if not decay or self.param.regularization_type != DECOUPLED:
            return
        with borrow(piece.data.shape, piece.data.dtype) as term:
            np.multiply(piece.data, decay, out=term)
            np.add(piece.diff, term, out=piece.diff)

    def compute_update_value(self, piece: Piece, rate: float) -> None:
        """Turns the gradient into what is subtracted: V ← μ V + α ∇; ∇ ← V."""
        (history,) = piece.history
        np.multiply(history, self.param.momentum, out=history)
        np.multiply(piece.diff, rate * piece.lr_mult, out=piece.diff)
        np.add(history, piece.diff, out=history)
        np.copyto(piece.diff, history)


def kept_and_new(decay: float) -> tuple[float, float]:
    """What a running mean keeps of itself, and takes of a new value; the latter in float32, as Caffe computes it."""
    return float(np.float32(decay)), float(1 - np.float32(decay))
