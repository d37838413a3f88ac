"""What reading and printing ask of a message type: its fields, their kinds and ranges, and how a float is rounded."""

from __future__ import annotations

import struct
from math import copysign, inf
from typing import Any, NamedTuple

# Kinds of field by their number in protobuf's descriptors. What is not here is a whole number, with a range.
_KINDS = {1: "number", 2: "number", 8: "bool", 9: "string", 11: "message", 12: "bytes", 14: "enum"}
_RANGES = {3: (-(2**63), 2**63 - 1), 4: (0, 2**64 - 1), 5: (-(2**31), 2**31 - 1), 13: (0, 2**32 - 1)}


class Field(NamedTuple):
    """One field of a message type.

    Attributes:
        kind: number, int, bool, string, bytes, enum or message.
        single: whether a number is a float32.
        least, most: the range of an int.
        values: the names of an enum.
        message: the descriptor of a message.
    """

    name: str
    kind: str
    repeated: bool
    required: bool
    single: bool
    least: int
    most: int
    values: dict[str, int]
    message: Any


def is_repeated(descriptor: Any) -> bool:
    """Whether a FieldDescriptor is of a list; protobuf 6 renamed the question and 7 dropped the old name."""
    try:
        return bool(descriptor.is_repeated)
    except AttributeError:
        return bool(descriptor.label == descriptor.LABEL_REPEATED)


def _is_required(descriptor: Any) -> bool:
    try:
        return bool(descriptor.is_required)
    except AttributeError:
        return bool(descriptor.label == descriptor.LABEL_REQUIRED)


def _read_field(descriptor: Any) -> Field:
    kind = _KINDS.get(descriptor.type, "int")
    least, most = _RANGES.get(descriptor.type, (0, 0))
    return Field(
        name=descriptor.name,
        kind=kind,
        repeated=is_repeated(descriptor),
        required=_is_required(descriptor),
        single=descriptor.type == 2,
        least=least,
        most=most,
        values={v.name: v.number for v in descriptor.enum_type.values} if kind == "enum" else {},
        message=descriptor.message_type,
    )


_fields: dict[str, dict[str, Field]] = {}


def fields_of(message: Any) -> dict[str, Field]:
    """The fields of a message type, by name."""
    name = message.full_name
    if name not in _fields:
        _fields[name] = {f.name: _read_field(f) for f in message.fields}
    return _fields[name]


def float32(value: float) -> float:
    """The nearest float32, an infinity beyond the largest. Not every protobuf rounds so by itself."""
    try:
        single: float = struct.unpack("f", struct.pack("f", value))[0]
        return single
    except OverflowError:
        return copysign(inf, value)
