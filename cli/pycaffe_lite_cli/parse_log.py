"""`pycaffe-lite parse-log`: the log of a training run as tables."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from pycaffe_lite.errors import CaffeError
from pycaffe_lite_cli.following import lines_of
from pycaffe_lite_cli.options import start

if TYPE_CHECKING:
    from pycaffe_lite.tools.training_log import Row, Run


NO_RUN = '{}: expected the log of a training run, got no line that begins with "Iteration N".'


@click.command()
@click.argument("log_file", metavar="LOG", type=click.Path(allow_dash=True))
@click.argument("output_dir", required=False, metavar="[OUTPUT_DIR]", type=click.Path())
@click.option("--show", type=click.Choice(["train", "test"]), default="train", help="Without OUTPUT_DIR: which table.")
@click.option("--format", "form", type=click.Choice(["csv", "json"]), default="csv", show_default=True)
@click.option("--delimiter", default=",", show_default=True, metavar="C", help="What stands between columns.")
@click.option("--verbose", is_flag=True, help="Say which files are written.")
@click.option("--follow", is_flag=True, help="Without OUTPUT_DIR: print rows as the log grows, to the end of the run.")
def parse_log(
    log_file: str, output_dir: str | None, show: str, form: str, delimiter: str, verbose: bool, follow: bool
) -> None:
    """Make CSV tables of LOG, of train and test outputs, with the columns of Caffe's parse_log.py.

    OUTPUT_DIR gets LOG.train and LOG.test; the tables of a second test net are LOG.test1, those of a second run
    LOG.run1.train. Without it one table is printed. LOG may be - for standard input, and of Caffe, of its forks or
    ours; a run that was resumed in it is one run.

    \b
    Examples:
      pycaffe-lite parse-log train.log .
      pycaffe-lite parse-log train.log --show test
    """
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise click.UsageError(f"--delimiter: expected one character, got {delimiter!r}.")
    if follow and (output_dir or form == "json"):
        raise click.UsageError("--follow prints one CSV table; leave out OUTPUT_DIR and --format json.")
    from pycaffe_lite.tools.training_log import read_log

    start(None, None, quiet=True)
    if follow:
        _follow(log_file, show, delimiter)
        return
    runs = read_log(lines_of(log_file))
    if not runs:
        raise CaffeError(NO_RUN.format(log_file))
    if output_dir is None:
        tables = [_shown(run, show) for run in runs]
        click.echo(_text([row for rows in tables for row in rows], form, delimiter), nl=False)
    else:
        _write(runs, log_file, output_dir, form, delimiter, verbose)


def _shown(run: Run, show: str) -> list[Row]:
    """The table that is asked for; of several test nets the first."""
    return run.train if show == "train" else next(iter(run.tests.values()), [])


def _write(runs: Sequence[Run], log_file: str, folder: str, form: str, delimiter: str, verbose: bool) -> None:
    from pycaffe_lite.writing import FileSet

    if not os.path.isdir(folder):
        raise CaffeError(f'There is no folder "{folder}" to write the tables to (the working folder is {os.getcwd()}).')
    base = os.path.join(folder, "log" if log_file == "-" else os.path.basename(log_file))
    with FileSet() as files:
        for path, rows in _files(runs, base):
            target = f"{path}.json" if form == "json" else path
            files.add(target, [_text(rows, form, delimiter).encode()])
            if verbose:
                click.echo(f"Wrote {target}")


def _files(runs: Sequence[Run], base: str) -> Iterator[tuple[str, list[Row]]]:
    for i, run in enumerate(runs):
        stem = f"{base}.run{i}" if i else base
        yield f"{stem}.train", run.train
        for number, rows in (run.tests or {0: []}).items():
            yield f"{stem}.test{number or ''}", rows


def _text(rows: Sequence[Row], form: str, delimiter: str) -> str:
    from pycaffe_lite.tools.training_log import cell, columns

    names = columns(rows)
    if form == "json":
        return json.dumps([{name: _json(cell(row, name)) for name in names} for row in rows]) + "\n"
    return _csv([names, *_cells(rows, names)], delimiter)


def _json(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _csv(rows: Sequence[Sequence[str]], delimiter: str) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _cells(rows: Sequence[Row], names: Sequence[str]) -> Iterator[list[str]]:
    from pycaffe_lite.tools.training_log import cell

    for row in rows:
        yield [_plain(cell(row, name)) for name in names]


def _plain(value: Any) -> str:
    """As short as it reads back: 0.01, 100, nan."""
    return "" if value is None else repr(value) if isinstance(value, int) else f"{value:.15g}"


def _follow(log_file: str, show: str, delimiter: str) -> None:
    """Prints each row once the log shows the next one, or the end; the columns are those of the first row."""
    from pycaffe_lite.tools.training_log import LogReader, columns

    reader, names, printed = LogReader(), [""] * 0, 0

    def print_new() -> bool:
        nonlocal names, printed
        rows = _shown(reader.runs[-1], show) if reader.runs else []
        printed = min(printed, len(rows))  # a run that goes on from a snapshot does some rows again
        ready = rows[printed : len(rows) if reader.ended else -1]
        if ready and not names:
            names = columns(ready[:1])
            click.echo(_csv([names], delimiter), nl=False)
        click.echo(_csv(list(_cells(ready, names)), delimiter), nl=False)
        printed += len(ready)
        return reader.ended

    for line in lines_of(log_file, print_new):
        reader.feed(line)
    reader.finish()
    print_new()
