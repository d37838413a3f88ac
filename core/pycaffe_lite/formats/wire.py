"""Protobuf's binary form, both ways, as far as Caffe's files need it.

Reading is a walk over fields that builds nothing: only what the caller asks for is decoded, the rest is stepped over.
So a file of any fork is read, whatever it means by its other numbers, and values stay where they lie in the file's
bytes. Writing gives the bytes before a field's value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from pycaffe_lite.formats.reading import Check, Unfit, file_bytes, not_of_kind

T = TypeVar("T")

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


# -- reading -----------------------------------------------------------------------------------------------


def read_varint(data: bytes | memoryview, start: int, stop: int) -> tuple[int, int]:
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


def text_of(data: bytes, part: Part) -> str:
    """The text of a BYTES field; what is not UTF-8 in it is escaped."""
    return data[part.start : part.stop].decode("utf-8", "backslashreplace")


def parts(data: bytes, start: int, stop: int) -> Iterator[Part]:
    """The fields of the message that lies in data[start:stop], in order.

    Raises:
        Malformed: it is not a message, or reaches beyond `stop`.
    """
    while start < stop:
        tag, begin = read_varint(data, start, stop)
        wire, value = tag & 7, 0
        if wire == VARINT:
            value, end = read_varint(data, begin, stop)
        elif wire == BYTES:
            length, begin = read_varint(data, begin, stop)
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


def read_message(path: str, what: str, decode: Callable[[bytes], T], check: Check | None = None) -> T:
    """Reads a file and decodes it; whatever is wrong with it becomes one sentence.

    Args:
        path: the file.
        what: what it should be, for messages.
        decode: makes of its bytes what is wanted; may raise Malformed and Unfit.
        check: see Check.

    Raises:
        FileError: the file cannot be read, or is not what it should be.
    """
    data = file_bytes(path, what, check)
    try:
        return decode(data)
    except Malformed as problem:
        which = "is truncated, or not" if problem.truncated else "is not"
        reason = f"what begins at byte {problem.offset} is not in its form"
        raise not_of_kind(path, which, what, data, reason) from None
    except Unfit as problem:
        raise not_of_kind(path, "is not", what, data, str(problem)) from None


# -- writing -----------------------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    """A non-negative integer in groups of seven bits, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def head(number: int, length: int) -> bytes:
    """The tag and length before the bytes of field `number`."""
    return varint(number << 3 | BYTES) + varint(length)
