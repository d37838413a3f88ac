"""What the terminal, or whatever standard output is, can show."""

from __future__ import annotations

import os
import shutil
import sys

from pycaffe_lite_cli.lr_plot.chart import Style


def stdout_style(log: bool) -> Style:
    """A chart that fits the terminal; 80 columns where there is none."""
    columns, rows = shutil.get_terminal_size((80, 24))
    width, height = min(max(columns, 40), 120), min(max(rows - 8, 10), 24)
    return Style(width, height, can_show("⣿┊┤"), wants_color(), log)


def can_show(text: str) -> bool:
    """Whether the encoding of standard output has these characters."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def printable(text: str) -> str:
    """The text with ? for what the encoding of standard output does not have."""
    encoding = sys.stdout.encoding or "ascii"
    return text.encode(encoding, "replace").decode(encoding)


def wants_color() -> bool:
    """Whether standard output is a terminal whose user has not set NO_COLOR."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
