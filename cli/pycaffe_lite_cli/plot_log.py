"""`pycaffe-lite plot-log`: what training logs show, as a chart."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

import click

from pycaffe_lite.errors import CaffeError
from pycaffe_lite_cli.following import lines_of
from pycaffe_lite_cli.lr_plot import figure
from pycaffe_lite_cli.lr_plot.chart import Curve, Point, Style, draw, stdout_style
from pycaffe_lite_cli.options import start
from pycaffe_lite_cli.parse_log import NO_RUN
from pycaffe_lite_cli.terminal import encodable

if TYPE_CHECKING:
    from pycaffe_lite.tools.training_log import LogReader, Row, Run

FORMATS = (*figure.FORMATS, "txt")
FILES = ", ".join(f".{name}" for name in FORMATS)
PLAIN = {"iteration": "NumIters", "seconds": "Seconds", "lr": "LearningRate", "smoothed": "SmoothedLoss"}
CLEAR = "\x1b[H\x1b[2J"


@click.command()
@click.argument("logs", nargs=-1, required=True, type=click.Path(allow_dash=True), metavar="LOG...")
@click.option("-x", "x_name", default="iteration", show_default=True, metavar="NAME", help="What goes to the right.")
@click.option("-y", "y_names", default="loss", show_default=True, metavar="NAME[,NAME…]", help="What goes up.")
@click.option(
    "--smooth", type=click.IntRange(1, 10**6), default=1, metavar="N", help="Draw means of N values in a row."
)
@click.option("--log", is_flag=True, help="Make the axis of y logarithmic.")
@click.option("--follow", is_flag=True, help="In a terminal: draw again while one log grows, to the end of its run.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), metavar="FILE", help=f"Write a file: {FILES}.")
def plot_log(
    logs: tuple[str, ...], x_name: str, y_names: str, smooth: int, log: bool, follow: bool, output: str | None
) -> None:
    """Draw what LOGs show, Caffe's, of its forks or ours, several of them in one chart.

    NAME is iteration, seconds, lr, smoothed (the loss of the lines "Iteration N"), or any output, of the train net and
    of the test nets; train:NAME and test:NAME are one of them. Where no output is called loss, it is smoothed.

    \b
    Examples:
      pycaffe-lite plot-log train.log
      pycaffe-lite plot-log one.log other.log -y test:accuracy -x seconds -o accuracy.png
    """
    form = PurePath(output).suffix[1:].lower() if output else "txt"
    if form not in FORMATS:
        raise click.UsageError(f"-o needs a file name that ends in {FILES}; got {output}.")
    if follow and (output or len(logs) > 1):
        raise click.UsageError("--follow draws one log in the terminal; leave out -o and further logs.")
    from pycaffe_lite.tools.training_log import read_log

    start(None, None, quiet=True)
    names = [name.strip() for name in y_names.split(",") if name.strip()]
    if not names:
        raise click.UsageError("-y: expected a name or several, separated by commas, got none.")
    if follow:
        _follow(logs[0], x_name, names, smooth, log)
        return
    labels = [f"{PurePath(path).name}: " for path in logs] if len(logs) > 1 else [""]
    curves = [
        curve
        for label, path in zip(labels, logs, strict=True)
        for curve in _curves(path, read_log(lines_of(path)), x_name, names, smooth, label)
    ]
    y_name = ", ".join(names)
    if output and form in figure.FORMATS:
        figure.save(curves, output, form, log, (x_name, y_name))
        return
    text = draw(curves, x_name, y_name, Style(log=log) if output else stdout_style(log))
    if output is None:
        click.echo(encodable(text))
    else:
        from pycaffe_lite.writing import write_output

        write_output(output, f"{text}\n".encode())


def _follow(path: str, x_name: str, names: Sequence[str], smooth: int, log: bool) -> None:
    from pycaffe_lite.tools.training_log import LogReader

    reader, shown = LogReader(), ""

    def show() -> bool:
        nonlocal shown
        text = _picture(reader, path, x_name, names, smooth, log)
        if text != shown:
            click.echo(CLEAR + encodable(text))
            shown = text
        return reader.ended

    for line in lines_of(path, show):
        reader.feed(line)
    show()


def _picture(reader: LogReader, path: str, x_name: str, names: Sequence[str], smooth: int, log: bool) -> str:
    """The chart of what has been read; why there is none yet."""
    try:
        curves = list(_curves(path, reader.runs, x_name, names, smooth))
        return draw(curves, x_name, ", ".join(names), stdout_style(log))
    except CaffeError as problem:
        return f"{path}: nothing to draw yet. {problem}"


def _curves(
    path: str, runs: Sequence[Run], x_name: str, names: Sequence[str], smooth: int, label: str = ""
) -> Iterator[Curve]:
    """The curves of a log; what they are called begins with `label`, and with the run if there are several."""
    if not runs:
        raise CaffeError(NO_RUN.format(path))
    found, rightmost = False, 0.0
    for i, run in enumerate(runs):
        start_of_name = label + (f"run {i}: " if len(runs) > 1 else "")
        for name in names:
            for what, rows, column in _columns_of(run, name):
                points = list(_points(rows, x_name, column))
                if points:
                    found, rightmost = True, max(rightmost, points[-1][0])
                    yield Curve(start_of_name + what, _smoothed(points, smooth))
    if found and not rightmost > 0:
        raise CaffeError(
            f"{path}: all there is of {' and '.join(names)} is at {x_name} 0; a chart needs a second point."
        )
    if not found:
        raise CaffeError(
            f"{path}: there is no {' and no '.join(names)} over {x_name} to draw; the outputs are {_known(runs)}."
        )


def _columns_of(run: Run, name: str) -> Iterator[tuple[str, list[Row], str]]:
    """Where a name leads: what to call it, the rows, and the column."""
    net, colon, output = name.partition(":")
    if not colon or net not in ("train", "test"):
        net, output = "", name
    column = PLAIN.get(output, output)
    if output == "loss" and not any("loss" in row.values for rows in run.tables() for row in rows):
        column = PLAIN["smoothed"]
    if net != "test" and (column in PLAIN.values() or any(column in row.values for row in run.train)):
        yield f"train {output}" if column not in ("NumIters", "Seconds", "LearningRate") else output, run.train, column
    for number, rows in run.tests.items():
        if net != "train" and any(column in row.values for row in rows):
            yield f"test {output}" + (f" (#{number})" if len(run.tests) > 1 else ""), rows, column


def _points(rows: Sequence[Row], x_name: str, column: str) -> Iterator[Point]:
    from pycaffe_lite.tools.training_log import cell

    pairs = ((cell(row, PLAIN.get(x_name, x_name)), cell(row, column)) for row in rows)
    points = [(x, y) for x, y in pairs if x is not None and y is not None and 0 <= x < math.inf]
    yield from points if x_name in ("iteration", "seconds") else sorted(points)


def _smoothed(points: Sequence[Point], count: int) -> list[Point]:
    """At each point the mean of the last `count` finite values up to it."""
    result, last = [], deque([0.0] * 0, count)
    for x, y in points:
        if math.isfinite(y):
            last.append(y)
        result.append((x, sum(last) / len(last) if math.isfinite(y) else y))
    return result


def _known(runs: Sequence[Run]) -> str:
    names = dict.fromkeys(name for run in runs for rows in run.tables() for row in rows for name in row.values)
    return ", ".join([*PLAIN, *(name for name in names if name != PLAIN["smoothed"])])
