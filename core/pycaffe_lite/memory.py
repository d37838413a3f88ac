"""Memory for arrays: aligned to cache lines, and for passing results."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from math import prod

import numpy as np

_local = threading.local()


def scratch(name: str, shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
    """Memory of the calling thread for a passing result, uninitialized.

    The same name gives the same memory again, in every layer: what was there before is gone. It grows to the
    largest size asked for and is never given back.
    """
    pool = _local.__dict__
    nbytes = prod(shape) * dtype.itemsize
    memory = pool.get(name)
    if memory is None or memory.nbytes < nbytes:
        memory = pool[name] = aligned_bytes(nbytes)
    return memory[:nbytes].view(dtype).reshape(shape)


def aligned_bytes(nbytes: int) -> np.ndarray:
    """Zeroed bytes that begin at a cache line, so that vector loads do not straddle two."""
    memory = np.zeros(nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + nbytes]
