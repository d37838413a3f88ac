"""Sources whose records are serialized Datums: LMDB and LevelDB.

A Datum has one label, a whole number. Forks of Caffe for several labels, or for labels that are no classes, changed
its `optional int32 label = 5` into `repeated float label = 5`. Protobuf keeps such fields apart as unknown ones; they
are read from there.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite import log
from pycaffe_lite.data.images import decode
from pycaffe_lite.data.records import Images, Records, Source, Undecoded, label_array
from pycaffe_lite.errors import CaffeError, FileError, told_by
from pycaffe_lite.formats.wire import BYTES, FIXED32, Malformed, parts, read_varint, varint
from pycaffe_lite.proto.caffe_pb2 import Datum

Value = bytes | memoryview
DatumLabels = tuple[float, ...]
Numbers = Sequence[int] | NDArray[np.integer[Any]]
# Records of this length or more, in bytes, are used where they are; to put smaller ones together costs less.
_LARGE = 1 << 14
_LABEL_FIELD = 5
_DATA, _LABEL, _IS_ENCODED = 0x22, b"\x28", b"\x38\x01"  # tags of fields, and a whole field
_LONGEST_LABEL = 5  # bytes of a label that is read unparsed, with its tag
# An image, or the file that holds it, and its labels.
_Pair = tuple[NDArray[Any] | bytes, DatumLabels]


class DatumSource(Source):
    """Records that are serialized Datums: raw bytes, floats, or encoded images; with one label or several.

    Args:
        name: the path as the user gave it.
        color: how encoded images are decoded, see `pycaffe_lite.data.images.decode`.
    """

    def __init__(self, name: str, color: bool | None) -> None:
        self.name = name
        self._color = color
        self._layout: _Layout | None = None
        self._warned = False

    def values(self, start: int, count: int) -> tuple[list[Any], int]:
        """Serialized records, at least 1, at most `count`, and the number of the next one, 0 at the end."""
        raise NotImplementedError

    def keys(self, count: int) -> list[bytes]:
        """The keys of the first `count` records, or of all there are."""
        raise NotImplementedError

    def read(self, start: int, count: int) -> Records:
        values, after = self.values(start, count)
        return self.parse(values, range(start, start + len(values)))._replace(next=after)

    def read_undecoded(self, start: int, count: int) -> Records:
        values, after = self.values(start, count)
        records = self.parse_undecoded(values, range(start, start + len(values)))
        read = len(records.labels)
        return records._replace(next=after if read == len(values) else start + read)

    def parse(self, values: list[Any], numbers: Numbers) -> Records:
        """The records whose serialized form and numbers these are; `next` says nothing."""
        if (many := self._layout and self._layout.read(values)) is not None:
            return Records(*many, 0)
        images, pairs = [], []
        for value, number in zip(values, numbers, strict=True):
            pairs.append(self._parse(value, int(number)))
            images.append(self._decoded(pairs[-1][0], int(number)))
        return Records(images, self._label_array(pairs, numbers), 0)

    def parse_undecoded(self, values: list[Any], numbers: Numbers) -> Records:
        """As `parse`, but encoded images are left so, and it stops before a damaged record that is not the first."""
        if (many := self._layout and self._layout.read(values)) is not None:
            return Records(*many, 0)
        pairs: list[_Pair] = []
        for value, number in zip(values, numbers, strict=True):
            try:
                pairs.append(self._parse(value, int(number)))
            except CaffeError:
                if not pairs:
                    raise
                break
        images = Undecoded(len(pairs), lambda i: self._decoded(pairs[i][0], int(numbers[i])))
        return Records(images, self._label_array(pairs, numbers), 0)

    def datum(self, value: Value, record: int) -> tuple[Datum, DatumLabels]:
        """The Datum whose serialized form and number these are, and its labels.

        Raises:
            FileError: it is none, or its labels are of another type.
        """
        try:
            datum = Datum.FromString(bytes(value))
            return datum, labels_of(datum)
        except CaffeError as problem:
            raise FileError(f"{self.where(record)}: {problem}") from None
        except Exception:
            # protobuf's own error class differs from one of its implementations to the other.
            raise FileError(f"{self.where(record)}: expected a Datum, got {len(value)} bytes that are none.") from None

    def _label_array(self, pairs: list[_Pair], numbers: Numbers) -> NDArray[np.float32]:
        return label_array([labels for _, labels in pairs], lambda i: self.where(int(numbers[i])))

    def _decoded(self, image: NDArray[Any] | bytes, record: int) -> NDArray[Any]:
        if not isinstance(image, bytes):
            return image
        with told_by(lambda text: FileError(f"{self.where(record)}: {text}")):
            return decode(image, self._color)

    def _parse(self, value: Value, record: int) -> _Pair:
        """An image, perhaps an encoded one, and its labels."""
        if (encoded := _encoded_image(value)) is not None:
            return encoded
        datum, labels = self.datum(value, record)
        try:
            image = datum.data if datum.encoded else _plain_image(datum)
        except CaffeError as problem:
            raise FileError(f"{self.where(record)}: {problem}") from None
        if self._layout is None:
            self._layout = _layout_of(datum, bytes(value))
        if self._color is not None and not datum.encoded and not self._warned:
            self._warned = True
            log.warning(f"{self.where(record)}: force_color and force_gray count for encoded images only.")
        return image, labels


def _encoded_image(value: Value) -> _Pair | None:
    """Image file and label of a Datum that has these in the usual order and nothing else; None for any other."""
    if not len(value) or value[0] != _DATA:
        return None
    try:
        size, start = read_varint(value, 1, len(value))
    except Malformed:
        return None
    label = _label_in(bytes(value[start + size :]), _IS_ENCODED)
    return None if label is None else (bytes(value[start : start + size]), (label,))


def _plain_image(datum: Datum) -> NDArray[Any]:
    shape = (datum.channels, datum.height, datum.width)
    if min(shape) < 1:
        raise CaffeError(f"expected a Datum with channels, height and width above 0, got {list(shape)}.")
    if datum.data:
        values: NDArray[Any] = np.frombuffer(datum.data, np.uint8)
    else:
        values = np.array(datum.float_data, np.float32)
    if len(values) != shape[0] * shape[1] * shape[2]:
        raise CaffeError(f"expected {' x '.join(map(str, shape))} values in a Datum, got {len(values)}.")
    return values.reshape(shape)


class _Layout(NamedTuple):
    """How a serialized Datum of raw bytes is laid out: many of equal layout are read at once, unparsed.

    Attributes:
        shape: of the image, C x H x W.
        length: of the whole Datum, in bytes.
        fixed: the places of the bytes that are the same in all of them: tags and lengths.
        fixed_bytes: these bytes.
        data: where the image is.
        label: where the label is: digits in base 128, the lowest first, with 128 added to all but the last.
    """

    shape: tuple[int, int, int]
    length: int
    fixed: NDArray[np.intp]
    fixed_bytes: NDArray[np.uint8]
    data: slice
    label: slice

    def read(self, values: list[Value]) -> tuple[Images, NDArray[np.float32]] | None:
        """Images and labels, or None if a value is laid out otherwise."""
        if self.length >= _LARGE:
            return self._read_large(values)
        if set(map(len, values)) != {self.length}:
            return None
        rows = np.frombuffer(b"".join(values), np.uint8).reshape(len(values), self.length)
        digits = rows[:, self.label]
        last = digits.shape[1] - 1
        if (rows[:, self.fixed] != self.fixed_bytes).any() or digits[:, last].max() > 127:
            return None
        if last and digits[:, :last].min() < 128:
            return None
        labels = digits[:, last].astype(np.int64)
        for i in range(last - 1, -1, -1):
            labels = labels * 128 + (digits[:, i] & 127)
        return rows[:, self.data].reshape(len(rows), *self.shape), labels.astype(np.float32)

    def _read_large(self, values: list[Value]) -> tuple[Images, NDArray[np.float32]] | None:
        """As `read`, but the images stay where they are, and labels may be of several lengths."""
        start, stop = self.data.start, self.data.stop
        head, rest = self.fixed_bytes[:start].tobytes(), self.fixed_bytes[start + 1 :].tobytes()
        images, labels = [], []
        for value in values:
            label = _label_in(bytes(value[stop:]), rest)
            if label is None or value[:start] != head:
                return None
            images.append(np.frombuffer(value, np.uint8, stop - start, start).reshape(self.shape))
            labels.append(label)
        return images, np.array(labels, np.float32)


def _label_in(text: bytes, rest: bytes) -> int | None:
    """The label that the end of a Datum begins with, if nothing but `rest` follows it."""
    if text[:1] != _LABEL:
        return None
    try:
        label, end = read_varint(text, 1, min(len(text), _LONGEST_LABEL))
    except Malformed:
        return None
    return label if text[end:] == rest else None


def _layout_of(datum: Datum, value: bytes) -> _Layout | None:
    """The layout of a Datum in the usual order: channels, height, width, data, label, and perhaps encoded."""
    if not datum.data or datum.encoded or datum.label < 0 or not datum.HasField("label"):
        return None
    head = type(datum)(channels=datum.channels, height=datum.height, width=datum.width).SerializeToString()
    head += b"\x22" + varint(len(datum.data))
    label = _LABEL + varint(datum.label)
    data = slice(len(head), len(head) + len(datum.data))
    if value[: data.start] != head or value[data.stop : data.stop + len(label)] != label:
        return None
    end = data.stop + len(label)
    fixed = np.r_[0 : data.start, data.stop, end : len(value)]
    whole = np.frombuffer(value, np.uint8)
    shape = (datum.channels, datum.height, datum.width)
    return _Layout(shape, len(value), fixed, whole[fixed], data, slice(data.stop + 1, end))


# -- labels ------------------------------------------------------------------------------------------------


def labels_of(datum: Datum) -> DatumLabels:
    """The labels of a parsed Datum: one, or as many as it has floats; 0 if it has none at all.

    Raises:
        CaffeError: its label is of another type.
    """
    if datum.HasField("label"):
        return (datum.label,)
    return _floats(_unknown_fields(datum)) or (0,)


def float_labels_bytes(labels: DatumLabels) -> bytes:
    """Labels as forks of Caffe write them: what to put after, or before, a serialized Datum without label."""
    return b"".join(struct.pack("<Bf", _LABEL_FIELD << 3 | FIXED32, label) for label in labels)


def _unknown_fields(datum: Datum) -> bytes:
    """The fields that are not in the schema, serialized."""
    rest = type(datum)()
    rest.CopyFrom(datum)
    for field in datum.DESCRIPTOR.fields:
        rest.ClearField(field.name)
    return bytes(rest.SerializeToString())


def _floats(fields: bytes) -> DatumLabels:
    labels: list[float] = []
    try:
        for part in parts(fields, 0, len(fields)):
            if part.number != _LABEL_FIELD:
                continue
            size = part.stop - part.start
            if part.wire not in (FIXED32, BYTES) or size % 4:
                raise CaffeError("expected labels that are a whole number of 32 bits, or floats, got another type.")
            labels += struct.unpack_from(f"<{size // 4}f", fields, part.start)
    except Malformed:
        pass  # protobuf has taken it, so it is an odd field of somebody else's
    return tuple(labels)
