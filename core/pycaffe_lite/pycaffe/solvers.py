"""caffe.SGDSolver and the others: the engine's solvers under pycaffe's names."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.proto.caffe_pb2 import SolverParameter
from pycaffe_lite.pycaffe.common import ranks_of_solvers
from pycaffe_lite.pycaffe.faults import BadType, path_text, whole_number
from pycaffe_lite.pycaffe.net import Net
from pycaffe_lite.pycaffe.users_errors import as_raised
from pycaffe_lite.pycaffe.vectors import NetVec
from pycaffe_lite.ranks import Ranks
from pycaffe_lite.solvers import rates
from pycaffe_lite.solvers.loop import solver_text
from pycaffe_lite.solvers.registry import class_of, solver_class
from pycaffe_lite.solvers.sgd import SGDSolver as EngineSolver

PathLike = str | os.PathLike[str]
Callback = Callable[[], object]


class _Open:
    """What a solver and its nets have in common: once nobody has it, they are closed."""


class Solver:
    """Trains a net as its solver prototxt says. This is the base; the classes to call are those of the update rules.

    Args:
        solver_file: a solver prototxt. Its `type` makes no difference here; `caffe.get_solver` goes by it.

    Under mpirun all ranks train one net: each makes the solver, and all call `step`, `solve`, `restore` and `snapshot`.

    Raises:
        CaffeError: which is a RuntimeError, for a file that is missing, or a solver or net that cannot be built.
    """

    type: ClassVar[str] = ""

    def __init__(self, solver_file: PathLike) -> None:
        if not self.type:
            raise BadType("caffe.Solver has no update rule; call caffe.SGDSolver or another, or caffe.get_solver.")
        text = solver_text(path_text(solver_file, "a solver's prototxt"))
        self._callbacks: list[tuple[Callback, Callback]] = []
        made = _driven(class_of(self.type), self._callbacks)
        self.inner: EngineSolver = as_raised(lambda: made(text, ranks_of_solvers()))
        # Like the real one's, pycaffe's loop goes on where a loss is infinite or not a number.
        self.inner.check_finite = False
        self._open = _Open()
        weakref.finalize(self._open, self.inner.close)

    @cached_property
    def net(self) -> Net:
        """The net that is trained."""
        return Net.of(self.inner.net, self._open)

    @cached_property
    def test_nets(self) -> NetVec:
        """The nets for testing; from the first test on they use the parameters of `net`."""
        nets = NetVec(Net.of(net, self._open) for net in self.inner.test_nets)
        for net in nets:
            net.keep_params_in_place()  # which are those of the net that is trained, once a test has run
        return nets

    @property
    def iter(self) -> int:
        """How many updates have been done."""
        return self.inner.iter

    @property
    def param(self) -> SolverParameter:
        """The solver's parameters; a change of base_lr or max_iter counts from the next iteration on."""
        return self.inner.param

    @property
    def lr(self) -> float:
        """The learning rate of the coming iteration."""
        param, at = self.inner.param, self.inner.iter
        if param.lr_policy == "plateau":
            return rates.adjusted(param, at, rates.plateau_rate(param, self.inner.current_step))
        return rates.rate(param, at)

    def step(self, iterations: int) -> None:
        """Does so many iterations: forward, backward and update, with the tests and snapshots that are due."""
        self._let_go()
        count = whole_number(iterations, "the iterations of a step")
        as_raised(lambda: self.inner.step(count))

    def solve(self, resume_file: PathLike | None = None) -> None:
        """Trains until max_iter.

        Args:
            resume_file: a .solverstate to go on from.
        """
        if resume_file is not None:
            self.restore(resume_file)
        self._let_go()
        as_raised(self.inner.solve)

    def apply_update(self) -> None:
        """Updates the parameters of `net` from their diffs, and counts the iteration."""
        self.inner.apply_update()
        self.inner.iter += 1

    def restore(self, state_file: PathLike) -> None:
        """Goes on from a snapshot's .solverstate: weights, history and iteration."""
        self.inner.restore(path_text(state_file, "a .solverstate"))

    def snapshot(self) -> None:
        """Writes a snapshot: PREFIX_iter_N.caffemodel, .solverstate and .resume.

        Raises:
            CaffeError: it cannot be written; the log says why.
        """
        before, self.inner.last_snapshot = self.inner.last_snapshot, ""
        self.inner.snapshot()
        if not self.inner.ranks.is_root:
            self.inner.last_snapshot = before
        elif not self.inner.last_snapshot:
            self.inner.last_snapshot = before
            raise CaffeError(f"A snapshot {self.param.snapshot_prefix}_iter_{self.iter} could not be written.")

    def share_weights(self, net: Net) -> None:
        """Lets another net use the parameters of `net`, for layers of the same names."""
        if not isinstance(net, Net):
            raise BadType(f"share_weights expects a Net, got {net!r}.")
        net.share_with(self.net)

    def add_callback(self, on_start: Callback, on_gradients_ready: Callback) -> None:
        """Calls two functions, without arguments, in each iteration of `step` and `solve`.

        Args:
            on_start: before the passes, and after a test that is due.
            on_gradients_ready: between the passes and the update.
        """
        if not (callable(on_start) and callable(on_gradients_ready)):
            raise BadType("add_callback expects two functions without arguments, on_start and on_gradients_ready.")
        self._callbacks.append((on_start, on_gradients_ready))

    def _let_go(self) -> None:
        for net in (self.net, *self.test_nets):
            net.let_go()


class SGDSolver(Solver):
    """Stochastic gradient descent with momentum."""

    type = "SGD"


class NesterovSolver(SGDSolver):
    """Nesterov's accelerated gradient."""

    type = "Nesterov"


class AdaGradSolver(SGDSolver):
    """AdaGrad."""

    type = "AdaGrad"


class RMSPropSolver(SGDSolver):
    """RMSProp."""

    type = "RMSProp"


class AdaDeltaSolver(SGDSolver):
    """AdaDelta."""

    type = "AdaDelta"


class AdamSolver(SGDSolver):
    """Adam."""

    type = "Adam"


def get_solver(solver_file: PathLike) -> Solver:
    """Makes the solver that a prototxt describes, of the class that its `type` names.

    Raises: as Solver; also for a type that there is not.
    """
    name = solver_class(solver_text(path_text(solver_file, "a solver's prototxt"))).type
    classes = (SGDSolver, NesterovSolver, AdaGradSolver, RMSPropSolver, AdaDeltaSolver, AdamSolver)
    return next(made for made in classes if made.type == name)(solver_file)


def _driven(
    engine: type[EngineSolver], callbacks: list[tuple[Callback, Callback]]
) -> Callable[[Any, Ranks], EngineSolver]:
    """An engine's solver class that keeps its parameters in place and calls back."""

    class Driven(engine):  # type: ignore[valid-type, misc]
        type = engine.type

        def setup(self) -> None:
            # Before the parameters, and the history beside them, move into their flat arrays: there they stay.
            for blob in self.net.parameters.blobs:
                blob.pin()
            super().setup()

        def on_start(self) -> None:
            for on_start, _ in callbacks:
                on_start()

        def on_gradients_ready(self) -> None:
            for _, on_gradients_ready in callbacks:
                on_gradients_ready()

    return Driven
