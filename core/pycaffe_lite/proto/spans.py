"""Where the fields of a prototxt stand in it, so that a text can be changed and keep its comments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pycaffe_lite.proto.tokens import END, NAME, STRING, PositionedText, Tokens

_CLOSERS = {"{": "}", "<": ">", "[": "]"}


@dataclass
class Span:
    """A field of a text.

    Attributes:
        name: the field's name; empty for an element of a list in brackets.
        start, end: the offsets of its first character, and behind its last one.
        fields: those inside of it.
    """

    name: str
    start: int
    end: int = 0
    fields: list[Span] = field(default_factory=list)

    def named(self, *names: str) -> Iterator[Span]:
        """The fields inside that have one of these names."""
        return (inner for inner in self.fields if inner.name in names)


def spans_of(source: PositionedText) -> list[Span]:
    """The fields at the top of a text, with all that is in them.

    Raises:
        ParseError: the text is no prototxt; whether a message has these fields is not looked at.
    """
    tokens = Tokens(source)
    spans = list(_body(tokens, ""))
    if tokens.kind != END:
        raise source.error(tokens.start, f"expected a field's name, got {tokens.described()}.")
    return spans


def _body(tokens: Tokens, closer: str) -> Iterator[Span]:
    """The fields up to a closing bracket, which stays; in brackets `[ ]` the elements."""
    while tokens.kind != END and tokens.value != closer:
        if tokens.value in (";", ","):
            tokens.advance()
            continue
        span = Span("", tokens.start)
        if closer != "]":
            if tokens.kind != NAME:
                raise tokens.source.error(tokens.start, f"expected a field's name, got {tokens.described()}.")
            span.name = tokens.value
            tokens.advance()
            if tokens.value == ":":
                tokens.advance()
        _value(tokens, span)
        yield span


def _value(tokens: Tokens, span: Span) -> None:
    if tokens.value in _CLOSERS:
        start, closer = tokens.start, _CLOSERS[tokens.value]
        tokens.advance()
        span.fields = list(_body(tokens, closer))
        if tokens.value != closer:
            raise tokens.source.error(start, "this bracket is never closed.")
        _take(tokens, span)
        return
    if tokens.value == "-":
        _take(tokens, span)
    pieces = tokens.kind == STRING
    if tokens.kind == END:
        raise tokens.source.error(tokens.start, "expected a value, got the end of the text.")
    _take(tokens, span)
    while pieces and tokens.kind == STRING:
        _take(tokens, span)


def _take(tokens: Tokens, span: Span) -> None:
    span.end = tokens.start + len(tokens.value)
    tokens.advance()


class Edits:
    """Changes of a text: pieces of it go, or make room for others.

    Args:
        text: the text.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._edits: list[tuple[int, int, str]] = []

    def replace(self, start: int, end: int, new: str) -> None:
        """Puts `new` in the place of text[start:end]."""
        self._edits.append((start, end, new))

    def remove(self, span: Span, comments: bool = False) -> None:
        """Takes a field out, and the lines it leaves empty, with comments behind it on its last line.

        Args:
            span: the field.
            comments: whether the comments go too that stand above it without an empty line between; those that the
                text begins with never do.
        """
        start, end = span.start, span.end
        line = self.text.rfind("\n", 0, start) + 1
        tail = self.text.find("\n", end)
        rest = self.text[end : tail if tail >= 0 else len(self.text)]
        whole = not self.text[line:start].strip() and (not rest.strip() or rest.lstrip().startswith("#"))
        if whole:
            start, end = line, tail + 1 if tail >= 0 else len(self.text)
            start = self._above(start) if comments else start
        elif self.text[line:start].strip():
            start = line + len(self.text[line:start].rstrip())
        else:
            end += len(rest) - len(rest.lstrip())
        self.replace(start, end, "")

    def _above(self, start: int) -> int:
        """Where the comments right above a line begin."""
        top = start
        while top:
            line = self.text.rfind("\n", 0, top - 1) + 1
            if not self.text[line:top].lstrip().startswith("#"):
                return top
            top = line
        return start

    def result(self) -> str:
        """The text with all changes; where one lies within another the outer one counts."""
        pieces, position = [], 0
        for start, end, new in sorted(self._edits, key=lambda edit: (edit[0], -edit[1])):
            if start < position:
                continue
            pieces += [self.text[position:start], new]
            position = end
        return "".join([*pieces, self.text[position:]])
