"""`pycaffe-lite check`: everything that is wrong with a solver or a net, before it runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from pycaffe_lite_cli.terminal import encodable, wants_color

if TYPE_CHECKING:
    from pycaffe_lite.tools.findings import Finding

COLORS = {"error": "red", "warning": "yellow"}


@click.command()
@click.argument("file", metavar="SOLVER|NET", type=click.Path())
@click.option("--weights", metavar="FILE[,FILE…]", help="Weights files that are to fit, too.")
@click.option("--level", type=int, default=0, show_default=True, help="Of a NET: the level of its state.")
@click.option("--stage", default="", metavar="A,B", help="Of a NET: the stages of its state.  [default: each it names]")
@click.option("--strict", is_flag=True, help="Let warnings count as errors.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "github"]), default="text", show_default=True,
    help="github makes annotations in a pull request.",
)  # fmt: skip
@click.pass_context
def check(ctx: click.Context, file: str, weights: str | None, level: int, stage: str, strict: bool, form: str) -> None:
    """Read a solver or a net and everything it names, in both phases, and tell all errors with their lines.

    After errors come warnings, of what usually is a mistake. Exit status 1: there are errors, or with --strict
    warnings.

    \b
    Examples:
      pycaffe-lite check configs/lenet/lenet_solver.prototxt
      pycaffe-lite check configs/lenet/train_test.prototxt --format github
    """
    from pycaffe_lite import log
    from pycaffe_lite.tools.check import check as find

    log.set_level("E")  # what the parts say while they are built, the findings say
    names = [name.strip() for name in (weights or "").split(",") if name.strip()]
    found = find(file, weights=names, level=level, stages=[name for name in stage.split(",") if name])
    text = {"text": _plain, "json": _json, "github": _github}[form](found)
    if text:
        click.echo(encodable(text), color=wants_color() or None)
    if any(strict or finding.level == "error" for finding in found):
        ctx.exit(1)


def _plain(found: Sequence[Finding]) -> str:
    lines = []
    for finding in found:
        level = click.style(finding.level, fg=COLORS[finding.level]) if wants_color() else finding.level
        place = f"{finding.path}:{finding.line}:" if finding.line else f"{finding.path}:"
        lines.append(f"{place} {level}: {finding.text}")
    counts = {level: sum(finding.level == level for finding in found) for level in COLORS}
    total = ", ".join(f"{count or 'no'} {level}{'' if count == 1 else 's'}" for level, count in counts.items())
    return "\n".join([*lines, total[:1].upper() + total[1:] + "."])


def _json(found: Sequence[Finding]) -> str:
    return json.dumps([asdict(finding) for finding in found])


def _github(found: Sequence[Finding]) -> str:
    """Workflow commands; commas and colons would end a property."""
    return "\n".join(
        f"::{finding.level} file={_escaped(finding.path, ',:')}"
        + (f",line={finding.line}" if finding.line else "")
        + f"::{_escaped(finding.text)}"
        for finding in found
    )


def _escaped(text: str, more: str = "") -> str:
    return "".join(f"%{ord(c):02X}" if c in f"%\r\n{more}" else c for c in text)
