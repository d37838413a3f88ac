"""Reading the values of a prototxt: numbers, booleans, enums, strings."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from math import copysign, inf, nan
from typing import Any

from pycaffe_lite.proto.hints import enum_hint
from pycaffe_lite.proto.schema import Field
from pycaffe_lite.proto.tokens import NAME, NUMBER, STRING, Tokens

_INT = re.compile(r"0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*")
_FLOAT = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[fF]?")
_WORDS = {"inf": inf, "infinity": inf, "inff": inf, "nan": nan}
_BOOLS = dict.fromkeys(("true", "True", "t", "1"), True) | dict.fromkeys(("false", "False", "f", "0"), False)


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


def read_int(tokens: Tokens, field: Field) -> int:
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


def read_number(tokens: Tokens, field: Field) -> float:
    sign, text = _sign(tokens), tokens.value
    if tokens.kind == NUMBER and _FLOAT.fullmatch(text):
        value = float(text.rstrip("fF"))
    elif tokens.kind == NAME and text.lower() in _WORDS:
        value = _WORDS[text.lower()]
    else:
        raise _refuse(tokens, field, "a number", _unquoted_hint(tokens))
    tokens.advance()
    return float32(sign * value) if field.single else sign * value


def float32(value: float) -> float:
    """The nearest float32, an infinity beyond the largest. Not every protobuf rounds so by itself."""
    try:
        single: float = struct.unpack("f", struct.pack("f", value))[0]
        return single
    except OverflowError:
        return copysign(inf, value)


def read_bool(tokens: Tokens, field: Field) -> bool:
    value = _BOOLS.get(tokens.value)
    if value is None:
        plain = _BOOLS.get(tokens.value.strip("\"'").lower())
        raise _refuse(tokens, field, "true or false", "" if plain is None else f"; write {str(plain).lower()}.")
    tokens.advance()
    return value


def read_enum(tokens: Tokens, field: Field) -> int:
    start, sign = tokens.start, _sign(tokens)
    if tokens.kind == NUMBER:
        value = _whole(tokens.value)
        if value is None or sign * value not in field.values.values():
            raise _refuse(tokens, field, enum_choices(field), offset=start)
        value *= sign
    else:
        found = field.values.get(tokens.value) if sign > 0 else None
        if found is None:
            raise _refuse(tokens, field, enum_choices(field), enum_hint(tokens.value, field), start)
        value = found
    tokens.advance()
    return value


def enum_choices(field: Field) -> str:
    names = list(field.values)
    return f"one of {', '.join(names)}" if len(names) <= 12 else "one of its names"


def read_bytes(tokens: Tokens, field: Field) -> bytes:
    """One string or several in a row, which are one."""
    if tokens.kind != STRING:
        hint = "; put it in quotes." if tokens.kind in (NAME, NUMBER) else "."
        raise _refuse(tokens, field, "a string", hint)
    pieces = []
    while tokens.kind == STRING:
        pieces.append(_unquoted(tokens))
        tokens.advance()
    return b"".join(pieces)


def read_string(tokens: Tokens, field: Field) -> str:
    start = tokens.start
    try:
        return read_bytes(tokens, field).decode()
    except UnicodeDecodeError:
        raise tokens.source.error(start, f'the string of "{field.name}" is not UTF-8; save it as UTF-8.') from None


_ESCAPE = re.compile(
    rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([abfnrtv\\?'\"])|.)"
)
_SIMPLE = dict(zip(b"abfnrtv\\?'\"", b"\a\b\f\n\r\t\v\\?'\"", strict=True))


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


READERS: dict[str, Callable[[Tokens, Field], Any]] = {
    "int": read_int,
    "number": read_number,
    "bool": read_bool,
    "enum": read_enum,
    "string": read_string,
    "bytes": read_bytes,
}
