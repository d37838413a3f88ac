"""`pycaffe-lite explain`: an update of the weights, number by number."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from pycaffe_lite_cli import table
from pycaffe_lite_cli.options import start
from pycaffe_lite_cli.terminal import encodable

if TYPE_CHECKING:
    from pycaffe_lite.solvers.sgd import SGDSolver
    from pycaffe_lite.tools.explain import Parameter, Row, Update


def _indices(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> list[list[int]]:
    found = []
    for value in values:
        parts = [part.strip() for part in value.split(",")]
        if not all(part.isdecimal() and len(part) < 10 for part in parts):
            raise click.BadParameter(f"expected whole numbers of 0 or more, with commas between; got {value!r}.")
        found.append([int(part) for part in parts])
    return found


@click.command()
@click.option("--solver", "path", required=True, type=click.Path(), metavar="FILE", help="The solver.")
@click.option(
    "--param", "name", required=True, metavar="NAME[/INDEX]", help="The parameter: of which layer, and which."
)
@click.option(
    "--iterations", type=click.IntRange(1, 10**6), default=1, show_default=True, metavar="N", help="How many updates."
)
@click.option(
    "--element", "elements", multiple=True, metavar="I,J,…", callback=_indices,
    help="The element to show, by its indices; may be given several times.  [default: the first]",
)  # fmt: skip
@click.option("--snapshot", type=click.Path(), metavar="FILE", help="Go on from this .solverstate.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def explain(path: str, name: str, iterations: int, elements: list[list[int]], snapshot: str | None, form: str) -> None:
    """Show what the first iterations do to a parameter, stage by stage in the order of apply_update.

    Real iterations run, and each stage's result is read while they do: for each its formula, the formula with its
    numbers put in, the element's value and the L2 norm of the whole array. diff is the gradient, and in the end what is
    subtracted from the weights. Index 0, the weights, is shown unless NAME/1, the bias, say, is asked for. Nothing is
    written.

    \b
    Examples:
      pycaffe-lite explain --solver configs/lenet/lenet_solver.prototxt --param conv1 --iterations 3
      pycaffe-lite explain --solver configs/lenet/smoke_solver.prototxt --param fc2/1 --element 7 --format json
    """
    from pycaffe_lite.proto.read import read_solver
    from pycaffe_lite.solvers.registry import solver_class
    from pycaffe_lite.tools.explain import Parameter
    from pycaffe_lite.tools.explain import explain as explained

    start(None, None, quiet=True)
    text = read_solver(path)
    text.param.snapshot, text.param.snapshot_after_train = 0, False
    solver = solver_class(text)(text)
    try:
        parameter = Parameter(solver, name, elements)
        if snapshot is not None:
            solver.restore(snapshot)
        updates = explained(solver, parameter, iterations)
        lines = _json(solver, parameter, updates) if form == "json" else _text(solver, parameter, updates)
        for line in lines:
            click.echo(encodable(line))
    finally:
        solver.close()


def _json(solver: SGDSolver, parameter: Parameter, updates: Iterator[Update]) -> Iterator[str]:
    from pycaffe_lite.tools.explain import record

    about = {
        "solver": solver.text.path,
        "type": solver.type,
        "lr_policy": solver.param.lr_policy,
        "param": parameter.name,
        "shape": list(parameter.shape),
        "lr_mult": solver.parameters.lr_mult[parameter.index],
        "decay_mult": solver.parameters.decay_mult[parameter.index],
        "elements": [list(element) for element in parameter.elements],
    }
    yield json.dumps({**about, "iterations": [record(update) for update in updates]}, allow_nan=False)


def _text(solver: SGDSolver, parameter: Parameter, updates: Iterator[Update]) -> Iterator[str]:
    multipliers = (values[parameter.index] for values in (solver.parameters.lr_mult, solver.parameters.decay_mult))
    lr_mult, decay_mult = multipliers
    yield (
        f"{parameter.name}, {'x'.join(map(str, parameter.shape))}: lr_mult {lr_mult:g}, decay_mult {decay_mult:g}; "
        f"{solver.type}, lr_policy {solver.param.lr_policy}"
    )
    head = ["stage", "formula", "with its numbers", *(_element(index) for index in parameter.elements), "L2 norm"]
    right = [False, False, False, *(True for _ in parameter.elements), True]
    for update in updates:
        yield ""
        yield f"Iteration {update.iteration}, loss = {update.loss:.6g}"
        yield ""
        yield table.to_text(head, list(_cells(update.rows, len(parameter.elements))), right)


def _element(index: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, index))}]"


def _cells(rows: list[Row], count: int) -> Iterator[list[str]]:
    """A row of the table for each; a stage is named once, and a number that is no array stands as an element."""
    from pycaffe_lite.tools.update_formulas import number

    last = ""
    for row in rows:
        text, filled = row.formula.text or row.name, row.formula.filled()
        if row.value is not None:
            text = f"{row.name} = {text}"
            filled = f"{row.name} = {filled}"
        values = row.elements if row.norm is not None else ([] if row.value is None else [row.value] * count)
        numbers = [number(value) for value in values] or [""] * count
        norm = "" if row.norm is None else f"{row.norm:.6g}"
        yield [row.stage if row.stage != last else "", text, filled if row.formula.numbers else "", *numbers, norm]
        last = row.stage
