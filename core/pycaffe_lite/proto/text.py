"""Reading prototxt: a message from its text, with errors that say where.

The grammar is that of protobuf's text format, as widely as it is found in files: `field: value`, `field { }`,
`field: < >`, lists in brackets, `;` or `,` between fields, strings in either quote and in several pieces.
Fields of forks that change nothing are taken with a line in the log, see fork_spellings.py.
"""

from __future__ import annotations

from typing import Any, TypeVar

from google.protobuf.message import Message

from pycaffe_lite import log
from pycaffe_lite.errors import ParseError
from pycaffe_lite.proto import fork_spellings
from pycaffe_lite.proto.forks import fork_of
from pycaffe_lite.proto.hints import field_hint
from pycaffe_lite.proto.positions import Source
from pycaffe_lite.proto.schema import Field, fields_of
from pycaffe_lite.proto.tokens import END, NAME, Tokens
from pycaffe_lite.proto.upgrade_v1 import type_name
from pycaffe_lite.proto.values import READERS
from pycaffe_lite.words import short

M = TypeVar("M", bound=Message)

Lines = dict[str, list[int]]
_CLOSERS = {"{": "}", "<": ">"}
_LAYERS = ("LayerParameter", "V1LayerParameter")
_MOST_LINES = 8


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
    for meaning, where in parser.spelled.items():
        log.info(f"{filename}:{_some(where)}: {meaning}")
    return target


def _some(lines: list[int]) -> str:
    """Line numbers as `3, 8, 12 and 40 more`."""
    more = len(lines) - _MOST_LINES
    return ", ".join(map(str, lines[:_MOST_LINES])) + (f" and {more} more" if more > 0 else "")


class _Parser:
    """A method for each rule of the grammar. The schema is not recursive, which bounds how deep they nest.

    Attributes:
        around: the descriptors of the messages around the present token, outermost first.
        layer: the last layer that was begun.
        spelled: what fields of forks were taken as, and the lines of each.
    """

    def __init__(self, tokens: Tokens, lines: Lines | None) -> None:
        self.tokens = tokens
        self.lines = lines if lines is not None else {}
        self.around: list[Any] = []
        self.layer: Any = None
        self.spelled: Lines = {}

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
        if message.DESCRIPTOR.name in _LAYERS:
            self.layer = message
        closer = "" if opener is None else _CLOSERS[tokens.source.text[opener]]
        seen: dict[str, int] = {}
        while tokens.kind == NAME:
            field = fields.get(tokens.value)
            if field is None:
                self.fork_field(message, seen)
            else:
                self.note(field.name, field.repeated, seen)
                self.value(message, field, path)
            if tokens.value in (";", ","):
                tokens.advance()
        self.close(closer, opener, message)
        self.check_required(message, fields, seen)
        self.around.pop()
        tokens.advance()

    def note(self, name: str, repeated: bool, seen: dict[str, int]) -> None:
        """Remembers where a field is given, and refuses a second value for one that holds a single one."""
        if not repeated and name in seen:
            first = self.tokens.source.line(seen[name])
            raise self.error(f'"{name}" is given a second time; the first is on line {first}.')
        seen[name] = self.tokens.start

    def record(self, field: Field, path: str | None, offset: int) -> None:
        if path is not None:
            self.lines.setdefault(path + field.name, []).append(self.tokens.source.line(offset))

    def value(self, message: Any, field: Field, path: str | None) -> None:
        """A field's name and what follows it: a value, or a list of them."""
        tokens, start = self.tokens, self.tokens.start
        self.colon(field.name, field.kind == "message")
        if tokens.value == "[" and field.repeated:
            self.list(message, field, path)
            return
        self.record(field, path, start)
        self.one(message, field, path)

    def colon(self, name: str, optional: bool = False) -> None:
        """Takes a field's name and the colon after it."""
        self.tokens.advance()
        if self.tokens.value == ":":
            self.tokens.advance()
        elif not optional:
            raise self.error(f'expected ":" and a value after "{name}", got {self.tokens.described()}.')

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
        if fork_spellings.is_fork_engine(self.tokens, field):
            value: Any = self.fork_engine(field)
        else:
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

    def fork_field(self, message: Any, seen: dict[str, int]) -> None:
        """A field that Caffe does not have: of a fork and without effect, or refused."""
        tokens, start, name, owner = self.tokens, self.tokens.start, self.tokens.value, self.around[-1]
        spelling = fork_spellings.spelling_of(owner.name, name)
        if spelling is None:
            raise self.unknown_field()
        self.note(spelling.target or name, False, seen)
        self.colon(name)
        try:
            value = fork_spellings.read_value(tokens, name, spelling)
            taken = fork_spellings.changes_nothing(name, value, spelling)
        except ParseError:
            taken = False
        if not taken:
            hint = field_hint(name, owner).removesuffix(".") + fork_spellings.only_neutral(spelling)
            raise self.error(f'{self.place()}{owner.name} has no field "{name}"{hint}', start)
        if spelling.target:
            target = fields_of(owner)[spelling.target]
            setattr(message, target.name, target.values[dict(spelling.values)[value]])
        self.take(start, fork_spellings.meaning(owner.name, name, value, spelling))

    def fork_engine(self, field: Field) -> int:
        name, start = self.tokens.value, self.tokens.start
        self.tokens.advance()
        where = f"engine: {name} in {self.around[-1].name}"
        self.take(start, f"{where}, an engine of forks of Caffe, is taken as DEFAULT: it computes the same.")
        return field.values["DEFAULT"]

    def take(self, offset: int, meaning: str) -> None:
        self.spelled.setdefault(meaning, []).append(self.tokens.source.line(offset))

    def place(self) -> str:
        """`layer "name" (Type): ` of the layer around the present token, if there is one."""
        inside = any(outer.name in _LAYERS for outer in self.around)
        if not inside or not self.layer.name:
            return ""
        kind = self.layer.type if isinstance(self.layer.type, str) else type_name(self.layer.type)
        return f'layer "{short(self.layer.name)}"{f" ({short(kind)})" if kind else ""}: '

    def unknown_field(self) -> ParseError:
        name, owner = self.tokens.value, self.around[-1]
        outer = next((outer for outer in reversed(self.around[:-1]) if name in fields_of(outer)), None)
        if outer is not None:
            hint = f', the {outer.name} around it has; is a "}}" missing before it?'
        else:
            hint = field_hint(name, owner)
        place = self.place() if fork_of(owner.name, name) else ""
        return self.error(f'{place}{owner.name} has no field "{short(name)}"{hint}')
