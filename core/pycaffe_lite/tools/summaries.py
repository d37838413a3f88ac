"""What is in a source: how many records, of which shapes, with which labels, and what the first ones are."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import isnan, nan, prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite import log
from pycaffe_lite.data.images import pixels, read_bytes
from pycaffe_lite.data.open import HDF5, HDF5_LIST, IMAGE_LIST, READERS, WINDOWS, kind_of, open_kind
from pycaffe_lite.data.records import Source
from pycaffe_lite.data.sources import hdf5
from pycaffe_lite.data.sources.datum import DatumLabels, DatumSource
from pycaffe_lite.data.sources.image_list import ENDS_IN_NUMBER, find_root, listed_labels, read_image_list
from pycaffe_lite.data.sources.windows import read_window_file
from pycaffe_lite.data.transformer import read_mean
from pycaffe_lite.errors import CaffeError, FileError, MissingExtra, file_errors
from pycaffe_lite.formats.hdf5 import plausible
from pycaffe_lite.paths import find_file, working_folder
from pycaffe_lite.proto.caffe_pb2 import Datum
from pycaffe_lite.words import printable

_AT_ONCE = 256  # records
_VALUES_AT_ONCE = 1 << 20
_MOST_LABELS = 1000  # of a row, that are counted; more are an image's
_MOST_SHOWN = 1 << 28  # bytes of first records
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


def summarize(path: str, examples: int, track: Track = iter, label_dim: int | None = None, root: str = "") -> Summary:
    """Reads a source through, without decoding its images but the first.

    Args:
        path: any of the kinds of `pycaffe_lite.data.open`.
        examples: how many of the first records to keep.
        track: is given the records and gives them back; for a bar of progress.
        label_dim: how many labels a line of a list of images has, see `read_image_list`.
        root: put before the names of images in files of their own.

    Raises:
        CaffeError: the source or a record is damaged, or it is none.
    """
    kind = kind_of(path)
    summary = Summary(kind)
    if kind in READERS:
        _add_files(summary, path, examples, track, label_dim, root)
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
    """DatumLabels in words, with six digits where they are no whole numbers."""
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
        datum, labels = source.datum(value, number)
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


def _form(datum: Datum) -> str:
    if datum.encoded:
        return f"{next((name for start, name in _FORMATS if datum.data.startswith(start)), 'image')} file"
    kind = "uint8" if datum.data else "float32"
    return f"{datum.channels} x {datum.height} x {datum.width} {kind}"


def _example(source: DatumSource, key: str, datum: Datum, labels: DatumLabels, value: Any, number: int) -> Example:
    form = _form(datum)
    try:
        image = source.parse([value], [number]).images[0]
    except MissingExtra:
        return Example(key, labels, f"{form}, {len(datum.data)} bytes", None)
    if datum.encoded:
        form = f"{form}, {len(datum.data)} bytes, {form_of(image)}"
    return Example(key, labels, form, np.asarray(image))


# -- other files -------------------------------------------------------------------------------------------


def _add_files(summary: Summary, path: str, examples: int, track: Track, label_dim: int | None, root: str) -> None:
    """Adds what is in a file that is no source of a Data layer; see `summarize`."""
    path = find_file(path, what="data source")
    if summary.kind in (HDF5, HDF5_LIST):
        summary.title = "Rows of each dataset"
        for file in track([path] if summary.kind == HDF5 else hdf5.read_hdf5_list(path)):
            _add_hdf5(summary, file, examples)
    elif summary.kind == IMAGE_LIST:
        _add_images(summary, path, examples, track, label_dim, root)
    elif summary.kind == WINDOWS:
        _add_windows(summary, path, examples, track, root)
    else:
        image = read_mean(Path(path))
        summary.records = summary.forms[form_of(image)] = 1
        summary.examples = [Example("0", None, form_of(image), image)][:examples]


# -- HDF5 files --------------------------------------------------------------------------------------------


def _add_hdf5(summary: Summary, path: str, examples: int) -> None:
    with _opened_hdf5(path) as file:
        datasets = _datasets(file, hdf5.h5py_module("HDF5 files").Dataset)
        if not datasets:
            raise FileError(f"{path}: expected an HDF5 file with datasets, got one without.")
        for name, dataset in datasets.items():
            row = " x ".join(map(str, dataset.shape[1:])) or "1"
            summary.forms[printable(f"{name}: {row} {dataset.dtype.newbyteorder('=')}")] += _rows(dataset)
        data = _data_of(datasets)
        summary.records += _rows(data)
        label = datasets.get("label")
        label = label if _is_label(label) else None
        _add_examples(summary, data, label, examples)
        if label is not None:
            for rows in _pieces(path, label):
                summary.count_labels(label[rows])


@contextlib.contextmanager
def _opened_hdf5(path: str) -> Iterator[Any]:
    h5py = hdf5.h5py_module("HDF5 files")
    told = file_errors(path, "rows", lambda problem: f"expected an HDF5 file that can be read: {hdf5.reason(problem)}")
    with told, h5py.File(path, "r") as file:
        yield file


def _datasets(file: Any, kind: Any) -> dict[str, Any]:
    """All datasets by their paths, in groups, too."""
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, kind) and item.shape is not None:
            found[name] = item

    file.visititems(visit)
    return found


def _rows(dataset: Any) -> int:
    return int(dataset.shape[0]) if dataset.shape else 1


def _data_of(datasets: dict[str, Any]) -> Any:
    """The dataset `data`, or else the first one that is no label."""
    others = [dataset for name, dataset in datasets.items() if name != "label"]
    return datasets.get("data", others[0] if others else datasets["label"])


def _is_label(dataset: Any) -> bool:
    """Whether the label's values can be counted."""
    return bool(
        dataset is not None
        and dataset.shape
        and dataset.dtype.kind in "buif"
        and 1 <= prod(dataset.shape[1:]) <= _MOST_LABELS
    )


def _pieces(path: str, dataset: Any) -> Iterator[slice]:
    """Rows of a dataset, so many at a time that they take little memory; none it cannot have are read."""
    _check_plausible(path, dataset)
    step = max(1, _VALUES_AT_ONCE // prod(dataset.shape[1:]))
    for start in range(0, dataset.shape[0], step):
        yield slice(start, start + step)


def _check_plausible(path: str, dataset: Any) -> None:
    if not plausible(dataset.nbytes, dataset.id.get_storage_size()):
        raise FileError(
            f"{path}: expected the values of dataset {dataset.name}, {dataset.nbytes} bytes, got "
            f"{dataset.id.get_storage_size()} bytes in the file."
        )


def _add_examples(summary: Summary, data: Any, label: Any, examples: int) -> None:
    if not data.shape or data.dtype.kind not in "buif" or not prod(data.shape[1:]):
        return
    most = _MOST_SHOWN // (prod(data.shape[1:]) * data.dtype.itemsize)
    for row in range(min(examples - len(summary.examples), _rows(data), most)):
        values = _row_image(np.asarray(data[row]))
        labels = None
        if label is not None and row < label.shape[0]:
            labels = np.ravel(label[row]).tolist()
        summary.examples.append(Example(str(len(summary.examples)), labels, form_of(values), values))


def _row_image(row: NDArray[Any]) -> NDArray[Any]:
    """A row as C x H x W: one of two axes is H x W; of more than three, the first ones are channels."""
    if row.ndim == 2:
        return row[np.newaxis]
    if row.ndim > 3:
        return row.reshape(-1, *row.shape[-2:])
    return row.reshape(row.shape + (1,) * (3 - row.ndim))


# -- images in files of their own --------------------------------------------------------------------------


def _add_images(summary: Summary, path: str, examples: int, track: Track, label_dim: int | None, root: str) -> None:
    images = read_image_list(path, label_dim)
    names = [image.name for image in images]
    summary.records = len(images)
    summary.title = "Files"
    labels = listed_labels(images)
    summary.count_labels(labels)
    root = find_root(root, names[0], os.path.dirname(path))
    _look_for(summary, root, names, track)
    for name, some in islice(zip(names, labels, strict=True), examples):
        summary.examples.append(_file_example(root, name, np.ravel(some).tolist(), ""))


def _add_windows(summary: Summary, path: str, examples: int, track: Track, root: str) -> None:
    windows = read_window_file(path, 0.5, 0.5)
    both = np.concatenate([windows.foreground, windows.background])
    summary.records = len(windows.images)
    summary.title = "Files"
    summary.count_labels(both[:, 1])
    summary.notes.append(
        f"Windows: {len(windows.foreground)} foreground (overlap 0.5 or more), {len(windows.background)} background"
    )
    root = find_root(root, windows.images[0], os.path.dirname(path))
    _look_for(summary, root, windows.images, track)
    for number, name in enumerate(windows.images[:examples]):
        summary.examples.append(_file_example(root, name, None, f"{np.count_nonzero(both[:, 0] == number)} windows, "))


def _look_for(summary: Summary, root: str, names: Sequence[str], track: Track) -> None:
    """Counts files by their type, and those that are missing."""
    missing = []
    for name in track(names):
        if os.path.isfile(root + name):
            summary.forms[printable(f"{os.path.splitext(name)[1][1:].lower() or 'other'} file")] += 1
        else:
            summary.forms["missing"] += 1
            missing.append(name)
    if missing:
        first = printable(f"{root}{missing[0]} ({os.path.abspath(root + missing[0])})")
        hint = "; --label-dim tells how many labels a line has" if ENDS_IN_NUMBER.search(missing[0]) else ""
        summary.notes.append(
            f"Missing: {len(missing)} of {len(names)} files, the first of them {first}, looked for from "
            f"{working_folder()}{hint}"
        )


def _file_example(root: str, name: str, labels: list[float] | None, about: str) -> Example:
    image, missing = None, False
    try:
        data = read_bytes(root + name)
        form = f"{len(data)} bytes"
        image = pixels(data, None)
        form = f"{form}, {form_of(image)}"
    except MissingExtra:
        pass
    except CaffeError:
        form, missing = "no image" if os.path.isfile(root + name) else "missing", True
    return Example(printable(name), labels, about + form, image, missing)
