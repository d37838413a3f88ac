"""NumPy's kernels and the compiled ones, each in turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np

from pycaffe_lite.kernels import choice, loops

DTYPES = [np.dtype(np.float32), np.dtype(np.float64)]

PLAIN = SimpleNamespace(**{loop.name: loop.function for loop in loops.LOOPS})
"""The loops as plain Python."""


@contextmanager
def using(kernels: object) -> Iterator[None]:
    """What `choice` hands out meanwhile: None for NumPy's kernels, PLAIN, or what it has compiled."""
    before = dict(choice._answers)
    choice._answers.update(dict.fromkeys(DTYPES, kernels))
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        choice._answers.clear()
        choice._answers.update(before)
