"""The solvers by the name that `type:` gives them."""

from __future__ import annotations

import importlib
import os

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.proto.read import SolverText
from pycaffe_lite.ranks import ALONE, Ranks
from pycaffe_lite.solvers.loop import Solver, solver_text
from pycaffe_lite.solvers.sgd import SGDSolver
from pycaffe_lite.words import did_you_mean, short

MODULES = {
    "SGD": ("sgd", "SGDSolver"),
    "Nesterov": ("nesterov", "NesterovSolver"),
    "AdaGrad": ("adagrad", "AdaGradSolver"),
    "RMSProp": ("rmsprop", "RMSPropSolver"),
    "AdaDelta": ("adadelta", "AdaDeltaSolver"),
    "Adam": ("adam", "AdamSolver"),
}
"""Which module of this package holds a type, and the name of its class."""


def get_solver(source: SolverText | str | os.PathLike[str], ranks: Ranks = ALONE) -> Solver:
    """Makes the solver that a text describes, as `caffe.get_solver` does.

    Args:
        source: a solver prototxt; or a SolverText.
        ranks: those that train together.

    Raises:
        CaffeError: for an unknown type, and for everything that is wrong with the solver and its nets.
    """
    text = solver_text(source)
    return solver_class(text)(text, ranks)


def solver_class(text: SolverText) -> type[SGDSolver]:
    """The class for the type of a solver."""
    name = text.param.type
    if name not in MODULES:
        hint = did_you_mean(name, MODULES, f"; the known types are {', '.join(MODULES)}.")
        raise CaffeError(f'{text.location("type")}unknown solver type "{short(name)}"{hint}')
    return class_of(name)


def class_of(name: str) -> type[SGDSolver]:
    """The class of a known type."""
    module, cls = MODULES[name]
    solver: type[SGDSolver] = getattr(importlib.import_module(f"pycaffe_lite.solvers.{module}"), cls)
    return solver


__all__ = ["SGDSolver", "Solver", "class_of", "get_solver", "solver_class"]
