"""The labels of a Datum: Caffe's whole number, or the floats that forks of Caffe have in its place.

Forks for several labels, or for labels that are no classes, changed Caffe's `optional int32 label = 5` into
`repeated float label = 5`. Protobuf keeps such fields apart as unknown ones; they are read from there.
"""

from __future__ import annotations

import struct
from typing import Any

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.formats.wire import BYTES, FIXED32, Malformed, parts

Labels = tuple[float, ...]

_NUMBER = 5


def labels_of(datum: Any) -> Labels:
    """The labels of a parsed Datum: one, or as many as it has floats; 0 if it has none at all.

    Raises:
        CaffeError: its label is of another type.
    """
    if datum.HasField("label"):
        return (datum.label,)
    return _floats(_unknown_fields(datum)) or (0,)


def float_labels_bytes(labels: Labels) -> bytes:
    """Labels as forks of Caffe write them: what to put after, or before, a serialized Datum without label."""
    return b"".join(struct.pack("<Bf", _NUMBER << 3 | FIXED32, label) for label in labels)


def _unknown_fields(datum: Any) -> bytes:
    """The fields that are not in the schema, serialized."""
    rest = type(datum)()
    rest.CopyFrom(datum)
    for field in datum.DESCRIPTOR.fields:
        rest.ClearField(field.name)
    return bytes(rest.SerializeToString())


def _floats(fields: bytes) -> Labels:
    labels: list[float] = []
    try:
        for part in parts(fields, 0, len(fields)):
            if part.number != _NUMBER:
                continue
            size = part.stop - part.start
            if part.wire not in (FIXED32, BYTES) or size % 4:
                raise CaffeError("expected labels that are a whole number of 32 bits, or floats, got another type.")
            labels += struct.unpack_from(f"<{size // 4}f", fields, part.start)
    except Malformed:
        pass  # protobuf has taken it, so it is an odd field of somebody else's
    return tuple(labels)
