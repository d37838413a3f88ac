"""Reading prototxt: a message from its text, with errors that say where.

The grammar is that of protobuf's text format, as widely as it is found in files: `field: value`, `field { }`,
`field: < >`, lists in brackets, `;` or `,` between fields, strings in either quote and in several pieces.
Fields of forks that change nothing are taken with a line in the log, see forks.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import inf, nan
from typing import Any, TypeVar

from google.protobuf.message import Message

from pycaffe_lite import log
from pycaffe_lite.errors import ParseError
from pycaffe_lite.proto import forks
from pycaffe_lite.proto.caffe_pb2 import LayerParameter, V1LayerParameter
from pycaffe_lite.proto.forks import Spelling
from pycaffe_lite.proto.hints import enum_hint, field_hint
from pycaffe_lite.proto.schema import Field, fields_of, float32
from pycaffe_lite.proto.tokens import END, NAME, NUMBER, STRING, PositionedText, Tokens
from pycaffe_lite.proto.upgrade_v1 import type_name
from pycaffe_lite.words import short

M = TypeVar("M", bound=Message)

Lines = dict[str, list[int]]
_CLOSERS = {"{": "}", "<": ">"}
_LAYERS = ("LayerParameter", "V1LayerParameter")
_MOST_LINES = 8
_INT = re.compile(r"0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*")
_FLOAT = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[fF]?")
_WORDS = {"inf": inf, "infinity": inf, "inff": inf, "nan": nan}
_BOOLS = dict.fromkeys(("true", "True", "t", "1"), True) | dict.fromkeys(("false", "False", "f", "0"), False)
_ESCAPE = re.compile(
    rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([abfnrtv\\?'\"])|.)"
)
_SIMPLE = dict(zip(b"abfnrtv\\?'\"", b"\a\b\f\n\r\t\v\\?'\"", strict=True))


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
    parser = _Parser(Tokens(PositionedText(text, filename)), lines)
    parser.body(target, None, "" if lines is not None else None)
    for meaning, where in parser.spelled.items():
        log.info(f"{filename}:{_some(where)}: {meaning}")
    return target


def at(path: str, lines: list[int] | None) -> str:
    """The beginning of an error: `path:line: ` of the first line, or `path: ` where none is known."""
    return f"{path}:{lines[0]}: " if lines and lines[0] else f"{path}: "


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
        self.layer: LayerParameter | V1LayerParameter | None = None
        self.spelled: Lines = {}

    def error(self, problem: str, offset: int | None = None) -> ParseError:
        return self.tokens.source.error(self.tokens.start if offset is None else offset, problem)

    def body(self, message: Message, opener: int | None, path: str | None) -> None:
        """The fields of a message, up to the bracket that closes it.

        Args:
            message: where they go.
            opener: the offset of the bracket that opened it; None for the whole text.
            path: what stands before its fields' names in `lines`; None if they are not recorded.
        """
        tokens, fields = self.tokens, fields_of(message.DESCRIPTOR)
        self.around.append(message.DESCRIPTOR)
        if isinstance(message, (LayerParameter, V1LayerParameter)):
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

    def value(self, message: Message, field: Field, path: str | None) -> None:
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

    def list(self, message: Message, field: Field, path: str | None) -> None:
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

    def one(self, message: Message, field: Field, path: str | None) -> None:
        if field.kind == "message":
            self.submessage(message, field, path)
            return
        if _is_fork_engine(self.tokens, field):
            value: Any = self.fork_engine(field)
        else:
            value = _READERS[field.kind](self.tokens, field)
        if field.repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)

    def submessage(self, message: Message, field: Field, path: str | None) -> None:
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

    def close(self, closer: str, opener: int | None, message: Message) -> None:
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

    def check_required(self, message: Message, fields: dict[str, Field], seen: dict[str, int]) -> None:
        for field in fields.values():
            if field.required and field.name not in seen:
                raise self.error(f'{message.DESCRIPTOR.name} needs "{field.name}", which is missing.')

    def fork_field(self, message: Message, seen: dict[str, int]) -> None:
        """A field that Caffe does not have: of a fork and without effect, or refused."""
        tokens, start, name, owner = self.tokens, self.tokens.start, self.tokens.value, self.around[-1]
        spelling = forks.spelling_of(owner.name, name)
        if spelling is None:
            raise self.unknown_field()
        self.note(spelling.target or name, False, seen)
        self.colon(name)
        try:
            value = _read_spelling(tokens, name, spelling)
            taken = forks.changes_nothing(name, value, spelling)
        except ParseError:
            taken = False
        if not taken:
            hint = field_hint(name, owner).removesuffix(".") + forks.only_neutral(spelling)
            raise self.error(f'{self.place()}{owner.name} has no field "{name}"{hint}', start)
        if spelling.target:
            target = fields_of(owner)[spelling.target]
            setattr(message, target.name, target.values[dict(spelling.values)[value]])
        self.take(start, forks.meaning(owner.name, name, value, spelling))

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
        layer, inside = self.layer, any(outer.name in _LAYERS for outer in self.around)
        if layer is None or not inside or not layer.name:
            return ""
        kind = type_name(layer.type) if isinstance(layer, V1LayerParameter) else layer.type
        return f'layer "{short(layer.name)}"{f" ({short(kind)})" if kind else ""}: '

    def unknown_field(self) -> ParseError:
        name, owner = self.tokens.value, self.around[-1]
        outer = next((outer for outer in reversed(self.around[:-1]) if name in fields_of(outer)), None)
        if outer is not None:
            hint = f', the {outer.name} around it has; is a "}}" missing before it?'
        else:
            hint = field_hint(name, owner)
        place = self.place() if forks.fork_of(owner.name, name) else ""
        return self.error(f'{place}{owner.name} has no field "{short(name)}"{hint}')


# -- values ------------------------------------------------------------------------------------------------


def _refuse(tokens: Tokens, field: Field, expected: str, hint: str = "", offset: int = -1) -> Exception:
    problem = f'"{field.name}" takes {expected}, got {tokens.described()}{hint or "."}'
    return tokens.source.error(tokens.start if offset < 0 else offset, problem)


def _sign(tokens: Tokens) -> int:
    """Takes a minus sign if there is one."""
    if tokens.value != "-":
        return 1
    tokens.advance()
    return -1


def _whole(text: str) -> int | None:
    """A decimal, octal or hexadecimal number; None if it is not one, or too long to be one that fits."""
    if len(text) > 40 or not _INT.fullmatch(text):
        return None
    if text[:2] in ("0x", "0X"):
        return int(text, 16)
    return int(text, 8 if text[0] == "0" else 10)


def _read_int(tokens: Tokens, field: Field) -> int:
    start, sign = tokens.start, _sign(tokens)
    value = _whole(tokens.value) if tokens.kind == NUMBER else None
    if value is None:
        raise _refuse(tokens, field, "a whole number", _whole_hint(tokens))
    if not field.least <= sign * value <= field.most:
        problem = f'"{field.name}" takes {field.least} to {field.most}, got {sign * value}.'
        raise tokens.source.error(start, problem)
    tokens.advance()
    return sign * value


def _whole_hint(tokens: Tokens) -> str:
    """The end of the sentence for a whole number that is written as a fraction, such as 1e5, or in quotes."""
    if tokens.kind == NUMBER and len(tokens.value) <= 40 and _FLOAT.fullmatch(tokens.value):
        value = float(tokens.value.rstrip("fF"))
        return f"; write {value:.0f}." if value.is_integer() and value < 2**63 else "."
    return _unquoted_hint(tokens)


def _unquoted_hint(tokens: Tokens) -> str:
    quoted = tokens.kind == STRING and _FLOAT.fullmatch(tokens.value[1:-1].lstrip("-"))
    return "; write it without quotes." if quoted else "."


def _read_number(tokens: Tokens, field: Field) -> float:
    sign, text = _sign(tokens), tokens.value
    if tokens.kind == NUMBER and _FLOAT.fullmatch(text):
        value = float(text.rstrip("fF"))
    elif tokens.kind == NAME and text.lower() in _WORDS:
        value = _WORDS[text.lower()]
    else:
        raise _refuse(tokens, field, "a number", _unquoted_hint(tokens))
    tokens.advance()
    return float32(sign * value) if field.single else sign * value


def _read_bool(tokens: Tokens, field: Field) -> bool:
    value = _BOOLS.get(tokens.value)
    if value is None:
        plain = _BOOLS.get(tokens.value.strip("\"'").lower())
        raise _refuse(tokens, field, "true or false", "" if plain is None else f"; write {str(plain).lower()}.")
    tokens.advance()
    return value


def _read_enum(tokens: Tokens, field: Field) -> int:
    start, sign = tokens.start, _sign(tokens)
    if tokens.kind == NUMBER:
        value = _whole(tokens.value)
        if value is None or sign * value not in field.values.values():
            raise _refuse(tokens, field, _enum_choices(field), offset=start)
        value *= sign
    else:
        found = field.values.get(tokens.value) if sign > 0 else None
        if found is None:
            raise _refuse(tokens, field, _enum_choices(field), enum_hint(tokens.value, field), start)
        value = found
    tokens.advance()
    return value


def _enum_choices(field: Field) -> str:
    names = list(field.values)
    return f"one of {', '.join(names)}" if len(names) <= 12 else "one of its names"


def _read_bytes(tokens: Tokens, field: Field) -> bytes:
    """One string or several in a row, which are one."""
    if tokens.kind != STRING:
        hint = "; put it in quotes." if tokens.kind in (NAME, NUMBER) else "."
        raise _refuse(tokens, field, "a string", hint)
    pieces = []
    while tokens.kind == STRING:
        pieces.append(_unquoted(tokens))
        tokens.advance()
    return b"".join(pieces)


def _read_string(tokens: Tokens, field: Field) -> str:
    start = tokens.start
    try:
        return _read_bytes(tokens, field).decode()
    except UnicodeDecodeError:
        raise tokens.source.error(start, f'the string of "{field.name}" is not UTF-8; save it as UTF-8.') from None


def _unquoted(tokens: Tokens) -> bytes:
    """The bytes that a string stands for."""
    inner = tokens.value[1:-1].encode("utf-8", "surrogatepass")
    if b"\\" not in inner:
        return inner
    return _ESCAPE.sub(lambda match: _escaped(tokens, match), inner)


def _escaped(tokens: Tokens, match: re.Match[bytes]) -> bytes:
    octal, hexadecimal, short_code, long_code, simple = match.groups()
    code = int(octal, 8) if octal else int(hexadecimal or short_code or long_code or b"0", 16)
    if simple:
        return bytes([_SIMPLE[simple[0]]])
    if (octal or hexadecimal) and code < 256:
        return bytes([code])
    if (short_code or long_code) and code < 0x110000 and not 0xD800 <= code < 0xE000:
        return chr(code).encode()
    problem = f"strings know no escape {match[0].decode('utf-8', 'replace')}; write \\\\ for a backslash."
    raise tokens.source.error(tokens.start, problem)


_READERS: dict[str, Callable[[Tokens, Field], Any]] = {
    "int": _read_int,
    "number": _read_number,
    "bool": _read_bool,
    "enum": _read_enum,
    "string": _read_string,
    "bytes": _read_bytes,
}


def _is_fork_engine(tokens: Tokens, field: Field) -> bool:
    """Whether the present token names an engine of a fork, where Caffe has DEFAULT, CAFFE and CUDNN."""
    return field.name == "engine" and tokens.kind == NAME and forks.is_engine(tokens.value)


def _read_spelling(tokens: Tokens, name: str, spelling: Spelling) -> Any:
    """The value of a fork's field."""
    kind = spelling.kind
    field = Field(name, kind, False, False, False, -(2**63), 2**63 - 1, {}, None)
    if kind != "word":
        return _READERS[kind](tokens, field)
    if tokens.kind == STRING:
        return _read_string(tokens, field)
    word = tokens.value
    if tokens.kind != NAME:
        raise tokens.source.error(tokens.start, f'"{name}" takes a name, got {tokens.described()}.')
    tokens.advance()
    return word
