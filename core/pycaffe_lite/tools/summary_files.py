"""What is in files that are no source of a Data layer: HDF5 files, lists of them or of images, window files, means."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.data.images import pixels, read_bytes, read_list
from pycaffe_lite.data.mean import read_mean
from pycaffe_lite.data.open import HDF5, HDF5_LIST, IMAGE_LIST, WINDOWS
from pycaffe_lite.data.sources import hdf5
from pycaffe_lite.data.sources.image_list import ENDS_IN_NUMBER, find_root
from pycaffe_lite.data.sources.window_file import read_window_file
from pycaffe_lite.errors import CaffeError, FileError, MissingExtra, file_errors
from pycaffe_lite.formats.hdf5 import plausible
from pycaffe_lite.paths import find_file, working_folder
from pycaffe_lite.tools.summaries import Example, Summary, Track, form_of
from pycaffe_lite.words import printable

_AT_ONCE = 1 << 20  # values
_MOST_LABELS = 1000  # of a row, that are counted; more are an image's
_MOST_SHOWN = 1 << 28  # bytes of first records


def add_files(summary: Summary, path: str, examples: int, track: Track, label_dim: int, root: str) -> None:
    """Adds what is in a file of the summary's kind; see `pycaffe_lite.tools.summaries.summarize`."""
    path = find_file(path, what="data source")
    if summary.kind in (HDF5, HDF5_LIST):
        summary.title = "Rows of each dataset"
        for file in track([path] if summary.kind == HDF5 else hdf5.read_list(path)):
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
    with _opened(path) as file:
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
def _opened(path: str) -> Iterator[Any]:
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
    step = max(1, _AT_ONCE // prod(dataset.shape[1:]))
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
        values = _image(np.asarray(data[row]))
        labels = None
        if label is not None and row < label.shape[0]:
            labels = np.ravel(label[row]).tolist()
        summary.examples.append(Example(str(len(summary.examples)), labels, form_of(values), values))


def _image(row: NDArray[Any]) -> NDArray[Any]:
    """A row as C x H x W: one of two axes is H x W; of more than three, the first ones are channels."""
    if row.ndim == 2:
        return row[np.newaxis]
    if row.ndim > 3:
        return row.reshape(-1, *row.shape[-2:])
    return row.reshape(row.shape + (1,) * (3 - row.ndim))


# -- images in files of their own --------------------------------------------------------------------------


def _add_images(summary: Summary, path: str, examples: int, track: Track, label_dim: int, root: str) -> None:
    images = read_list(path, label_dim)
    names = [image.name for image in images]
    summary.records = len(images)
    summary.title = "Files"
    labels = np.array([image.label for image in images], np.float32)
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
