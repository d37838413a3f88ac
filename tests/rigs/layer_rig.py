"""A layer with its bottoms and tops, outside any net, for tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite import rng
from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.contract import Place
from pycaffe_lite.layers.registry import create
from pycaffe_lite.parallel import one_blas_thread
from pycaffe_lite.phase import TRAIN
from pycaffe_lite.proto import caffe_pb2
from pycaffe_lite.proto.text import parse

CHANNELS_LAST = (0, 2, 3, 1)


def layer_param(text: str) -> caffe_pb2.LayerParameter:
    """The LayerParameter of a text; its name is `layer` unless the text says otherwise."""
    param = parse(text, caffe_pb2.LayerParameter)
    param.name = param.name or "layer"
    return param


def with_gaps(array: np.ndarray) -> np.ndarray:
    """The same values in every second element of a longer array's last axis: a view that is not dense."""
    if array.ndim == 0:
        return array
    memory = np.full((*array.shape[:-1], 2 * array.shape[-1]), np.nan, array.dtype)
    memory[..., ::2] = array
    return memory[..., ::2]


class Rig:
    """Builds the layer of a text, and runs it as a net would.

    Each forward begins with fresh bottoms and the same seed, so that running in place or at random can be
    repeated.

    Args:
        text: the layer; its `bottom` and `top` names count only where a top is a bottom (in place).
        arrays: the bottoms' values.
        dtype: float64 for gradients.
        order: the memory order of bottoms with as many axes.
        gaps: whether the bottoms' memory is not dense.
        folder: where the layer looks for its files.
    """

    def __init__(
        self,
        text: str,
        arrays: Sequence[np.ndarray],
        *,
        phase: int = TRAIN,
        dtype: type = np.float32,
        order: tuple[int, ...] | None = None,
        gaps: bool = False,
        folder: str = "",
    ) -> None:
        param = layer_param(text)
        self.order, self.gaps = order, gaps
        self.layer = create(param, phase, Place(folder=folder, dtype=dtype))
        self.bottom = [Blob(dtype=dtype) for _ in arrays]
        named = dict(zip(param.bottom, self.bottom, strict=False))
        self.top = [named.get(name) or Blob(dtype=dtype) for name in param.top]
        self.put(arrays)
        self._fill_bottoms()
        rng.set_random_seed(1)
        self.layer.build(self.bottom, self.top)

    def put(self, arrays: Sequence[np.ndarray]) -> None:
        """Takes new bottom values; `reshape` must follow if a shape has changed."""
        self.arrays = list(arrays)

    def reshape(self) -> None:
        self._fill_bottoms()
        self.layer.reshape(self.bottom, self.top)

    def _fill_bottoms(self) -> None:
        for blob, array in zip(self.bottom, self.arrays, strict=True):
            fits = self.order is not None and len(self.order) == array.ndim
            blob.reshape(*array.shape, order=self.order if fits else None)
            if self.gaps:
                blob.data = with_gaps(array.astype(blob.dtype))
                blob.diff = with_gaps(np.zeros(array.shape, blob.dtype))
            else:
                blob.data[...] = array

    def forward(self) -> list[np.ndarray]:
        """The tops, as copies."""
        self._fill_bottoms()
        rng.set_random_seed(1)
        with one_blas_thread:
            self.layer.forward(self.bottom, self.top)
        return [blob.data.copy() for blob in self.top]

    def backward(
        self, top_diffs: Sequence[np.ndarray], propagate_down: Sequence[bool] | None = None
    ) -> list[np.ndarray]:
        """The bottoms' diffs, as copies, after a forward."""
        for blob, diff in zip(self.top, top_diffs, strict=True):
            blob.diff[...] = diff
        down = [True] * len(self.bottom) if propagate_down is None else list(propagate_down)
        with one_blas_thread:
            self.layer.backward(self.top, down, self.bottom)
        return [blob.diff.copy() for blob in self.bottom]

    def param_diffs(self) -> list[np.ndarray]:
        return [blob.diff.copy() for blob in self.layer.blobs]

    def clear_param_diffs(self) -> None:
        for blob in self.layer.blobs:
            blob.diff[...] = 0

    def set_params(self, arrays: Sequence[np.ndarray]) -> None:
        for blob, array in zip(self.layer.blobs, arrays, strict=True):
            blob.data[...] = array

    def params(self) -> list[np.ndarray]:
        return [blob.data.copy() for blob in self.layer.blobs]
