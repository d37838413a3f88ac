"""The table of windows that detection is given, and the table of what it found."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from pycaffe_lite.errors import FileError
from pycaffe_lite.paths import find_file, read_text
from pycaffe_lite.words import short

COORDINATES = ("ymin", "xmin", "ymax", "xmax")

_LARGEST = 2**31 - 1


def read_windows(path: str) -> list[tuple[str, list[np.ndarray]]]:
    """The image files of a table, in the order of their first lines, each with its windows.

    Args:
        path: comma-separated lines under a header that names filename, ymin, xmin, ymax and xmax, in any order.

    Returns:
        image files, from the working folder or beside the table, and windows as four integers, ymin first.

    Raises:
        FileError: the file is missing or not such a table; the text names the line.
    """
    path = find_file(path, what="table of windows")
    reader = csv.DictReader(io.StringIO(read_text(path, "windows")), skipinitialspace=True)
    missing = [name for name in ("filename", *COORDINATES) if name not in (reader.fieldnames or ())]
    if missing:
        raise FileError(f"{path}:1: expected a header with filename and {', '.join(COORDINATES)}; no {missing[0]}.")
    found: dict[str, list[np.ndarray]] = {}
    for row in reader:
        window = _window(row, f"{path}:{reader.line_num}")
        found.setdefault(row["filename"], []).append(window)
    if not found:
        raise FileError(f"{path}: expected a line for each window under the header, got none.")
    return [(find_file(name, path, "image"), windows) for name, windows in found.items()]


def _window(row: dict[str, Any], where: str) -> np.ndarray:
    try:
        numbers = [float(row[name]) for name in COORDINATES]
    except (TypeError, ValueError):
        numbers = []
    if not row["filename"] or not numbers or not all(abs(number) <= _LARGEST for number in numbers):
        got = ", ".join(str(value) for value in row.values())
        raise FileError(f"{where}: expected a file name and four numbers of pixels, got {short(got)!r}.")
    return np.array(numbers).astype(int)


def read_names(path: str) -> list[str]:
    """The image files of a list with one a line.

    Raises:
        FileError: the file is missing, no text, or has no lines.
    """
    path = find_file(path, what="list of images")
    names = [line.strip() for line in read_text(path, "image names").splitlines() if line.strip()]
    return [find_file(name, path, "image") for name in names]


def predictions_csv(columns: dict[str, Sequence[Any]], predictions: np.ndarray) -> bytes:
    """Columns, then a column for each class, class0 first, as comma-separated text under a header.

    Args:
        columns: for each name of a column, N values.
        predictions: N x classes.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*columns, *(f"class{i}" for i in range(predictions.shape[1]))])
    for values, prediction in zip(zip(*columns.values(), strict=True), predictions, strict=True):
        writer.writerow([*values, *(f"{value:.9g}" for value in prediction)])
    return text.getvalue().encode("utf-8", "surrogateescape")


def npy_bytes(array: np.ndarray) -> bytes:
    """An array as an .npy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def detections_table(detections: list[dict[str, Any]]) -> tuple[dict[str, Sequence[Any]], np.ndarray]:
    """What `Detector` gives as columns, filename and the four coordinates, and the predictions, N x classes."""
    windows = np.array([detection["window"] for detection in detections])
    columns: dict[str, Sequence[Any]] = {"filename": [os.fspath(detection["filename"]) for detection in detections]}
    columns.update(zip(COORDINATES, windows.T.tolist(), strict=True))
    return columns, np.array([np.ravel(detection["prediction"]) for detection in detections])


def detections_npy(columns: dict[str, Sequence[Any]], predictions: np.ndarray) -> bytes:
    """A table of detections as an .npy file: records of filename, ymin, xmin, ymax, xmax and prediction."""
    names = np.array(columns["filename"], np.str_)
    kinds = [("filename", names.dtype), *((name, np.int64) for name in COORDINATES)]
    records = np.empty(len(names), [*kinds, ("prediction", np.float32, predictions.shape[1:])])
    records["prediction"] = predictions
    for name, values in columns.items():
        records[name] = values
    return npy_bytes(records)
