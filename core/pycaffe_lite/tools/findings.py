"""What a check finds: errors and warnings with their places, and texts read on past their errors."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pycaffe_lite.errors import CaffeError, ParseError
from pycaffe_lite.proto.spans import Span, spans_of
from pycaffe_lite.proto.tokens import PositionedText

T = TypeVar("T")

ERROR, WARNING = "error", "warning"
_MOST = 100  # errors of one text


@dataclass(frozen=True)
class Finding:
    """Something wrong, or probably wrong, in a text.

    Attributes:
        path: the file.
        line: the line in it, from 1; 0: the whole file.
        level: ERROR or WARNING.
        text: a sentence.
    """

    path: str
    line: int
    level: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{f'{self.line}:' if self.line else ''} {self.level}: {self.text}"


class Findings:
    """Collects findings, each once."""

    def __init__(self) -> None:
        self._found: dict[Finding, None] = {}

    def error(self, problem: CaffeError, path: str, line: int = 0) -> None:
        """Takes an error; its own `file:line: ` counts, else the place given."""
        text = str(problem).split("\n", 1)[0]
        for known in (re.escape(path), r"[^\s:]+?"):
            place = re.match(rf"({known}):(?:(\d+):(?:\d+:)?)? ", text)
            if place and (place[2] or place[1] == path):
                path, line, text = place[1], int(place[2] or line), text[place.end() :]
                break
        self._add(Finding(path, line, ERROR, text))

    def warning(self, location: str, text: str) -> None:
        """Takes a warning; `location` is `file:line: ` or `file: `."""
        place = re.fullmatch(r"(.*?)(?::(\d+))?: ", location, re.DOTALL)
        path, line = (place[1], int(place[2] or 0)) if place else ("", 0)
        self._add(Finding(path, line, WARNING, text))

    def _add(self, finding: Finding) -> None:
        self._found.setdefault(finding)

    def sorted(self) -> list[Finding]:
        """By file in the order of the first finding in it, then by line, errors first."""
        paths = list(dict.fromkeys(finding.path for finding in self._found))
        return sorted(self._found, key=lambda finding: (paths.index(finding.path), finding.line, finding.level))


@dataclass
class Mended:
    """What a text with errors is taken as.

    Attributes:
        lines: where the layers begin in which something has been left out.
        fields: the fields at the top in which something has been left out.
    """

    lines: set[int]
    fields: set[str]


def read_past_errors(
    text: str, path: str, read: Callable[[str, str], T], findings: Findings
) -> tuple[T | None, Mended]:
    """Reads a text, and reads it again without what is wrong, until nothing is.

    Args:
        text: the text.
        path: what errors call it.
        read: makes something of a text and its path.
        findings: receives the errors.

    Returns:
        what the text gives without the fields that are wrong, None if it cannot be read any further; and what that is.
    """
    mended = Mended(set(), set())
    for _ in range(_MOST):
        try:
            return read(text, path), mended
        except CaffeError as problem:
            findings.error(problem, path)
            shorter = _without(text, path, problem, mended) if isinstance(problem, ParseError) else None
            if shorter is None:
                break
            text = shorter
    return None, mended


def _without(text: str, path: str, problem: ParseError, mended: Mended) -> str | None:
    """The text with spaces for the field that an error lies in; None where that cannot be told."""
    place = re.match(rf"{re.escape(path)}:(\d+):(\d+): ", str(problem))
    if place is None:
        return None
    source = PositionedText(text, path)
    lines = source.text.split("\n")[: int(place[1]) - 1]
    offset = sum(len(line) + 1 for line in lines) + int(place[2]) - 1
    try:
        chain = _chain(spans_of(source), offset)
    except ParseError:  # brackets that do not match
        return None
    if not chain:
        return None
    mended.fields.add(chain[0].name)
    mended.lines.update(source.line(span.start) for span in chain if span.name in ("layer", "layers"))
    field = next(span for span in reversed(chain) if span.name)
    blank = re.sub(r"[^\n]", " ", source.text[field.start : field.end])
    return source.text[: field.start] + blank + source.text[field.end :]


def _chain(spans: list[Span], offset: int) -> list[Span]:
    """The fields around an offset, outermost first."""
    around = next((span for span in spans if span.start <= offset < span.end), None)
    return [] if around is None else [around, *_chain(around.fields, offset)]
