"""Printing a message as text, in the form that Caffe logs it and its tools write it."""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan
from typing import Any

from google.protobuf.message import Message

from pycaffe_lite.proto.schema import Field, fields_of, float32

_ESCAPES = {7: "\\007", 9: "\\t", 10: "\\n", 13: "\\r", 34: '\\"', 39: "\\'", 92: "\\\\"}


def to_text(message: Message) -> str:
    """The text of a message, as protobuf's DebugString gives it in C++; each line ends with a newline.

    Fields come in the order of their numbers, a field to a line, two spaces further in for each level. The
    text reads back to an equal message.
    """
    return "".join(f"{line}\n" for line in _lines(message, ""))


def _lines(message: Message, indent: str) -> Iterator[str]:
    fields = fields_of(message.DESCRIPTOR)
    for descriptor, value in message.ListFields():
        field = fields[descriptor.name]
        for item in value if field.repeated else (value,):
            if field.kind == "message":
                yield f"{indent}{field.name} {{"
                yield from _lines(item, indent + "  ")
                yield f"{indent}}}"
            else:
                yield f"{indent}{field.name}: {_scalar(item, field)}"


def _scalar(value: Any, field: Field) -> str:
    if field.kind == "number":
        return float_text(value) if field.single else _double_text(value)
    if field.kind == "enum":
        return next((name for name, number in field.values.items() if number == value), str(value))
    if field.kind == "bool":
        return "true" if value else "false"
    if field.kind == "int":
        return str(value)
    return f'"{_escaped(value.encode() if field.kind == "string" else value)}"'


def float_text(value: float) -> str:
    """A float32 with 6 significant digits if they read back to the same value, else with 9."""
    text = f"{value:.6g}"
    return text if isnan(value) or float32(float(text)) == value else f"{value:.9g}"


def _double_text(value: float) -> str:
    text = f"{value:.15g}"
    return text if isnan(value) or float(text) == value else f"{value:.17g}"


def _escaped(data: bytes) -> str:
    return "".join(_ESCAPES.get(c) or (chr(c) if 32 <= c < 127 else f"\\{c:03o}") for c in data)
