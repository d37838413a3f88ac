"""Errors that scripts catch by Python's own classes, as pycaffe raises them."""

from __future__ import annotations

import operator
import os

from pycaffe_lite.errors import CaffeError, FileError


class BadValue(CaffeError, ValueError):
    """An argument of the right kind whose value, length or shape cannot be."""


class BadType(CaffeError, TypeError):
    """An argument of the wrong kind."""


class BadName(CaffeError, AttributeError, KeyError):
    """The name of nothing there is."""

    __str__ = Exception.__str__  # KeyError's would quote the sentence


class Unaligned(CaffeError, AssertionError):
    """Coordinates of two blobs that no crop brings together."""


class UnreadableImage(FileError, OSError):
    """An image file that is missing, or is none."""


def path_text(path: object, what: str) -> str:
    """The text of a path.

    Raises:
        BadType: it is none; the sentence says what it should have been the path of.
    """
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise BadType(f"Expected the path of {what}, got {path!r}.")
    return os.fsdecode(path)


def whole_number(value: object, what: str) -> int:
    """An integer, of Python or NumPy.

    Raises:
        BadType: it is none.
    """
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise BadType(f"Expected a whole number as {what}, got {value!r}.") from None
