"""Tables: as text that fits the terminal, as CSV, as Markdown."""

from __future__ import annotations

import csv
import io
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence

Cells = Sequence[str]

GAP = "  "
LEAST = 8  # no column becomes narrower


def to_text(head: Cells, rows: Sequence[Cells], right: Sequence[bool], width: int | None = None) -> str:
    """Columns under their heads; where they are wider than `width`, the widest wrap within themselves.

    Args:
        head: the names of the columns; a line goes between them and the first row.
        rows: the cells.
        right: for each column, whether it is set flush right.
        width: how many characters a line may have; None: those of the terminal, any number where there is none.
    """
    if width is None and sys.stdout.isatty():
        width = shutil.get_terminal_size((80, 24)).columns
    widths = _widths([head, *rows], width)
    rule = [("-" * wide) for wide in widths]
    lines = [line for row in (head, rule, *rows) for line in _row(row, widths, right)]
    return "\n".join(line.rstrip() for line in lines)


def _widths(rows: Sequence[Cells], width: int | None) -> list[int]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    room = None if width is None else max(width - len(GAP) * (len(widths) - 1), LEAST * len(widths))
    while room is not None and sum(widths) > room:
        widest = widths.index(max(widths))
        if widths[widest] <= LEAST:
            break
        widths[widest] -= 1
    return widths


def _row(row: Cells, widths: Sequence[int], right: Sequence[bool]) -> Iterator[str]:
    wrapped = [textwrap.wrap(cell, wide) or [""] for cell, wide in zip(row, widths, strict=True)]
    for i in range(max(map(len, wrapped))):
        parts = [cell[i] if i < len(cell) else "" for cell in wrapped]
        yield GAP.join(
            part.rjust(wide) if flush else part.ljust(wide)
            for part, wide, flush in zip(parts, widths, right, strict=True)
        )


def to_csv(head: Cells, rows: Sequence[Cells]) -> str:
    """Comma-separated values, the names of the columns first."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head, *rows])
    return text.getvalue().rstrip("\n")


def to_markdown(head: Cells, rows: Sequence[Cells], right: Sequence[bool]) -> str:
    """A table as GitHub reads it."""
    rule = ["---:" if flush else "---" for flush in right]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (head, rule, *rows)]
    return "\n".join(lines)
