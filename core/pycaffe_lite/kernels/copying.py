"""Copies between blobs: whole, in parts, or none at all where the memory can be shared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.elementwise import outermost
from pycaffe_lite.kernels.indexing import along
from pycaffe_lite.parallel import parallel_for, slices

WORTH_SHARING = 1 << 19
"""Elements: copying is over so soon that waking a thread pays later than for arithmetic."""

PIECE = 1 << 18

_RESHAPE_TAKES_COPY = np.lib.NumpyVersion(np.__version__) >= "2.1.0"


def copy_all(pairs: Sequence[tuple[Array, Array]]) -> None:
    """target[...] = source for each pair (target, source), shared among the threads when there is much to copy.

    A source must have its target's shape.
    """
    if sum(target.size for target, _ in pairs) < WORTH_SHARING:
        for target, source in pairs:
            np.copyto(target, source)
        return
    pieces = [piece for pair in pairs for piece in _cut(*pair)]
    parallel_for(len(pieces), lambda i: np.copyto(*pieces[i]))


def _cut(target: Array, source: Array) -> Iterator[tuple[Array, Array]]:
    """A pair in matching pieces, each a run of the target's memory."""
    axis = outermost(target)
    if axis is None:
        yield target, source
        return
    for cut in slices(target.shape[axis], -(-target.size // PIECE)):
        yield target[along(axis, cut)], source[along(axis, cut)]


def parts(array: Array, axis: int, lengths: Sequence[int]) -> list[Array]:
    """Views of an array's consecutive parts along an axis."""
    return [array[along(axis, slice(a, b))] for a, b in pairwise(accumulate(lengths, initial=0))]


def common_order(blobs: Sequence[Blob]) -> tuple[int, ...] | None:
    """The memory order of the blob that takes most memory, for a blob made of all of them."""
    return max(blobs, key=lambda blob: blob.count).order


def view_as(array: Array, shape: Sequence[int]) -> Array | None:
    """The array under another shape, with the elements in the same logical order; None where that takes a copy."""
    if _RESHAPE_TAKES_COPY:
        try:
            return array.reshape(shape, copy=False)
        except ValueError:
            return None
    view = array.view()
    try:
        view.shape = tuple(shape)
    except AttributeError:
        return None
    return view
