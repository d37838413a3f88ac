"""NumPy's kernels and the compiled ones, each in turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pycaffe_lite.kernels import choice, loops

DTYPES = [np.dtype(np.float32), np.dtype(np.float64)]

PLAIN = SimpleNamespace(**{loop.name: loop.function for loop in loops.LOOPS})
"""The loops as plain Python."""


@cache
def compiled(dtype: np.dtype) -> Any:
    """The compiled loops, whatever the environment chooses; the test is skipped where there is no numba."""
    pytest.importorskip("numba")
    kernels = choice._compile(dtype)
    assert kernels is not None
    return kernels


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
