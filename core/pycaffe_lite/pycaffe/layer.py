"""Layers as pycaffe shows them in `net.layers`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pycaffe_lite import blob as engine
from pycaffe_lite.layers import contract
from pycaffe_lite.layers.python import PythonLayer
from pycaffe_lite.pycaffe.blob import Blob, Lender
from pycaffe_lite.pycaffe.vectors import BlobVec


def layer_of(inner: contract.Layer, lender: Lender) -> Any:
    """What `net.layers` shows for a layer: the user's own object for a Python layer, else a LayerView."""
    return inner.user if isinstance(inner, PythonLayer) else LayerView(inner, lender)


class LayerView:
    """A layer of a net.

    Attributes:
        inner: the engine's layer; what is not said here is looked for in it.
        blobs: the parameters.
    """

    def __init__(self, inner: contract.Layer, lender: Lender) -> None:
        self.inner = inner
        self.blobs = BlobVec(lender.show(blob) for blob in inner.blobs)

    @property
    def type(self) -> str:
        """The layer's type, such as "Convolution"."""
        return str(self.inner.layer_param.type)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Reads the layer's parameters for these bottoms and tops; a net has done so already."""
        self.inner.setup(*_inner(bottom, top))

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Gives the tops the shapes that follow from the bottoms'."""
        self.inner.reshape(*_inner(bottom, top))

    def __getattr__(self, name: str) -> Any:
        if name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)

    def __repr__(self) -> str:
        return f"<{self.type} layer {self.inner.name!r}>"


def _inner(*lists: Sequence[Blob]) -> list[list[engine.Blob]]:
    return [[blob.inner for blob in blobs] for blobs in lists]
