"""The lists that pycaffe hands out; its own are C++ vectors under these names."""

from __future__ import annotations

from typing import Any

from pycaffe_lite import blob as engine
from pycaffe_lite.pycaffe.blob import Blob


class BlobVec(list[Blob]):
    """The parameters of a layer."""

    def add_blob(self, *shape: int) -> None:
        """Appends a blob of zeros of that shape."""
        self.append(Blob(engine.Blob(shape)))


class RawBlobVec(list[Blob]):
    """Bottoms or tops, as a Python layer gets them."""


class LayerVec(list[Any]):
    """The layers of a net, in the order they run."""


class NetVec(list[Any]):
    """The test nets of a solver."""


class StringVec(list[str]):
    """Names."""


class IntVec(list[int]):
    """Numbers of blobs."""


class DtypeVec(list[float]):
    """Loss weights."""


class BoolVec(list[bool]):
    """What is to be propagated down."""
