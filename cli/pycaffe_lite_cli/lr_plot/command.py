"""`pycaffe-lite lr-plot`: the learning rate of solvers over their iterations."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import click

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.proto.caffe_pb2 import SolverParameter
from pycaffe_lite.solvers.rates import POLICIES, check
from pycaffe_lite_cli.lr_plot import curves, figure
from pycaffe_lite_cli.lr_plot.chart import Style, draw, stdout_style
from pycaffe_lite_cli.terminal import encodable

COUNT = click.IntRange(1, 2**31 - 1)
POINTS = click.IntRange(2, 10**6)
FORMATS = (*figure.FORMATS, "csv", "json", "txt")
FILES = ", ".join(f".{name}" for name in FORMATS)


@click.command()
@click.argument("solvers", nargs=-1, type=click.Path(), metavar="[SOLVER]...")
@click.option("--solver", "more_solvers", multiple=True, type=click.Path(), help="A solver file, as SOLVER.")
@click.option("--policy", type=click.Choice(list(POLICIES)), help="Draw this policy instead of a solver file.")
@click.option("--base-lr", type=float, help="With --policy: the base rate, 0.01 unless given.")
@click.option("--gamma", type=float, help="With --policy step, exp, inv, multistep, sigmoid or plateau.")
@click.option("--power", type=float, help="With --policy inv or poly.")
@click.option("--min-lr", type=float, help="With --policy: no rate below this; where cosine and sgdr end.")
@click.option("--max-lr", type=float, help="With --policy triangular.")
@click.option("--warmup-iter", type=COUNT, metavar="N", help="With --policy: begin with so many iterations of warm-up.")
@click.option("--warmup-start-lr", type=float, help="With --policy: the rate at which the warm-up begins.")
@click.option("--period", type=COUNT, metavar="N", help="With --policy sgdr: the length of the first cycle.")
@click.option("--p-mult", type=float, help="With --policy sgdr: how much longer each cycle is, 2 unless given.")
@click.option("--lr-mult", type=float, help="With --policy sgdr: what each cycle's rate is multiplied with.")
@click.option("--plateau-winsize", type=COUNT, metavar="N", multiple=True,
              help="With --policy plateau, once for each step.")  # fmt: skip
@click.option("--stepsize", type=COUNT, metavar="N", help="With --policy step, sigmoid or triangular.")
@click.option(
    "--stepvalue", type=COUNT, metavar="N", multiple=True, help="With --policy multistep, once for each step."
)
@click.option("--max-iter", type=COUNT, metavar="N", help="With --policy: the iterations, 10000 unless given.")
@click.option("--until", type=COUNT, metavar="N", help="Go on, or stop, at this iteration instead of max_iter.")
@click.option("--points", type=POINTS, metavar="N", default=1000, help="How many rates to compute, 1000 unless given.")
@click.option("--log", is_flag=True, help="Make the axis of the rate logarithmic.")
@click.option("--format", "numbers", type=click.Choice(["csv", "json"]), help="Print numbers, no chart.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help=f"Write a file: {FILES}.")
def lr_plot(
    *,
    solvers: tuple[str, ...],
    more_solvers: tuple[str, ...],
    until: int | None,
    points: int,
    log: bool,
    numbers: str | None,
    output: str | None,
    **policy: Any,
) -> None:
    """Draw the learning rate over the iterations, of solver files or of a policy.

    The chart is drawn in the terminal, or with -o into a file. Dotted lines show where the rate steps.

    \b
    Examples:
      pycaffe-lite lr-plot solver.prototxt
      pycaffe-lite lr-plot one_solver.prototxt other_solver.prototxt -o rates.png
      pycaffe-lite lr-plot --policy step --gamma 0.5 --stepsize 2500 --log
    """
    file_format = numbers or _format_of(output)
    rates = _evaluate((*solvers, *more_solvers), policy, until, points)
    if output and file_format in figure.FORMATS:
        figure.save(curves.to_curves(rates), output, file_format, log)
        return
    text = _as_text(rates, file_format, output, log)
    if output is None:
        click.echo(encodable(text))
    else:
        with open(output, "w", encoding="utf-8") as file:
            file.write(text + "\n")


def _format_of(output: str | None) -> str:
    """What a file's extension asks for."""
    extension = PurePath(output).suffix[1:].lower() if output else "txt"
    if extension not in FORMATS:
        raise click.UsageError(f"-o needs a file name that ends in {FILES}; got {output}.")
    return extension


def _evaluate(solvers: tuple[str, ...], policy: dict[str, Any], until: int | None, points: int) -> list[curves.Rates]:
    name = policy.pop("policy")
    fields = {field: value for field, value in policy.items() if value not in (None, ())}
    if solvers and (name or fields):
        raise click.UsageError("Give solver files or --policy with its parameters, not both.")
    if not solvers and not name:
        raise click.UsageError("Give a solver file, or --policy with its parameters.")
    if solvers:
        return [curves.read(path, until, points) for path in solvers]
    return [curves.evaluate(name, _param(name, fields), until, points)]


def _param(policy: str, fields: dict[str, Any]) -> SolverParameter:
    """The solver that --policy and its parameters stand for."""
    param = SolverParameter(lr_policy=policy, **{"base_lr": 0.01, "max_iter": 10000, **fields})
    try:
        check(param)
    except CaffeError as problem:
        raise click.UsageError(str(problem)) from None
    return param


def _as_text(rates: list[curves.Rates], file_format: str, output: str | None, log: bool) -> str:
    if file_format == "csv":
        return curves.to_csv(rates)
    if file_format == "json":
        return curves.to_json(rates)
    style = Style(log=log) if output else stdout_style(log)
    return draw(curves.to_curves(rates), "iteration", "learning rate", style)
