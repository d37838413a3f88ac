"""Gradients of several ranks: each gets the mean of all, summed while backward still computes those of lower layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pycaffe_lite.net.node import Node
from pycaffe_lite.net.parameters import Parameters
from pycaffe_lite.parallel import parallel_for, slices
from pycaffe_lite.ranks import Ranks

BUCKET = 1 << 20
"""Bytes of gradients, at least, that are summed over the ranks at a time.

benchmarks/mpi.py compares sizes, and has found no difference that stood out from the noise.
"""

LARGEST = 1 << 22
"""Bytes, at most; MPI needs as many again for each sum that it is at."""

_PIECE = 1 << 17


class Agreement(NamedTuple):
    """What all ranks know alike after an iteration.

    Attributes:
        loss: rank 0's, or the mean of all ranks.
        stop, snapshot: whether any of them has been asked for that.
    """

    loss: float
    stop: bool
    snapshot: bool


class Reduction:
    """Sums the flat array of gradients over the ranks in place, from its end, where backward begins, to its front.

    Args:
        ranks: those that train together.
        nodes: of the net.
        parameters: of the net, in one flat array.
        layer_wise: whether sums begin as soon as there are BUCKET bytes; else when backward is done, as one.
        mean_loss: whether the loss agreed upon is the mean of all ranks.
    """

    def __init__(
        self, ranks: Ranks, nodes: Sequence[Node], parameters: Parameters, layer_wise: bool, mean_loss: bool = False
    ) -> None:
        assert parameters.diff is not None
        self._ranks, self._diff, self.mean_loss = ranks, parameters.diff, mean_loss
        self._begins = _begins(nodes, parameters) if layer_wise else [0] * len(nodes)
        self._layer_wise = layer_wise
        self._end = len(self._diff)
        self._word = np.zeros(3)

    def passed(self, number: int) -> None:
        """Hears that backward has left a layer; all gradients of it and of those above it are complete."""
        if self._layer_wise and (self._end - self._begins[number]) * self._diff.itemsize >= BUCKET:
            self._start(self._begins[number])
        self._ranks.look()

    def finish(self, loss: float, stop: bool, snapshot: bool) -> Agreement:
        """Waits for all sums, and divides them by the number of ranks.

        Args:
            loss: this rank's.
            stop, snapshot: whether this rank has been asked for that.
        """
        size = self._ranks.size
        self._start(0)
        self._end = len(self._diff)
        shown = loss / size if self.mean_loss else loss if self._ranks.is_root else 0.0
        self._word[:] = shown, stop, snapshot
        self._ranks.start_sum(self._word)
        self._ranks.wait()
        parts = slices(len(self._diff), -(-len(self._diff) // _PIECE))

        def divide(i: int) -> None:
            np.multiply(self._diff[parts[i]], 1 / size, out=self._diff[parts[i]])

        if len(self._diff):
            parallel_for(len(parts), divide)
        return Agreement(float(self._word[0]), bool(self._word[1]), bool(self._word[2]))

    def _start(self, begin: int) -> None:
        """Begins to sum all from there on that has not been begun."""
        most = LARGEST // self._diff.itemsize if self._layer_wise else len(self._diff)
        while self._end > begin:
            first = max(begin, self._end - most)
            self._ranks.start_sum(self._diff[first : self._end])
            self._end = first


def _begins(nodes: Sequence[Node], parameters: Parameters) -> list[int]:
    """For each layer where in the flat array the parameters of it and those above it begin.

    One that several layers share stands with the first of them, which backward comes to last.
    """
    place = {id(blob): segment.start for blob, segment in zip(parameters.blobs, parameters.segments, strict=True)}
    begin = len(parameters.diff) if parameters.diff is not None else 0
    begins = []
    for node in reversed(nodes):
        begin = min([begin, *(place[id(blob)] for blob in node.layer.blobs if id(blob) in place)])
        begins.append(begin)
    return begins[::-1]
