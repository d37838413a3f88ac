"""`pycaffe-lite summary`: what a net is made of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from pycaffe_lite_cli import table
from pycaffe_lite_cli.options import start
from pycaffe_lite_cli.terminal import encodable

if TYPE_CHECKING:
    from pycaffe_lite.tools.net_summary import Row, Summary

HEAD = ("layer", "type", "top shape", "parameters", "multiply-adds", "activations")
RIGHT = (False, False, False, True, True, True)


@click.command()
@click.argument("model", metavar="NET", type=click.Path())
@click.option("--phase", type=click.Choice(["TRAIN", "TEST"]), default="TRAIN", show_default=True, help="Which net.")
@click.option("--level", type=int, default=0, show_default=True, help="The level of the net's state.")
@click.option("--stage", default="", metavar="A,B", help="The stages of the net's state.")
@click.option("--batch", type=click.IntRange(1, 2**31 - 1), metavar="N", help="Another batch size than the net's.")
@click.option(
    "--depth",
    type=click.IntRange(1, 100),
    metavar="N",
    help="One row for all layers whose first N parts agree, as a/b.",
)
@click.option(
    "--format", "form", type=click.Choice(["text", "csv", "json", "markdown"]), default="text", show_default=True
)
def summary(model: str, phase: str, level: int, stage: str, batch: int | None, depth: int | None, form: str) -> None:
    """Show the layers of NET with the shapes they give, their parameters, multiply-adds and memory.

    A multiply-add is a weight times a value, in a forward pass of one batch; biases, normalization and pooling have
    none, as published totals count. Memory is that of blobs and parameters: values, and in training diffs. What layers
    need while they compute comes on top. Data that cannot be read are no obstacle where the text has a crop_size.

    \b
    Examples:
      pycaffe-lite summary configs/lenet/train_test.prototxt
      pycaffe-lite summary configs/lenet/deploy.prototxt --batch 64 --format markdown
    """
    from pycaffe_lite import phase as phases
    from pycaffe_lite.errors import CaffeError
    from pycaffe_lite.proto.read import read_net
    from pycaffe_lite.tools.net_summary import at_depth, summarize

    start(None, None, quiet=True)
    text, stages = read_net(model), [name for name in stage.split(",") if name]
    found: dict[str, Summary] = {}
    for name in sorted(("TRAIN", "TEST"), key=lambda name: name != phase):
        try:
            found[name] = summarize(text, getattr(phases, name), batch=batch, level=level, stages=stages)
        except CaffeError:
            if name == phase:  # the other may need stages, or have no data
                raise
    main = found[phase]
    rows = at_depth(main.rows, depth) if depth else main.rows
    click.echo(encodable("\n".join(_output(main, rows, found, form))))


def _output(main: Summary, rows: Sequence[Row], found: dict[str, Summary], form: str) -> Iterator[str]:
    if form == "json":
        yield json.dumps(_record(main, rows, found))
    elif form == "csv":
        fields = ("parameters", "statistics", "multiply_adds", "activations", "memory")
        cells = [[row.name, row.type, _shapes(row), *(str(getattr(row, field)) for field in fields)] for row in rows]
        yield table.to_csv(["layer", "type", "top_shape", *fields], cells)
    else:
        yield f"{main.name or 'net'}, {_phase(found, main)}, batch size {main.batch}"
        yield ""
        cells = [_cells(row) for row in rows]
        yield table.to_markdown(HEAD, cells, RIGHT) if form == "markdown" else table.to_text(HEAD, cells, RIGHT)
        yield ""
        yield from _totals(main, found, "- " if form == "markdown" else "")


def in_markdown(summary: Summary) -> str:
    """What `--format markdown` prints of a net's TRAIN phase."""
    return "\n".join(_output(summary, summary.rows, {"TRAIN": summary}, "markdown"))


def _phase(found: dict[str, Summary], main: Summary) -> str:
    return next(name for name, other in found.items() if other is main)


def _cells(row: Row) -> list[str]:
    numbers = (f"{number:,}" if number else "" for number in (row.parameters + row.statistics, row.multiply_adds))
    return [row.name, row.type, _shapes(row), *numbers, size(row.activations)]


def _shapes(row: Row) -> str:
    """The shapes of the tops, those that are alike once: `28 of 100x1x1x28`."""
    texts = ["x".join(map(str, shape)) or "scalar" for shape in row.tops]
    different = dict.fromkeys(texts)
    return ", ".join(text if texts.count(text) == 1 else f"{texts.count(text)} of {text}" for text in different)


def _totals(main: Summary, found: dict[str, Summary], bullet: str) -> Iterator[str]:
    total = main.total
    statistics = f", and {total.statistics:,} statistics" if total.statistics else ""
    yield f"{bullet}parameters: {total.parameters:,}{statistics}"
    for_each = f", {round(total.multiply_adds / main.batch):,} for each of {main.batch}" if main.batch > 1 else ""
    yield f"{bullet}multiply-adds: {total.multiply_adds:,}{for_each}"
    for name in ("TRAIN", "TEST"):
        if name in found:
            both = found[name].total
            sizes = f"activations {size(both.activations)}, parameters {size(both.memory)}"
            yield f"{bullet}memory in {name}: {size(both.activations + both.memory)} ({sizes})"


def size(count: int) -> str:
    """A number of bytes, in the unit that suits it."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.{0 if unit == 'B' else 1}f} {unit}" if count else "0"
        amount /= 1024
    return f"{amount:.2f} GiB"


def _record(main: Summary, rows: Sequence[Row], found: dict[str, Summary]) -> dict[str, Any]:
    total = asdict(main.total)
    for field in ("name", "type", "tops", "activations", "memory"):
        del total[field]
    memory = {
        name: {"activations": other.total.activations, "parameters": other.total.memory}
        for name, other in found.items()
    }
    return {
        "name": main.name,
        "phase": _phase(found, main),
        "batch": main.batch,
        "layers": [asdict(row) for row in rows],
        "total": {**total, "memory": memory},
    }
