"""Reading prototxt: a message from its text, with errors that say where.

The grammar is that of protobuf's text format, as widely as it is found in files: `field: value`, `field { }`,
`field: < >`, lists in brackets, `;` or `,` between fields, strings in either quote and in several pieces.
"""

from __future__ import annotations

from typing import Any, TypeVar

from google.protobuf.message import Message

from pycaffe_lite.errors import ParseError
from pycaffe_lite.proto.hints import field_hint
from pycaffe_lite.proto.schema import Field, fields_of
from pycaffe_lite.proto.source import Source, short
from pycaffe_lite.proto.tokens import END, NAME, Tokens
from pycaffe_lite.proto.values import READERS

M = TypeVar("M", bound=Message)

Lines = dict[str, list[int]]
_CLOSERS = {"{": "}", "<": ">"}


def parse(text: str, message: M | type[M], filename: str = "<text>", lines: Lines | None = None) -> M:
    """Reads a text into a message.

    Args:
        text: the text. Bytes that are no UTF-8, decoded with `surrogateescape`, may stand in comments.
        message: a message, which the text is added to, or its class.
        filename: what errors call the text.
        lines: receives, for each field at the top, the lines where it is given. Fields of a net inside a
            solver are there as `net_param.layer`.

    Raises:
        ParseError: `file:line:column: …` for anything that the schema does not allow.
    """
    target = message() if isinstance(message, type) else message
    parser = _Parser(Tokens(Source(text, filename)), lines)
    parser.body(target, None, "" if lines is not None else None)
    return target


class _Parser:
    """A method for each rule of the grammar. The schema is not recursive, which bounds how deep they nest."""

    def __init__(self, tokens: Tokens, lines: Lines | None) -> None:
        self.tokens = tokens
        self.lines = lines if lines is not None else {}
        self.around: list[Any] = []

    def error(self, problem: str, offset: int | None = None) -> ParseError:
        return self.tokens.source.error(self.tokens.start if offset is None else offset, problem)

    def body(self, message: Any, opener: int | None, path: str | None) -> None:
        """The fields of a message, up to the bracket that closes it.

        Args:
            message: where they go.
            opener: the offset of the bracket that opened it; None for the whole text.
            path: what stands before its fields' names in `lines`; None if they are not recorded.
        """
        tokens, fields = self.tokens, fields_of(message.DESCRIPTOR)
        self.around.append(message.DESCRIPTOR)
        closer = "" if opener is None else _CLOSERS[tokens.source.text[opener]]
        seen: dict[str, int] = {}
        while tokens.kind == NAME:
            field = fields.get(tokens.value)
            if field is None:
                raise self.unknown_field()
            self.note(field, seen)
            self.value(message, field, path)
            if tokens.value in (";", ","):
                tokens.advance()
        self.close(closer, opener, message)
        self.check_required(message, fields, seen)
        self.around.pop()
        tokens.advance()

    def note(self, field: Field, seen: dict[str, int]) -> None:
        """Remembers where a field is given, and refuses a second value for one that holds a single one."""
        if not field.repeated and field.name in seen:
            first = self.tokens.source.line(seen[field.name])
            raise self.error(f'"{field.name}" is given a second time; the first is on line {first}.')
        seen[field.name] = self.tokens.start

    def record(self, field: Field, path: str | None, offset: int) -> None:
        if path is not None:
            self.lines.setdefault(path + field.name, []).append(self.tokens.source.line(offset))

    def value(self, message: Any, field: Field, path: str | None) -> None:
        """A field's name and what follows it: a value, or a list of them."""
        tokens, start = self.tokens, self.tokens.start
        tokens.advance()
        if tokens.value == ":":
            tokens.advance()
        elif field.kind != "message":
            raise self.error(f'expected ":" and a value after "{field.name}", got {tokens.described()}.')
        if tokens.value == "[" and field.repeated:
            self.list(message, field, path)
            return
        self.record(field, path, start)
        self.one(message, field, path)

    def list(self, message: Any, field: Field, path: str | None) -> None:
        tokens = self.tokens
        tokens.advance()
        if tokens.value == "]":
            tokens.advance()
            return
        while True:
            self.record(field, path, tokens.start)
            self.one(message, field, path)
            if tokens.value not in (",", "]"):
                raise self.error(f'expected "," or "]" in "{field.name}", got {tokens.described()}.')
            last = tokens.value == "]"
            tokens.advance()
            if last:
                return

    def one(self, message: Any, field: Field, path: str | None) -> None:
        if field.kind == "message":
            self.submessage(message, field, path)
            return
        value = READERS[field.kind](self.tokens, field)
        if field.repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)

    def submessage(self, message: Any, field: Field, path: str | None) -> None:
        tokens, start = self.tokens, self.tokens.start
        if tokens.value not in _CLOSERS:
            raise self.error(f'expected "{{" after "{field.name}", got {tokens.described()}.')
        if field.repeated:
            inner = getattr(message, field.name).add()
        else:
            inner = getattr(message, field.name)
            inner.SetInParent()
        recorded = path is not None and field.message.name == "NetParameter"
        tokens.advance()
        self.body(inner, start, f"{path}{field.name}." if recorded else None)

    def close(self, closer: str, opener: int | None, message: Any) -> None:
        """Expects the end of a message: its bracket, or for the whole text the end."""
        tokens = self.tokens
        if tokens.value == closer:
            return
        if tokens.kind == END and opener is not None:
            raise self.error(f'this "{tokens.source.text[opener]}" is never closed.', opener)
        if opener is None and tokens.value in ("}", ">"):
            raise self.error(f'this "{tokens.value}" closes nothing; there is one too many.')
        expected = f'a field of {message.DESCRIPTOR.name} or "{closer}"' if closer else "a field's name"
        raise self.error(f"expected {expected}, got {tokens.described()}.")

    def check_required(self, message: Any, fields: dict[str, Field], seen: dict[str, int]) -> None:
        for field in fields.values():
            if field.required and field.name not in seen:
                raise self.error(f'{message.DESCRIPTOR.name} needs "{field.name}", which is missing.')

    def unknown_field(self) -> ParseError:
        name, owner = self.tokens.value, self.around[-1]
        outer = next((outer for outer in reversed(self.around[:-1]) if name in fields_of(outer)), None)
        if outer is not None:
            hint = f', the {outer.name} around it has; is a "}}" missing before it?'
        else:
            hint = field_hint(name, owner)
        return self.error(f'{owner.name} has no field "{short(name)}"{hint}')
