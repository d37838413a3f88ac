"""Writing messages that hold arrays, without making a Python object of each number.

The bytes are those protobuf itself would write: fields in the order of their numbers, numbers packed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

_LENGTH_DELIMITED = 2


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
    return varint(number << 3 | _LENGTH_DELIMITED) + varint(length)


def blob_bytes(data: np.ndarray, diff: np.ndarray | None = None) -> list[bytes]:
    """A BlobProto, in pieces: data (5) and diff (6) as packed floats, shape (7).

    float64 goes as double_data (8) and double_diff (9).
    """
    shape = b"".join(varint(length) for length in data.shape)
    inner = head(1, len(shape)) + shape if data.shape else b""
    doubles = data.dtype == np.float64
    arrays = [(8 if doubles else 5, data)] + ([(9 if doubles else 6, diff)] if diff is not None else [])
    pieces = [piece for number, array in arrays for piece in _packed(number, array)]
    shape_pieces = [head(7, len(inner)), inner]
    return shape_pieces + pieces if doubles else pieces + shape_pieces


def _packed(number: int, array: np.ndarray) -> Iterator[bytes]:
    """A field of packed floats in logical order, little-endian."""
    if array.size:
        values = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        yield head(number, values.nbytes)
        yield values.tobytes()


def with_blobs(message: Any, field: str, blobs: Sequence[list[bytes]]) -> list[bytes]:
    """A message whose repeated BlobProto field holds these blobs, in pieces.

    Args:
        message: its other fields.
        field: the name of the field, which is empty in the message.
        blobs: the blobs, as `blob_bytes` gives them.
    """
    number = message.DESCRIPTOR.fields_by_name[field].number
    below, above = type(message)(), type(message)()
    below.CopyFrom(message)
    above.CopyFrom(message)
    for descriptor, _ in message.ListFields():
        (above if descriptor.number < number else below).ClearField(descriptor.name)
    pieces = [below.SerializeToString(deterministic=True)]
    for blob in blobs:
        pieces += [head(number, sum(map(len, blob))), *blob]
    return [*pieces, above.SerializeToString(deterministic=True)]
