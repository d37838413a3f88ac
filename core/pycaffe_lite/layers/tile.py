"""Tile: a blob repeated along an axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.copying import parts
from pycaffe_lite.kernels.elementwise import elementwise
from pycaffe_lite.layers.contract import Layer, register_layer


@register_layer("Tile")
class Tile(Layer):
    """Repeats its bottom along an axis.

        y = [x, x, …]        dx = dy's part 0 + part 1 + …

    Bottom: x, any shape with at least one axis.
    Top: `tiles` times as long along `axis`; in memory as the bottom.
    Parameters: tile_param { axis: 1, negative from the end; tiles: 1 or more, must be given }.

    Errors: no tiles, or fewer than 1; an axis that the bottom does not have.

    Source: Caffe's TileLayer.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.tiles = self.layer_param.tile_param.tiles
        if self.tiles < 1:
            raise self.error(f"expected tiles of 1 or more, got {self.tiles}; set tile_param {{ tiles: … }}.")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.axis = self.canonical_axis(self.layer_param.tile_param.axis, bottom[0])
        shape = list(bottom[0].shape)
        shape[self.axis] *= self.tiles
        top[0].reshape(*shape, order=bottom[0].order)

    def _parts(self, tiled: Array) -> list[Array]:
        return parts(tiled, self.axis, [tiled.shape[self.axis] // self.tiles] * self.tiles)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        def repeat(tiled: Array, x: Array) -> None:
            for part in self._parts(tiled):
                np.copyto(part, x)

        elementwise(repeat, top[0].data, bottom[0].data, whole=self.axis)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        def add_up(tiled: Array, dx: Array) -> None:
            first, *others = self._parts(tiled)
            np.copyto(dx, first)
            for part in others:
                np.add(dx, part, out=dx)

        if propagate_down[0]:
            elementwise(add_up, top[0].diff, bottom[0].diff, whole=self.axis)
