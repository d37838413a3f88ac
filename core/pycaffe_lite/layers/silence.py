"""Silence: takes blobs that nobody else wants."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.contract import Layer, register_layer


@register_layer("Silence")
class Silence(Layer):
    """Uses its bottoms up, so that they are not printed as outputs of the net; their derivative is 0.

    Bottoms: one or more, any shape.
    Tops: none.
    """

    num_bottoms = (1, None)
    num_tops = (0, 0)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Nothing to shape."""

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Nothing to do."""

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        for wanted, blob in zip(propagate_down, bottom, strict=True):
            if wanted:
                blob.diff.fill(0)
