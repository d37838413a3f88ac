"""The one random generator of a run, Caffe's: MT19937, drawn in net order.

Every draw takes raw 32-bit words, in order, and makes float32 values of them as Caffe does, so the same seed
gives the same values to the bit. The functions of this module draw from the run's own generator; a part that
needs another, as Caffe's data layers do, makes a `Generator` and seeds it with a word of the run's.
"""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite import ziggurat
from pycaffe_lite.errors import CaffeError

Words = NDArray[np.uint32]
Floats = NDArray[np.float32]

_BLOCK = 16384  # words at a time: their arrays stay in the cache
_STATE_WORDS = 624


class Generator:
    """MT19937, and the values Caffe makes of its words.

    Args:
        seed: see `seed`.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._bits = np.random.MT19937()
        self.seed(seed)

    # -- state ---------------------------------------------------------------------------------------------

    def seed(self, seed: int | None = None) -> int:
        """Starts anew: the words that follow are those of NumPy's `RandomState(seed)`.

        Args:
            seed: its lower 32 bits count, as in Caffe; None or a negative one: from the system's entropy.

        Returns:
            the seed, also where it came from entropy, so that the run can be told again.
        """
        if seed is None or seed < 0:
            seed = int.from_bytes(os.urandom(4), "little")
        seed &= 0xFFFFFFFF
        state: Any = np.random.RandomState(seed).get_state(legacy=False)
        self._bits.state = state
        return seed

    def get_state(self) -> tuple[Words, int]:
        """The 624 words of the generator's state, and the position of the next one, 0 to 624."""
        state: Any = self._bits.state["state"]
        return state["key"], int(state["pos"])

    def set_state(self, words: NDArray, position: int) -> None:
        """Goes on where `get_state` was called.

        Raises:
            CaffeError: if that is no state of the generator.
        """
        key = np.asarray(words)
        whole = key.shape == (_STATE_WORDS,) and key.dtype.kind in "iu" and 0 <= position <= _STATE_WORDS
        if not (whole and key.min() >= 0 and 0 < key.max() <= 0xFFFFFFFF):
            raise CaffeError(
                f"A state of the random generator is {_STATE_WORDS} 32-bit words, not all 0, and a position "
                f"up to {_STATE_WORDS}, got {key.dtype} of shape {list(key.shape)} and position {position}."
            )
        state: Any = {"key": key.astype(np.uint32), "pos": int(position)}
        self._bits.state = {"bit_generator": "MT19937", "state": state}

    # -- draws ---------------------------------------------------------------------------------------------

    def word(self) -> int:
        """The next raw word, 0 to 2**32 - 1."""
        return int(self._bits.random_raw())

    def words(self, n: int) -> Words:
        """The next n raw words."""
        return self._bits.random_raw(n).astype(np.uint32)

    def uniform(self, n: int, a: float = 0.0, b: float = 1.0, out: Floats | None = None) -> Floats:
        """n values from a to b, both included; a word each, and another for one that float32 rounds above b.

        Args:
            out: a C-contiguous float32 array of n elements to write to and return; None makes one.

        Raises:
            CaffeError: unless a <= b, and both and b - a are finite in float32.
        """
        low, end = _uniform_bounds(a, b)
        result = _target(out, n, np.float32)
        flat, done = result.reshape(-1), 0
        while done < n:
            values = self.words(min(_BLOCK, n - done)).astype(np.float32)
            values *= np.float32(2.0**-32)
            values *= end - low
            values += low
            inside = values < end
            if not inside.all():
                values = values[inside]
            flat[done : done + len(values)] = values
            done += len(values)
        return result

    def normal(self, n: int, mean: float = 0.0, std: float = 1.0, out: Floats | None = None) -> Floats:
        """n values of the normal distribution, see `pycaffe_lite.ziggurat`; 1.04 words each in the mean.

        Args:
            out: a C-contiguous float32 array of n elements to write to and return; None makes one.

        Raises:
            CaffeError: unless mean and std are finite and std is above 0.
        """
        if not (math.isfinite(mean) and 0 < std < math.inf):
            raise CaffeError(f"Normal values need a finite mean and a std above 0, got mean {mean:g} and std {std:g}.")
        result = _target(out, n, np.float32)
        flat, done = result.reshape(-1), 0
        while done < n:
            # A word gives one value at most, so no word is fetched that these values would not have taken.
            values = ziggurat.normals(self.words(min(_BLOCK, n - done)), self.word)
            values *= np.float32(std)
            values += np.float32(mean)
            flat[done : done + len(values)] = values
            done += len(values)
        return result

    def bernoulli(self, n: int, p: float, out: NDArray | None = None) -> NDArray:
        """n times 1 with probability p and 0 else; a word each, but none at all if p is 0.

        Args:
            out: a C-contiguous array of n elements and any type to write to and return; None makes one of
                bool.

        Raises:
            CaffeError: if p is not a probability.
        """
        if not 0 <= p <= 1:
            raise CaffeError(f"A probability is a number from 0 to 1, got {p:g}.")
        result = _target(out, n, np.bool_)
        flat = result.reshape(-1)
        if np.float32(p) == 0:
            flat[...] = 0
            return result
        last = np.uint64(_last_true_word(p))
        for begin in range(0, n, _BLOCK):
            piece = flat[begin : begin + _BLOCK]
            np.less_equal(self._bits.random_raw(len(piece)), last, out=piece)
        return result


def _uniform_bounds(a: float, b: float) -> tuple[np.float32, np.float32]:
    """The least value, and the one next above the greatest."""
    with np.errstate(over="ignore", invalid="ignore"):
        low = np.float32(a)
        end = np.nextafter(np.float32(b), np.float32(np.inf))
        good = a <= b and np.isfinite(end - low)
    if not good:
        raise CaffeError(f"Uniform values need finite bounds, min not above max, got min {a:g} and max {b:g}.")
    return low, end


def _last_true_word(p: float) -> int:
    """The greatest word w with float32(w) <= float32(p) * 2**32; the words up to it are true."""
    limit = np.float32(p) * np.float32(2.0**32)
    if limit >= 2.0**32:
        return 2**32 - 1
    midway = (float(limit) + float(np.nextafter(limit, np.float32(np.inf)))) / 2
    word = int(midway)
    return word if np.float32(word) <= limit else word - 1


def _target(out: NDArray | None, n: int, dtype: type) -> NDArray:
    if out is None:
        return np.empty(n, dtype)
    if out.size != n or not out.flags.c_contiguous:
        raise ValueError(f"expected a C-contiguous array of {n} elements, got shape {out.shape}")
    return out


_run = Generator()

word = _run.word
words = _run.words
uniform = _run.uniform
normal = _run.normal
bernoulli = _run.bernoulli
get_state = _run.get_state
set_state = _run.set_state


def set_random_seed(seed: int | None = None) -> int:
    """Seeds the run's generator, as `caffe.set_random_seed`; see `Generator.seed`."""
    return _run.seed(seed)
