"""Rows of an array, chosen by number: taken, put and added, shared among the threads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.blob import Array
from pycaffe_lite.kernels.elementwise import PIECE
from pycaffe_lite.parallel import parallel_for, slices

Rows = NDArray[np.intp]


def take_rows(source: Array, rows: Rows, target: Array) -> None:
    """target[i] = source[rows[i]]"""

    def piece(i: int) -> None:
        cut = cuts[i]
        if dense:
            # Any mode but "raise" writes to `out` directly; the numbers have been checked.
            np.take(source, rows[cut], axis=0, out=target[cut], mode="clip")
            return
        for item in range(cut.start, cut.stop):
            np.copyto(target[item, ...], source[rows[item]])

    dense = source.flags.c_contiguous and target.flags.c_contiguous
    cuts = slices(len(rows), target.size // PIECE) if target.size else []
    parallel_for(len(cuts), piece)


def put_rows(source: Array, rows: Rows, target: Array) -> None:
    """target[rows[i]] = source[i], and 0 elsewhere; no row comes twice."""
    target.fill(0)
    target[rows] = source


def add_rows(source: Array, rows: Rows, target: Array) -> None:
    """target[rows[i]] += source[i], in the order of i."""

    def piece(i: int) -> None:
        for group in groups[cuts[i]]:
            place = target[rows[group[0]], ...]
            for item in group:
                np.add(place, source[item], out=place)

    order = np.argsort(rows, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(rows[order])) + 1) if len(rows) else []
    cuts = slices(len(groups), source.size // PIECE)
    parallel_for(len(cuts), piece)
