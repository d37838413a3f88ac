"""BlobProto: a blob in protobuf's binary form, read as an array over the bytes it lies in, and written in pieces.

No Python object is made of each number, either way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from pycaffe_lite.formats.reading import Unfit
from pycaffe_lite.formats.wire import (
    BYTES,
    FIXED32,
    FIXED64,
    VARINT,
    Part,
    head,
    parts,
    read_message,
    read_varint,
    signed,
    varint,
)

Values = NDArray[np.floating]

_MOST_AXES = 32

# The numbers of BlobProto's fields, the last two NVCaffe's.
_NUM, _WIDTH, _DATA, _DIFF, _SHAPE, _DOUBLE_DATA, _DOUBLE_DIFF, _RAW_TYPE, _RAW_DATA = 1, 4, 5, 6, 7, 8, 9, 10, 12
_DTYPES: dict[int, np.dtype[Any]] = {_DATA: np.dtype("<f4"), _DOUBLE_DATA: np.dtype("<f8")}
_RAW_DTYPES: dict[int, np.dtype[Any]] = {0: np.dtype("<f8"), 1: np.dtype("<f4"), 2: np.dtype("<f2")}


# -- reading -----------------------------------------------------------------------------------------------


def read_blob(path: str, what: str = "a blob") -> Values:
    """The array of a .binaryproto, such as a mean image or an infogain matrix; see `blob_of`.

    Args:
        path: the file.
        what: what it should be, for messages.

    Raises:
        FileError: the file is missing, unreadable, truncated, or not a blob.
    """
    return read_message(os.fspath(path), f"{what} (.binaryproto)", _whole)


def _whole(data: bytes) -> Values:
    values = blob_of(data, 0, len(data))
    if not values.size:
        raise Unfit("it has no values")
    return values


class _Fields:
    """What a BlobProto says.

    Attributes:
        shape: of the newer form.
        legacy: num, channels, height and width of the older one.
        values: the bytes of the values by field; where they lie, or gathered if they come in pieces.
        raw_type: the type of NVCaffe's raw values, double if it is not given.
    """

    def __init__(self) -> None:
        self.shape: list[int] = []
        self.legacy: dict[int, int] = {}
        self.values: dict[int, memoryview | bytearray] = {}
        self.raw_type = 0

    def add(self, field: int, piece: memoryview) -> None:
        before = self.values.get(field)
        if before is None:
            self.values[field] = piece
        elif isinstance(before, bytearray):
            before += piece
        else:
            self.values[field] = bytearray(before) + piece

    def dtype(self, field: int) -> np.dtype[Any]:
        if field != _RAW_DATA:
            return _DTYPES[field]
        if self.raw_type not in _RAW_DTYPES:
            raise Unfit(f"the values are raw and of the unknown type {self.raw_type}")
        return _RAW_DTYPES[self.raw_type]


def blob_of(data: bytes, start: int, stop: int) -> Values:
    """The blob that lies in data[start:stop], as a read-only view of `data` where that is possible.

    Values come as float32, float64 (double_data), or as NVCaffe wrote them. The shape is `shape`, or num x
    channels x height x width of old files, which win if both are there, as in Caffe.

    Raises:
        Malformed: it is not in protobuf's form.
        Unfit: the shape is no shape, or the values are not as many as it says.
    """
    fields = _Fields()
    for part in parts(data, start, stop):
        _take(fields, part, data)
    shape = [fields.legacy.get(i, 0) for i in range(_NUM, _WIDTH + 1)] if fields.legacy else fields.shape
    values, text = _values(fields), " x ".join(map(str, shape))
    if any(length < 0 for length in shape):
        raise Unfit(f"the shape {text} has a negative length")
    if prod(shape) != values.size:
        expected = f"as many as its shape {text} has, {prod(shape)}" if shape else "a shape"
        raise Unfit(f"there are {values.size} values, expected {expected}")
    return values.reshape(shape)


def _take(fields: _Fields, part: Part, data: bytes) -> None:
    number, wire = part.number, part.wire
    if _NUM <= number <= _WIDTH and wire == VARINT:
        fields.legacy[number] = signed(part.value)
    elif number == _SHAPE and wire == BYTES:
        fields.shape += _dims(data, part, len(fields.shape))
    elif (number, wire) in ((_DATA, FIXED32), (_DOUBLE_DATA, FIXED64)) or (
        number in (_DATA, _DOUBLE_DATA, _RAW_DATA) and wire == BYTES and part.stop > part.start
    ):
        fields.add(number, memoryview(data)[part.start : part.stop])
    elif number == _RAW_TYPE and wire == VARINT:
        fields.raw_type = part.value


def _dims(data: bytes, shape: Part, before: int) -> list[int]:
    """The lengths in a BlobShape, packed or one by one."""
    dims: list[int] = []
    for part in parts(data, shape.start, shape.stop):
        if part.number != 1:
            continue
        if part.wire == VARINT:
            dims.append(signed(part.value))
        offset = part.start
        while part.wire == BYTES and offset < part.stop and before + len(dims) <= _MOST_AXES:
            value, offset = read_varint(data, offset, part.stop)
            dims.append(signed(value))
        if before + len(dims) > _MOST_AXES:
            raise Unfit(f"the shape has more than {_MOST_AXES} axes")
    return dims


def _values(fields: _Fields) -> Values:
    field = next((f for f in (_DOUBLE_DATA, _DATA, _RAW_DATA) if f in fields.values), _DATA)
    buffer, dtype = fields.values.get(field, b""), fields.dtype(field)
    if len(buffer) % dtype.itemsize:
        raise Unfit("the values end within a number")
    values: Values = np.frombuffer(buffer, dtype)
    values.flags.writeable = False
    return values


# -- writing -----------------------------------------------------------------------------------------------


def blob_pieces(data: NDArray[Any], diff: NDArray[Any] | None = None, four_axes: bool = False) -> list[bytes]:
    """A BlobProto, in pieces; the bytes are those that protobuf itself would write.

    Args:
        data: the values; as float, or float64 as double_data.
        diff: written beside them, if there is one.
        four_axes: whether its shape is written as old files have it: num, channels, height and width.
    """
    inner = b"".join(map(varint, data.shape))
    inner = head(1, len(inner)) + inner if data.shape else b""
    shape = [head(_SHAPE, len(inner)), inner]
    doubles = data.dtype == np.float64
    pieces = [*_packed(_DOUBLE_DATA if doubles else _DATA, data)]
    if diff is not None:
        pieces += _packed(_DOUBLE_DIFF if doubles else _DIFF, diff)
    if four_axes:
        lengths = (1,) * (_WIDTH - data.ndim) + data.shape
        return [varint(number << 3 | VARINT) + varint(n) for number, n in enumerate(lengths, _NUM)] + pieces
    return shape + pieces if doubles else pieces + shape


def _packed(number: int, array: NDArray[Any]) -> Iterator[bytes]:
    """A field of packed floats in logical order, little-endian."""
    if array.size:
        values = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        yield head(number, values.nbytes)
        yield values.tobytes()


def with_blobs(message: Message, field: str, blobs: Sequence[list[bytes]]) -> list[bytes]:
    """A message whose repeated BlobProto field holds these blobs, in pieces.

    Args:
        message: its other fields.
        field: the name of the field, which is empty in the message.
        blobs: the blobs, as `blob_pieces` gives them.
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
