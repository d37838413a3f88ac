"""What is in a source: how many records, of which shapes, with which labels, and what the first ones are."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite import log
from pycaffe_lite.data.datum import DatumSource
from pycaffe_lite.data.kinds import kind_of, open_kind
from pycaffe_lite.data.source import Source
from pycaffe_lite.errors import FileError, MissingExtra
from pycaffe_lite.proto.caffe_pb2 import Datum
from pycaffe_lite.proto.source import printable

_AT_ONCE = 256
_FORMATS = ((b"\x89PNG", "PNG"), (b"\xff\xd8\xff", "JPEG"), (b"BM", "BMP"), (b"GIF8", "GIF"), (b"RIFF", "WebP"))

Track = Callable[[Iterable[Any]], Iterable[Any]]


@dataclass
class Example:
    """One of the first records.

    Attributes:
        key: its key in the database, its number in an IDX file.
        label: its label; None where there are none.
        form: its shape and type, for example `3 x 32 x 32 uint8`, or `PNG file`.
        image: C x H x W; None for an image file that cannot be decoded without OpenCV.
    """

    key: str
    label: int | None
    form: str
    image: NDArray[Any] | None


@dataclass
class Summary:
    """What is in a source.

    Attributes:
        kind: lmdb, leveldb or idx.
        records: how many.
        forms: for each shape and type, how many have it.
        labels: for each label, how many have it.
        examples: the first records.
    """

    kind: str
    records: int = 0
    forms: Counter[str] = field(default_factory=Counter)
    labels: Counter[int] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)


def summarize(path: str, examples: int, track: Track = iter) -> Summary:
    """Reads a source through, without decoding its images but the first.

    Args:
        path: an LMDB, a LevelDB or an IDX file of images.
        examples: how many of the first records to keep.
        track: is given the records and gives them back; for a bar of progress.

    Raises:
        CaffeError: the source or a record is damaged, or it is none.
    """
    kind = kind_of(path)
    summary = Summary(kind)
    source, labelled = _open_idx(path) if kind == "idx" else (open_kind(path, kind), True)
    with contextlib.closing(source):
        if isinstance(source, DatumSource):
            _add_datums(summary, source, examples, track)
        else:
            _add_arrays(summary, source, labelled, examples, track)
    return summary


def _open_idx(path: str) -> tuple[Source, bool]:
    """The source, and whether it has labels: the images can be looked at without."""
    try:
        return open_kind(path, "idx"), True
    except FileError as problem:
        source = open_kind(path, "idx", with_labels=False)
        log.warning(f"Without labels: {problem}")
        return source, False


def form_of(image: NDArray[Any]) -> str:
    """An image's shape and type in words."""
    return f"{' x '.join(map(str, image.shape))} {image.dtype.newbyteorder('=')}"


# -- IDX files ---------------------------------------------------------------------------------------------


def _add_arrays(summary: Summary, source: Source, labelled: bool, examples: int, track: Track) -> None:
    for start in track(range(0, len(source), _AT_ONCE)):
        images, labels, _ = source.read(start, _AT_ONCE)
        summary.records += len(labels)
        summary.forms[form_of(images[0])] += len(labels)
        if labelled:
            summary.labels.update(labels.astype(int).tolist())
        for i in range(min(len(labels), examples - start)):
            label = int(labels[i]) if labelled else None
            summary.examples.append(Example(str(start + i), label, form_of(images[i]), images[i]))


# -- databases ---------------------------------------------------------------------------------------------


def _add_datums(summary: Summary, source: DatumSource, examples: int, track: Track) -> None:
    keys = source.keys(examples)
    for value in track(_values(source)):
        number = summary.records
        datum = _datum(source, value, number)
        summary.records += 1
        summary.forms[_form(datum)] += 1
        summary.labels[datum.label] += 1
        if number < examples:
            key = printable(keys[number].decode("utf-8", "backslashreplace"))
            summary.examples.append(_example(source, key, datum, value, number))


def _values(source: DatumSource) -> Iterator[Any]:
    position = 0
    while True:
        values, position = source.values(position, _AT_ONCE)
        yield from values
        if position == 0:
            return


def _datum(source: DatumSource, value: Any, number: int) -> Any:
    try:
        return Datum.FromString(bytes(value))
    except Exception:
        # protobuf's own error class differs from one of its implementations to the other.
        raise FileError(f"{source.where(number)}: expected a Datum, got {len(value)} bytes that are none.") from None


def _form(datum: Any) -> str:
    if datum.encoded:
        return f"{next((name for start, name in _FORMATS if datum.data.startswith(start)), 'image')} file"
    kind = "uint8" if datum.data else "float32"
    return f"{datum.channels} x {datum.height} x {datum.width} {kind}"


def _example(source: DatumSource, key: str, datum: Any, value: Any, number: int) -> Example:
    form = _form(datum)
    try:
        image = source.parse([value], [number]).images[0]
    except MissingExtra:
        return Example(key, datum.label, f"{form}, {len(datum.data)} bytes", None)
    if datum.encoded:
        form = f"{form}, {len(datum.data)} bytes, {form_of(image)}"
    return Example(key, datum.label, form, np.asarray(image))
