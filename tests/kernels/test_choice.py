"""Who does the work of the kernels: what the environment says, and what is done where numba fails."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import numpy as np
import pytest

from pycaffe_lite import log
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.kernels import choice, tiles

FLOAT = np.dtype(np.float32)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing chosen and nothing compiled yet, for this test alone."""
    monkeypatch.delenv(choice.VARIABLE, raising=False)
    monkeypatch.setattr(choice, "_chosen", "")
    monkeypatch.setattr(choice, "_compiled", {})
    monkeypatch.setattr(choice, "_answers", {})


def test_numpy_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(choice.VARIABLE, "numpy")
    assert choice.kernels() == "numpy"
    assert choice.compiled(FLOAT) is None


def test_another_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(choice.VARIABLE, "cuda")
    with pytest.raises(CaffeError, match='expected "numpy" or "numba", got "cuda"'):
        choice.compiled(FLOAT)


def test_without_numba_numpy_does_the_work_unless_numba_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert choice.compiled(FLOAT) is None
    monkeypatch.setenv(choice.VARIABLE, "numba")
    with pytest.raises(CaffeError, match=r"numba is not installed; pip install 'pycaffe-lite\[fast\]'"):
        choice.kernels()


def test_a_numba_that_fails_is_warned_of_and_numpy_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = ModuleType("numba")

    def njit(*arguments: object, **options: object) -> None:
        raise RuntimeError("cannot cache function:\nno locator available")

    broken.njit = njit  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "numba", broken)
    monkeypatch.setattr(tiles, "use_vectors", lambda: None)  # which needs more of numba than there is here
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    lines: list[str] = []
    monkeypatch.setattr(log, "_write", lines.append)
    monkeypatch.setattr(log, "_least", "W")
    assert choice.compiled(FLOAT) is None
    assert choice.compiled(FLOAT) is None
    (line,) = lines
    assert "so NumPy does the work: RuntimeError: cannot cache function: no locator available" in line


def test_use_chooses_for_this_process() -> None:
    choice.use("numpy")
    assert choice.kernels() == "numpy"
    with pytest.raises(CaffeError):
        choice.use("all")
        choice.kernels()
