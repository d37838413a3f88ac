"""MemoryData: batches of arrays that the caller hands over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pycaffe_lite import log
from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import told_by
from pycaffe_lite.layers.contract import Layer, register_layer


@register_layer("MemoryData")
class MemoryData(Layer):
    """Reads batches from two arrays in memory, one after the other and round again.

    Tops: data, batch_size x channels x height x width; label, batch_size x 1 x 1 x 1; float32, of any range.
    Parameters: memory_data_param { batch_size, channels, height, width }, each 1 or more. transform_param makes no
        difference to arrays, as in Caffe.

    Errors: a parameter of 0; a forward before `set_input_arrays`; arrays of another shape.
    """

    num_bottoms = (0, 0)
    num_tops = (2, 2)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.memory_data_param
        self.shape = (param.batch_size, param.channels, param.height, param.width)
        if min(self.shape) < 1:
            raise self.error(
                "expected memory_data_param { batch_size, channels, height, width } of 1 or more each, "
                f"got {list(self.shape)}."
            )
        self._data: NDArray[np.float32] | None = None
        self._labels: NDArray[np.float32] | None = None
        self._position = 0

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        with told_by(self.error):
            top[0].reshape(*self.shape)
        top[1].reshape(self.shape[0], 1, 1, 1)

    def set_input_arrays(self, data: ArrayLike, labels: ArrayLike) -> None:
        """Reads from these arrays from now on, from their beginning.

        Arrays of float32 in C order are read where they are, without a copy: they must stay as they are meanwhile.

        Args:
            data: N x channels x height x width, N a multiple of batch_size.
            labels: N, or N x 1 x 1 x 1.

        Raises:
            CaffeError: another shape, or no numbers.
        """
        values, numbers = (self._array(name, array) for name, array in (("data", data), ("labels", labels)))
        batch, *image = self.shape
        if values.shape[1:] != tuple(image) or not len(values) or len(values) % batch:
            raise self.error(
                f"expected data of shape N x {' x '.join(map(str, image))} with N a multiple of batch_size {batch}, "
                f"got shape {list(values.shape)}."
            )
        if numbers.shape not in ((len(values),), (len(values), 1, 1, 1)):
            raise self.error(f"expected {len(values)} labels, one for each image, got shape {list(numbers.shape)}.")
        if self.layer_param.HasField("transform_param"):
            log.warning(f'layer "{self.name}" (MemoryData): transform_param makes no difference to arrays.')
        self._data, self._labels, self._position = values, numbers.reshape(-1, 1, 1, 1), 0

    def _array(self, name: str, values: ArrayLike) -> NDArray[np.float32]:
        got = type(values).__name__
        try:
            array = np.asarray(values)
            if array.dtype.kind in "biuf":
                with np.errstate(over="ignore"):  # as a cast in C: infinite
                    return np.ascontiguousarray(array, np.float32)
            got = str(values.dtype) if isinstance(values, np.ndarray) else got
        except MemoryError:
            raise self.error(f"not enough memory for {name} as float32.") from None
        except (TypeError, ValueError):
            pass
        raise self.error(f"expected an array of numbers for {name}, got {got}.")

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self._data is None or self._labels is None:
            raise self.error("expected arrays to read from, got none; call net.set_input_arrays(data, labels) first.")
        rank, ranks = self.place.share_in(self.phase)
        end = self._position + self.shape[0] * ranks
        rows: slice | NDArray[np.intp] = slice(self._position, end)
        if ranks > 1:
            rows = np.arange(self._position + rank, end, ranks) % len(self._data)
        np.copyto(top[0].data, self._data[rows])
        np.copyto(top[1].data, self._labels[rows])
        self._position = end % len(self._data)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """There is nothing to propagate to."""

    def state(self) -> dict[str, int]:
        """Where the next forward reads."""
        return {"position": self._position}

    common_state = state  # all ranks that share the arrays are at one place

    def restore(self, state: dict[str, Any]) -> None:
        """Reads on where `state` was called; the arrays must be there already."""
        position = int(state.get("position", -1))
        if not 0 <= position < max(1, 0 if self._data is None else len(self._data)) or position % self.shape[0]:
            raise self.error(f"expected a state with a position in its arrays, got {state}.")
        self._position = position
