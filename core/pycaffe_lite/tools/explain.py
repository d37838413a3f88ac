"""An update number by number: what each stage of apply_update leaves in one parameter, read while it runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.solvers.report import IterationReport
from pycaffe_lite.solvers.sgd import Piece, SGDSolver
from pycaffe_lite.tools import update_formulas as formulas
from pycaffe_lite.tools.update_formulas import Formula
from pycaffe_lite.words import did_you_mean, short

PIECEWISE = ("normalize", "regularize", "compute_update_value", "decay")
"""The stages of apply_update that go over the pieces of the parameters, each a method of the solver."""


@dataclass(frozen=True)
class Row:
    """A line of an explanation.

    Attributes:
        stage: the method of the solver, or what the line shows.
        name: what it gives: diff, weight, a history's name; or rate, local_rate, norm, factor.
        formula: how.
        value: a number that is no array.
        elements: of an array, the elements that were asked for.
        norm: of an array, the L2 norm.
    """

    stage: str
    name: str
    formula: Formula
    value: float | None = None
    elements: tuple[float, ...] = ()
    norm: float | None = None


@dataclass(frozen=True)
class Update:
    """An iteration: its number, its loss and what its update did."""

    iteration: int
    loss: float
    rows: list[Row]


@dataclass
class _Reading:
    """An array at a moment: for each piece, by where it begins, its share of the elements and its sum of squares."""

    elements: dict[int, float] = field(default_factory=dict)
    squares: dict[int, float] = field(default_factory=dict)


class Parameter:
    """A parameter of a solver and some of its elements.

    Args:
        solver: the solver.
        name: `LAYER/INDEX`, or `LAYER` for its parameter 0; of a shared one, any layer that uses it.
        elements: for each element its index along each axis; none: the first element.

    Attributes:
        name: `LAYER/INDEX`, of a shared one the layer that owns it.
        index: its number among the solver's parameters.
        elements: the elements.
        offsets: where they are in the parameter's memory.

    Raises:
        CaffeError: there is no such parameter, or no such element.
    """

    def __init__(self, solver: SGDSolver, name: str, elements: Sequence[Sequence[int]] = ()) -> None:
        self.index = _find(solver, name)
        self.name = solver.parameters.names[self.index]
        blob = solver.parameters.blobs[self.index]
        self.shape = blob.shape
        self.elements = [tuple(element) for element in elements] or [(0,) * len(self.shape)]
        for element in self.elements:
            if len(element) != len(self.shape) or any(i >= n for i, n in zip(element, self.shape, strict=True)):
                raise CaffeError(
                    f"{self.name} has the shape {'x'.join(map(str, self.shape))}: an element has {len(self.shape)} "
                    f"indices from 0, each below the length of its axis; got {','.join(map(str, element))}."
                )
        steps = [stride // blob.data.itemsize for stride in blob.data.strides]
        self.offsets = [sum(i * step for i, step in zip(element, steps, strict=True)) for element in self.elements]


def _find(solver: SGDSolver, name: str) -> int:
    names = solver.parameters.names
    for wanted in (name, f"{name}/0"):
        if wanted in names:
            return names.index(wanted)
        layer, _, index = wanted.rpartition("/")
        shared = solver.net.layer_dict[layer].shares if layer in solver.net.layer_dict else {}
        if index.isdecimal() and len(index) < 10 and int(index) in shared:
            owner = shared[int(index)]
            return next(i for i, blob in enumerate(solver.parameters.blobs) if blob is owner)
    known = [*names, *(each.removesuffix("/0") for each in names)]
    listed = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    raise CaffeError(
        f'{solver.text.path}: the net has no parameter "{short(name)}"'
        f"{did_you_mean(name, known, f'; it has {listed}.' if names else '; it has none at all.')}"
    )


class Observer:
    """Reads one parameter after each stage of each update, from the arrays that the stage has just written.

    While it watches, methods of that one solver are wrapped, and the stages run one by one, which gives the bits of a
    compiled loop that does all of them at once. Nothing is added to a solver that nobody watches.

    Args:
        solver: the solver.
        parameter: the parameter, with the elements to note.

    Attributes:
        rows: what the last update did.
    """

    def __init__(self, solver: SGDSolver, parameter: Parameter) -> None:
        self.solver, self.parameter = solver, parameter
        self.rows: list[Row] = []
        self._rate, self._rate_formula = 0.0, Formula("", {})
        self._norm: float | None = None
        self._factor = 1.0
        self._readings: dict[tuple[str, str], _Reading] = {}
        self._begins: dict[int, int] = {}
        begin = 0
        for piece in solver.pieces:
            if piece.index == parameter.index:
                self._begins[id(piece)] = begin
                begin += piece.data.size

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watches the solver until the block ends."""
        solver, whole = self.solver, ("learning_rate", "gradient_norm", "clip_gradients", "apply_update")
        setattr(solver, "loop", lambda: None)  # noqa: B010 (the stages, not all of them at once)
        for name in whole:
            setattr(solver, name, getattr(self, f"_{name}")(getattr(solver, name)))
        for name in PIECEWISE:
            setattr(solver, name, self._stage(name, getattr(solver, name)))
        try:
            yield
        finally:
            for name in ("loop", *whole, *PIECEWISE):
                delattr(solver, name)

    # -- what takes the place of the solver's methods while it is watched -----------------------------------------

    def _learning_rate(self, run: Callable[[], float]) -> Callable[[], float]:
        def learning_rate() -> float:
            self._rate = run()
            self._rate_formula = formulas.rate_formula(self.solver)
            return self._rate

        return learning_rate

    def _gradient_norm(self, run: Callable[[], float]) -> Callable[[], float]:
        def gradient_norm() -> float:
            self._norm = run()
            return self._norm

        return gradient_norm

    def _clip_gradients(self, run: Callable[[], float]) -> Callable[[], float]:
        def clip_gradients() -> float:
            self._read_all("before")
            self._factor = run()
            self._read_all("clip_gradients")
            return self._factor

        return clip_gradients

    def _stage(self, name: str, run: Callable[..., None]) -> Callable[..., None]:
        def stage(piece: Piece, *rate: float) -> None:
            run(piece, *rate)
            self._read(name, piece)

        return stage

    def _apply_update(self, run: Callable[[], float]) -> Callable[[], float]:
        def apply_update() -> float:
            self._readings.clear()
            self._norm = None
            rate = run()
            self._read_all("update")
            self.rows = list(self._explained())
            return rate

        return apply_update

    # -- reading ---------------------------------------------------------------------------------------------------

    def _read_all(self, stage: str) -> None:
        for piece in self.solver.pieces:
            self._read(stage, piece)

    def _read(self, stage: str, piece: Piece) -> None:
        begin = self._begins.get(id(piece))
        if begin is None:
            return
        histories = zip(formulas.RULES[self.solver.type].histories, piece.history, strict=True)
        for name, values in (("diff", piece.diff), ("weight", piece.data), *histories):
            # Pieces are worked on by several threads; setdefault is one step to them.
            reading = self._readings.setdefault((stage, name), _Reading())
            for i, offset in enumerate(self.parameter.offsets):
                if begin <= offset < begin + values.size:
                    reading.elements[i] = float(values[offset - begin])
            reading.squares[begin] = float(np.sum(np.square(values, dtype=np.float64)))

    # -- telling ---------------------------------------------------------------------------------------------------

    def _array(self, label: str, name: str, stage: str, formula: Formula) -> Row:
        reading = self._readings[stage, name]
        elements = tuple(reading.elements[i] for i in range(len(self.parameter.offsets)))
        norm = sum(square for _, square in sorted(reading.squares.items())) ** 0.5
        return Row(label, name, formula, None, elements, norm)

    def _explained(self) -> Iterator[Row]:
        solver, parameters, index = self.solver, self.solver.parameters, self.parameter.index
        rule = formulas.RULES[solver.type]
        lr_mult, decay_mult, passes = parameters.lr_mult[index], parameters.decay_mult[index], solver.param.iter_size
        local_rate = self._rate * lr_mult
        plain = Formula("", {})
        yield self._array("before", "weight", "before", plain)
        for name in rule.histories:
            yield self._array("before", name, "before", plain)
        yield Row("rate", "rate", self._rate_formula, self._rate)
        yield Row("rate", "local_rate", Formula("rate * lr_mult", {"rate": self._rate, "lr_mult": lr_mult}), local_rate)
        text = "diff = the derivative of the loss" + (", summed over iter_size passes" if passes > 1 else "")
        yield self._array("gradient", "diff", "before", Formula(text, {"iter_size": passes} if passes > 1 else {}))
        yield from self._clipping()
        yield self._array(
            "normalize", "diff", "normalize", Formula("diff = diff * (1 / iter_size)", {"iter_size": passes})
        )
        yield self._array("regularize", "diff", "regularize", formulas.regularize_formula(solver, decay_mult))
        for line in formulas.rule_formulas(solver, local_rate):
            name = line.text.partition(" = ")[0]
            if name in (*rule.histories, "diff"):
                yield self._array("compute_update_value", name, "compute_update_value", line)
            else:
                yield Row("compute_update_value", name, line)
        decay = formulas.decay_formula(solver, decay_mult, local_rate)
        if decay.numbers:
            yield self._array("decay", "diff", "decay", decay)
        yield self._array("update", "weight", "update", Formula("weight = weight - diff", {}))

    def _clipping(self) -> Iterator[Row]:
        limit = self.solver.param.clip_gradients
        if self._norm is None:
            off = Formula("diff = diff, since clip_gradients < 0", {"clip_gradients": limit})
            yield self._array("clip_gradients", "diff", "clip_gradients", off)
            return
        yield Row("clip_gradients", "norm", Formula("L2 norm of all diffs of the net together", {}), self._norm)
        sizes = {"clip_gradients": limit, "norm": self._norm}
        text = "clip_gradients / norm" if self._norm > limit else "1, since norm <= clip_gradients"
        yield Row("clip_gradients", "factor", Formula(text, sizes), self._factor)
        scaled = Formula("diff = diff * factor", {"factor": self._factor})
        yield self._array("clip_gradients", "diff", "clip_gradients", scaled)


def explain(solver: SGDSolver, parameter: Parameter, iterations: int) -> Iterator[Update]:
    """Does iterations, and tells of each what its update did to a parameter.

    Raises:
        Diverged: a loss or gradient is not finite.
    """
    observer = Observer(solver, parameter)
    with observer.watching():
        for report in solver.steps(iterations):
            if isinstance(report, IterationReport):
                yield Update(report.iteration, report.loss, observer.rows)


def record(update: Update) -> dict[str, Any]:
    """An update as plain values, for JSON: float32 numbers keep all their bits; what is not finite is None."""
    return {
        "iteration": update.iteration,
        "loss": _finite(update.loss),
        "stages": [_row_record(row) for row in update.rows],
    }


def _row_record(row: Row) -> dict[str, Any]:
    numbers = {name: _finite(value) for name, value in row.formula.numbers.items()}
    found: dict[str, Any] = {"stage": row.stage, "name": row.name, "formula": row.formula.text, "numbers": numbers}
    if row.value is not None:
        found["value"] = _finite(row.value)
    if row.norm is not None:
        found |= {"elements": [_finite(value) for value in row.elements], "norm": _finite(row.norm)}
    return found


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
