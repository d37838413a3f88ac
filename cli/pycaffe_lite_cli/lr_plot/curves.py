"""What lr-plot shows: solvers evaluated over their iterations, and that as a curve, as CSV or as JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.log import number
from pycaffe_lite.proto.caffe_pb2 import SolverParameter
from pycaffe_lite.proto.read import read_solver
from pycaffe_lite.proto.schema import float32
from pycaffe_lite.solvers import rates
from pycaffe_lite_cli.lr_plot.chart import Curve, Point


@dataclass(frozen=True)
class Rates:
    """The learning rate of one solver in some of its iterations.

    Attributes:
        name: the solver's file as it was given, or the policy.
        param: its parameters.
        end: how many iterations there are, from 0 to end - 1.
        iterations: those that were evaluated, in order; the first and the last are among them.
        rates: their rates, float32.
    """

    name: str
    param: SolverParameter
    end: int
    iterations: list[int]
    rates: list[float]


def read(path: str, until: int | None, points: int) -> Rates:
    """Evaluates the policy of a solver file; nothing but the rate's fields has to be right.

    Raises:
        CaffeError: if the file cannot be read, its policy is not valid, or it has no iterations.
    """
    solver = read_solver(path)
    rates.check(solver.param, solver.location)
    if not until and solver.param.max_iter < 1:
        where, got = solver.location("max_iter"), solver.param.max_iter
        raise CaffeError(f"{where}expected max_iter > 0, got {got}; or give --until N.")
    return evaluate(path, solver.param, until, points)


def evaluate(name: str, param: SolverParameter, until: int | None, points: int) -> Rates:
    """Evaluates a valid policy at about `points` iterations up to `until`, or else to max_iter."""
    end = until or param.max_iter
    iterations = rates.sample(param, end, points)
    return Rates(name, param, end, iterations, [rates.rate(param, at) for at in iterations])


# -- as a curve ---------------------------------------------------------------------------------------------


def to_curves(solvers: Sequence[Rates]) -> list[Curve]:
    """A curve for each solver, named by its file alone where that tells them apart."""
    names = [PurePath(solver.name).name for solver in solvers]
    if len(set(names)) < len(names):
        names = [solver.name for solver in solvers]
    return [_to_curve(solver, name) for solver, name in zip(solvers, names, strict=True)]


def _to_curve(solver: Rates, name: str) -> Curve:
    """Between neighbouring iterations the rate jumps, between others it is a straight line."""
    points: list[Point] = []
    for at, rate in zip(solver.iterations, solver.rates, strict=True):
        if points and points[-1][0] == at - 1:
            points.append((at, points[-1][1]))
        points.append((at, rate))
    points.append((solver.end, solver.rates[-1]))
    return Curve(describe(solver, name), points, rates.changes(solver.param, solver.end))


def describe(solver: Rates, name: str) -> str:
    """For a legend: `lenet_solver.prototxt: inv from 0.01 to 0.00594604`."""
    policy, first, last = solver.param.lr_policy, number(solver.rates[0]), number(solver.rates[-1])
    text = f"fixed at {first}" if policy == "fixed" and first == last else f"{policy} from {first} to {last}"
    text += _steps_text(solver)
    if policy == "plateau":
        text += ", if the loss never falls"
    return text if name == policy else f"{name}: {text}"


def _steps_text(solver: Rates) -> str:
    steps = rates.changes(solver.param, solver.end)
    if not steps:
        return ""
    if solver.param.lr_policy == "step":
        return f", a step every {solver.param.stepsize}"
    shown = ", ".join(map(str, steps[:8]))
    return f", steps at {shown}" + (f" and {len(steps) - 8} more" if len(steps) > 8 else "")


# -- as numbers ---------------------------------------------------------------------------------------------


def to_csv(solvers: Sequence[Rates]) -> str:
    """Columns solver, iteration, lr; one row for each rate."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["solver", "iteration", "lr"])
    for solver in solvers:
        for at, rate in zip(solver.iterations, solver.rates, strict=True):
            writer.writerow([solver.name, at, shortest(rate)])
    return text.getvalue().rstrip()


def to_json(solvers: Sequence[Rates]) -> str:
    """A list with one object for each solver; a rate that is not finite is null."""
    return json.dumps([_record(solver) for solver in solvers])


def _record(solver: Rates) -> dict[str, object]:
    return {
        "solver": solver.name,
        "lr_policy": solver.param.lr_policy,
        "iteration": solver.iterations,
        "lr": [float(shortest(rate)) if math.isfinite(rate) else None for rate in solver.rates],
    }


def shortest(rate: float) -> str:
    """The fewest digits that give a float32 back: 0.01 and not 0.00999999978."""
    texts = (f"{rate:.{digits}g}" for digits in range(6, 10))
    return next((text for text in texts if float32(float(text)) == rate), number(rate))
