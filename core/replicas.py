"""Runs of layers done image by image: a part of the batch goes through all of them before the next.

A convolution's output is as large as a cache, so it is read again soonest if the pooling behind it works on a few images
as soon as they are there. Each part of the batch has copies of the layers, which see a slice of every blob and sum
gradients of their own; these are added in the order of the parts. How a batch is cut follows from the shapes
alone, so the number of threads, which share the parts, changes no bit.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.base import BlobVec, Layer
from pycaffe_lite.parallel import parallel_for, slices

if TYPE_CHECKING:
    from pycaffe_lite.net import Net

PART_IMAGES = 16
"""Images of a part: enough for good matrix products, few enough to stay near."""

MOST_PARTS = 8
GRADIENT_BYTES = 16 << 20
"""About what the parts' own gradients may take; nets with more gain little here."""


class _Step(NamedTuple):
    """A layer's copy for one part, with its slices of the blobs."""

    layer: Layer
    bottom: list[Blob]
    top: list[Blob]


class Run:
    """Consecutive layers of a net, done part by part.

    Args:
        net: the net.
        first, last: the numbers of the first and the last layer.
    """

    def __init__(self, net: Net, first: int, last: int) -> None:
        self.net, self.first, self.last = net, first, last
        self.layers = range(first, last + 1)
        self.parts: list[list[_Step]] = []
        self._slices: list[tuple[Blob, list[Blob]]] = []
        self._params: list[tuple[Blob, list[Blob]]] = []
        self._cuts: list[slice] = []

    def forward(self) -> bool:
        """Runs the layers' forward passes; False if the batch is not worth cutting and nothing was done."""
        if self.net.reshape_changed(self.layers) or not self._cuts:
            self._build()
        if not self.parts:
            return False
        self._see_data()

        def part(p: int) -> None:
            for layer, bottom, top in self.parts[p]:
                layer.forward(bottom, top)

        parallel_for(len(self.parts), part)
        return True

    def backward(self) -> bool:
        """Runs the layers' backward passes, as far as they take part; False as for forward."""
        if not self.parts:
            return False
        plan = self.net.backward_plan
        self._see_data()
        self._see_diffs()

        def part(p: int) -> None:
            for i in reversed(self.layers):
                layer, bottom, top = self.parts[p][i - self.first]
                if plan.layers[i]:
                    for blob in layer.blobs:
                        blob.diff.fill(0)
                    layer.backward(top, plan.bottoms[i], bottom)

        with np.errstate(all="ignore"):
            parallel_for(len(self.parts), part)
            self._add_gradients()
        return True

    # -- the copies ------------------------------------------------------------------------------------------

    def _build(self) -> None:
        """Makes the copies for the present shapes."""
        net = self.net
        blobs = {id(blob): blob for i in self.layers for blob in (*net.bottoms[i], *net.tops[i])}
        batches = {blob.shape[0] if blob.shape else 0 for blob in blobs.values()}
        batch = batches.pop() if len(batches) == 1 else 0
        self._cuts = slices(batch, min(MOST_PARTS, batch // PART_IMAGES))
        params = sum(blob.count * blob.dtype.itemsize for i in self.layers for blob in net.layers[i].blobs)
        self.parts, self._slices, self._params = [], [], []
        if len(self._cuts) < 2 or params * len(self._cuts) > GRADIENT_BYTES:
            return
        sliced = {key: [_slice(blob, cut) for cut in self._cuts] for key, blob in blobs.items()}
        self._slices = [(blobs[key], parts) for key, parts in sliced.items()]
        self._see_data()
        self.parts = [[self._step(i, p, sliced) for i in self.layers] for p in range(len(self._cuts))]
        for i in self.layers:
            for j, blob in enumerate(net.layers[i].blobs):
                self._params.append((blob, [part[i - self.first].layer.blobs[j] for part in self.parts]))

    def _step(self, i: int, p: int, sliced: dict[int, list[Blob]]) -> _Step:
        layer = copy.copy(self.net.layers[i])
        layer.blobs = BlobVec(Blob(blob.shape, blob.order, blob.dtype) for blob in layer.blobs)
        bottom, top = ([sliced[id(blob)][p] for blob in blobs[i]] for blobs in (self.net.bottoms, self.net.tops))
        layer.reshape(bottom, top)
        return _Step(layer, bottom, top)

    def _see_data(self) -> None:
        """Points the slices, and the copies' parameters, to where the net's values are now."""
        for blob, parts in self._slices:
            for part, cut in zip(parts, self._cuts, strict=True):
                part.data = blob.data[cut]
        for blob, parts in self._params:
            for part in parts:
                part.data = blob.data

    def _see_diffs(self) -> None:
        wanted = {id(blob) for blob in self._with_diff()}
        for blob, parts in self._slices:
            if id(blob) in wanted:
                for part, cut in zip(parts, self._cuts, strict=True):
                    part.diff = blob.diff[cut]

    def _with_diff(self) -> Iterator[Blob]:
        plan = self.net.backward_plan
        for i in self.layers:
            if plan.layers[i]:
                yield from self.net.tops[i]
                yield from (blob for blob, down in zip(self.net.bottoms[i], plan.bottoms[i], strict=True) if down)

    def _add_gradients(self) -> None:
        """Adds the parts' gradients, in order, to the net's."""
        numbers = ((i, j) for i in self.layers for j in range(len(self.net.layers[i].blobs)))
        for (i, j), (blob, parts) in zip(numbers, self._params, strict=True):
            if self.net.backward_plan.layers[i] and self.net.layers[i].param_propagate_down[j]:
                for part in parts:
                    blob.diff[...] += part.diff


def find_runs(net: Net) -> dict[int, Run]:
    """The longest runs of at least two layers that work image by image, by the number of their first layer."""
    runs: dict[int, Run] = {}
    first = 0
    for i, layer in enumerate([*net.layers, None]):
        if layer is None or not layer.batch_local:
            if i - first >= 2:
                runs[first] = Run(net, first, i - 1)
            first = i + 1
    return runs


def _slice(blob: Blob, cut: slice) -> Blob:
    return Blob((cut.stop - cut.start, *blob.shape[1:]), blob.order, blob.dtype)
