"""Errors that scripts catch by Python's own classes, as pycaffe raises them."""

from __future__ import annotations

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
