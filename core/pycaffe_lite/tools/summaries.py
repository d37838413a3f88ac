"""What is in a source: how many records, of which shapes, with which labels, and what the first ones are."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import isnan, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite import log
from pycaffe_lite.data.open import READERS, kind_of, open_kind
from pycaffe_lite.data.records import Source
from pycaffe_lite.data.sources.datum import DatumSource
from pycaffe_lite.data.sources.datum_label import Labels, labels_of
from pycaffe_lite.errors import CaffeError, FileError, MissingExtra
from pycaffe_lite.proto.caffe_pb2 import Datum
from pycaffe_lite.words import printable

_AT_ONCE = 256
_FORMATS = ((b"\x89PNG", "PNG"), (b"\xff\xd8\xff", "JPEG"), (b"BM", "BMP"), (b"GIF8", "GIF"), (b"RIFF", "WebP"))

Track = Callable[[Iterable[Any]], Iterable[Any]]


@dataclass
class Example:
    """One of the first records.

    Attributes:
        key: its key in the database, its number in a file, its name in a list.
        labels: its labels; None where there are none.
        form: its shape and type, for example `3 x 32 x 32 uint8`, or `PNG file`.
        image: C x H x W; None for an image file that is missing or none, or cannot be decoded without OpenCV.
        missing: whether the file is missing or none.
    """

    key: str
    labels: Sequence[float] | None
    form: str
    image: NDArray[Any] | None
    missing: bool = False


@dataclass
class Summary:
    """What is in a source.

    Attributes:
        kind: one of `pycaffe_lite.data.open`.
        records: how many.
        title: what `forms` tells of.
        forms: for each shape and type, how many have it.
        labels: for each label of a record, in their order, how many have which value.
        examples: the first records.
        notes: what else is to be known, in whole sentences.
    """

    kind: str
    records: int = 0
    title: str = "Shapes"
    forms: Counter[str] = field(default_factory=Counter)
    labels: list[Counter[float]] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def count_labels(self, labels: NDArray[Any]) -> None:
        """Counts the labels of some records, n or n x k."""
        for i, column in enumerate(labels.reshape(len(labels), -1).T if labels.size else ()):
            for value, count in zip(*(part.tolist() for part in np.unique(column, return_counts=True)), strict=True):
                self._count(i, value, count)

    def count_record(self, labels: Sequence[float]) -> None:
        """Counts the labels of one record."""
        for i, label in enumerate(labels):
            self._count(i, label, 1)

    def _count(self, index: int, label: float, count: int) -> None:
        if index == len(self.labels):
            self.labels.append(Counter())
        # One nan does not equal another, yet it is the same key as itself.
        self.labels[index][nan if isnan(label) else label] += count


def summarize(path: str, examples: int, track: Track = iter, label_dim: int = 1, root: str = "") -> Summary:
    """Reads a source through, without decoding its images but the first.

    Args:
        path: any of the kinds of `pycaffe_lite.data.open`.
        examples: how many of the first records to keep.
        track: is given the records and gives them back; for a bar of progress.
        label_dim: how many labels a line of a list of images has.
        root: put before the names of images in files of their own.

    Raises:
        CaffeError: the source or a record is damaged, or it is none.
    """
    kind = kind_of(path)
    summary = Summary(kind)
    if kind in READERS:
        from pycaffe_lite.tools.summary_files import add_files

        add_files(summary, path, examples, track, label_dim, root)
        return summary
    source, labelled = _open(path, kind)
    with contextlib.closing(source):
        if isinstance(source, DatumSource):
            _add_datums(summary, source, examples, track)
        else:
            _add_arrays(summary, source, labelled, examples, track)
    return summary


def _open(path: str, kind: str) -> tuple[Source, bool]:
    """The source, and whether it has labels: images in arrays can be looked at without."""
    try:
        return open_kind(path, kind), True
    except FileError as problem:
        if kind in ("lmdb", "leveldb"):
            raise
        try:
            source = open_kind(path, kind, with_labels=False)
        except FileError:
            raise problem from None
        log.warning(f"Without labels: {problem}")
        return source, False


def form_of(image: NDArray[Any]) -> str:
    """An image's shape and type in words."""
    return f"{' x '.join(map(str, image.shape))} {image.dtype.newbyteorder('=')}"


def label_text(labels: Sequence[float]) -> str:
    """Labels in words, with six digits where they are no whole numbers."""
    return " ".join(str(int(label)) if float(label).is_integer() else f"{label:g}" for label in labels)


# -- arrays ------------------------------------------------------------------------------------------------


def _add_arrays(summary: Summary, source: Source, labelled: bool, examples: int, track: Track) -> None:
    for start in track(range(0, len(source), _AT_ONCE)):
        images, labels, _ = source.read(start, _AT_ONCE)
        summary.records += len(labels)
        summary.forms[form_of(images[0])] += len(labels)
        if labelled:
            summary.count_labels(labels)
        for i in range(min(len(labels), examples - start)):
            some = np.ravel(labels[i]).tolist() if labelled else None
            summary.examples.append(Example(str(start + i), some, form_of(images[i]), images[i]))


# -- databases ---------------------------------------------------------------------------------------------


def _add_datums(summary: Summary, source: DatumSource, examples: int, track: Track) -> None:
    keys = source.keys(examples)
    for value in track(_values(source)):
        number = summary.records
        datum, labels = _datum(source, value, number)
        summary.records += 1
        summary.forms[_form(datum) + (f", {len(labels)} labels" if len(labels) > 1 else "")] += 1
        summary.count_record(labels)
        if number < examples:
            key = printable(keys[number].decode("utf-8", "backslashreplace"))
            summary.examples.append(_example(source, key, datum, labels, value, number))


def _values(source: DatumSource) -> Iterator[Any]:
    position = 0
    while True:
        values, position = source.values(position, _AT_ONCE)
        yield from values
        if position == 0:
            return


def _datum(source: DatumSource, value: Any, number: int) -> tuple[Any, Labels]:
    try:
        datum = Datum.FromString(bytes(value))
        return datum, labels_of(datum)
    except CaffeError as problem:
        raise FileError(f"{source.where(number)}: {problem}") from None
    except Exception:
        # protobuf's own error class differs from one of its implementations to the other.
        raise FileError(f"{source.where(number)}: expected a Datum, got {len(value)} bytes that are none.") from None


def _form(datum: Any) -> str:
    if datum.encoded:
        return f"{next((name for start, name in _FORMATS if datum.data.startswith(start)), 'image')} file"
    kind = "uint8" if datum.data else "float32"
    return f"{datum.channels} x {datum.height} x {datum.width} {kind}"


def _example(source: DatumSource, key: str, datum: Any, labels: Labels, value: Any, number: int) -> Example:
    form = _form(datum)
    try:
        image = source.parse([value], [number]).images[0]
    except MissingExtra:
        return Example(key, labels, f"{form}, {len(datum.data)} bytes", None)
    if datum.encoded:
        form = f"{form}, {len(datum.data)} bytes, {form_of(image)}"
    return Example(key, labels, form, np.asarray(image))
