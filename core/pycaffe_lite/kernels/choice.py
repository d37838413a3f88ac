"""The one place that decides whether NumPy or compiled loops do the work of the kernels.

PYCAFFE_LITE_KERNELS=numpy|numba; unset, numba where it is installed. A kernel that has a loop in `loops` asks
`compiled(dtype)` for them when it runs, and goes on with NumPy where that is None. Nothing is imported or compiled
before.

The loops are compiled for one type of values at a time, all at once, so that whatever can fail does so here, before any
work is done; numba keeps them in a cache, beside `loops` or, where that folder cannot be written, in the user's cache
folder (NUMBA_CACHE_DIR names another one). Whatever fails, there is a warning, and NumPy does the work.
"""

from __future__ import annotations

import importlib.util
import os
import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np

from pycaffe_lite import log
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.kernels import loops, tiles

VARIABLE = "PYCAFFE_LITE_KERNELS"

_lock = threading.Lock()
_chosen = ""
_compiled: dict[np.dtype, SimpleNamespace | None] = {}
_answers: dict[np.dtype, Any] = {}


def kernels() -> str:
    """Who is to do the work: "numpy" or "numba".

    Raises:
        CaffeError: PYCAFFE_LITE_KERNELS names neither, or numba where it is not installed.
    """
    wanted = _chosen or os.environ.get(VARIABLE, "")
    if wanted not in ("", "numpy", "numba"):
        raise CaffeError(f'{VARIABLE}: expected "numpy" or "numba", got "{wanted}".')
    installed = wanted != "numpy" and importlib.util.find_spec("numba") is not None
    if wanted == "numba" and not installed:
        raise CaffeError(
            f"{VARIABLE}=numba: numba is not installed; pip install 'pycaffe-lite[fast]' brings it, and without the "
            "variable NumPy does the work."
        )
    return "numba" if installed else "numpy"


def reason() -> str:
    """Why `kernels` is what it is, for people."""
    if os.environ.get(VARIABLE):
        return f"{VARIABLE} is {kernels()}"
    return "numba is installed" if kernels() == "numba" else "numba is not installed ([fast] brings it)"


def cache_folder() -> str:
    """Where the compiled loops are kept: numba's choice."""
    from numba.core.caching import FunctionCache

    return str(FunctionCache(loops.LOOPS[0].function).cache_path)


def compiled(dtype: np.dtype) -> Any:
    """The loops, compiled for values of that type, as attributes of one object; None where NumPy is to do the work."""
    try:
        return _answers[dtype]
    except KeyError:
        pass
    with _lock:
        usable = kernels() == "numba" and dtype in (np.float32, np.float64)
        if usable and dtype not in _compiled:
            _compiled[dtype] = _compile(dtype)
        answer = _answers[dtype] = _compiled[dtype] if usable else None
    return answer


def use(kernels: str) -> None:
    """As PYCAFFE_LITE_KERNELS, from the next pass on; between a forward pass and its backward it must not change."""
    global _chosen
    _chosen = kernels
    _answers.clear()


def _where() -> str:
    """What may help against a cache that cannot be read or written."""
    try:
        return f" (numba's cache is in {cache_folder()}; removing it, or another one in NUMBA_CACHE_DIR, may help)"
    except Exception:
        return ""


def _compile(dtype: np.dtype) -> SimpleNamespace | None:
    """Compiles the loops, or loads them from numba's cache."""
    begin = time.perf_counter()
    told = False
    functions = {}
    try:
        import numba

        tiles.use_vectors()
        for loop in reversed(loops.LOOPS):  # the last ones take least, so that what is said is said early
            function = numba.njit(loop.signature(dtype), nogil=True, cache=True, error_model="numpy")(loop.function)
            functions[loop.name] = function
            if function.stats.cache_misses and not told:
                log.info("Compiling the kernels, once for this machine; it takes some seconds")
                told = True
    except Exception as problem:  # of any kind: numba, LLVM, a broken cache, a folder that cannot be written
        log.warning(
            f"The compiled kernels cannot be used, so NumPy does the work: {type(problem).__name__}: "
            f"{' '.join(str(problem).split())}{_where()}"
        )
        return None
    if told:
        log.info(f"Compiled {len(functions)} kernels in {time.perf_counter() - begin:.1f} s")
    return SimpleNamespace(**functions)
