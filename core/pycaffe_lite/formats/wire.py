"""Protobuf's binary form, as far as files of weights need it: a walk over fields that builds nothing.

Only what the caller asks for is decoded, the rest is stepped over: a file of any fork is read, whatever it
means by its other numbers, and values stay where they lie in the file's bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class Malformed(Exception):
    """Bytes that are not in this form.

    Attributes:
        truncated: whether they only end too early.
    """

    def __init__(self, offset: int, truncated: bool = False) -> None:
        super().__init__(offset)
        self.offset = offset
        self.truncated = truncated


class Part(NamedTuple):
    """One field: its number, its wire type, where its value lies, and for a VARINT the value itself."""

    number: int
    wire: int
    start: int
    stop: int
    value: int


def varint(data: bytes, start: int, stop: int) -> tuple[int, int]:
    """Reads an unsigned number of at most 64 bits; returns it and where it ends."""
    value = 0
    for i in range(start, min(start + 10, stop)):
        byte = data[i]
        value |= (byte & 0x7F) << 7 * (i - start)
        if byte < 0x80:
            return value & (2**64 - 1), i + 1
    raise Malformed(start, truncated=start + 10 > stop)


def signed(value: int) -> int:
    """The int32 or int64 that a varint stands for."""
    return value - 2**64 if value >= 2**63 else value


def parts(data: bytes, start: int, stop: int) -> Iterator[Part]:
    """The fields of the message that lies in data[start:stop], in order.

    Raises:
        Malformed: it is not a message, or reaches beyond `stop`.
    """
    while start < stop:
        tag, begin = varint(data, start, stop)
        wire, value = tag & 7, 0
        if wire == VARINT:
            value, end = varint(data, begin, stop)
        elif wire == BYTES:
            length, begin = varint(data, begin, stop)
            end = begin + length
        elif wire in (FIXED32, FIXED64):
            end = begin + (4 if wire == FIXED32 else 8)
        else:
            raise Malformed(start)
        if tag < 8:
            raise Malformed(start)
        if end > stop:
            raise Malformed(start, truncated=True)
        yield Part(tag >> 3, wire, begin, end, value)
        start = end
