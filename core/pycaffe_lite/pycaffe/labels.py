"""What classes are called, and which of them have the highest values."""

from __future__ import annotations

import re

import numpy as np

from pycaffe_lite.errors import FileError
from pycaffe_lite.paths import find_file, read_text

_SYNSET = re.compile(r"n\d{8}\s+")


def read_labels(path: str, classes: int) -> list[str]:
    """The names of classes, one a line; of ImageNet's `n01440764 tench, Tinca tinca` the first name.

    Args:
        path: the file.
        classes: how many there have to be.

    Raises:
        FileError: the file is missing or no text, or has another number of lines.
    """
    path = find_file(path, what="labels file")
    lines = [line.strip() for line in read_text(path, "labels").splitlines() if line.strip()]
    if len(lines) != classes:
        raise FileError(f"{path}: expected a line for each of the net's {classes} classes, got {len(lines)}.")
    return [_SYNSET.sub("", line).split(",")[0] if _SYNSET.match(line) else line for line in lines]


def top_classes(prediction: np.ndarray, count: int) -> list[int]:
    """The numbers of the classes with the highest values, the highest first, the lower number first among equals."""
    return [int(i) for i in np.argsort(-prediction, kind="stable")[:count]]
