"""Source: a text and its name, for errors that say file:line:column and show the line."""

from __future__ import annotations

from pycaffe_lite.errors import ParseError
from pycaffe_lite.words import printable

_SHOWN = 100


class Source:
    """A text with positions.

    Args:
        text: the text; a byte-order mark and carriage returns are dropped.
        filename: what errors call it.
    """

    def __init__(self, text: str, filename: str) -> None:
        self.text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        self.filename = filename
        self._counted = (0, 1)

    def line(self, offset: int) -> int:
        """The line of an offset, from 1. Offsets that only rise cost one pass over the text altogether."""
        start, line = self._counted if offset >= self._counted[0] else (0, 1)
        line += self.text.count("\n", start, offset)
        self._counted = (offset, line)
        return line

    def error(self, offset: int, problem: str) -> ParseError:
        """`file:line:column: problem`, and below it the line with a mark under the column."""
        start = self.text.rfind("\n", 0, offset) + 1
        end = self.text.find("\n", offset)
        shown, mark = _around(self.text[start : end if end >= 0 else len(self.text)], offset - start)
        place = f"{self.filename}:{self.line(offset)}:{offset - start + 1}"
        return ParseError(f"{place}: {problem}\n    {shown}\n    {' ' * mark}^")


def _around(line: str, column: int) -> tuple[str, int]:
    """The part of a line around a column, fit to be printed, and the column in that part."""
    start = max(0, column - _SHOWN // 2)
    part = line[start : start + _SHOWN]
    return printable(part), len(printable(part[: column - start]))
