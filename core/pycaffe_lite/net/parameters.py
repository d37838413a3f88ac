"""The parameters of a net: who owns them, their multipliers, and the one array they live in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pycaffe_lite import log
from pycaffe_lite.blob import Blob, shape_text
from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.memory import aligned_bytes
from pycaffe_lite.proto.caffe_pb2 import ParamSpec

ALIGNMENT = 16
"""Each parameter begins at a multiple of that many elements: a cache line of float32."""


class Parameters:
    """The learnable parameters of a net, each once, in the order of the layers.

    Attributes:
        blobs: the parameters; one that several layers share stands here once.
        lr_mult, decay_mult: for each, what the solver's rate and weight decay are multiplied with.
        names: for each, `layer/index`, for messages.
        data, diff: after `flatten`, all parameters and all their diffs as flat arrays in which each blob is a
            view, in the blob's own memory order; unused elements between them stay 0.
        segments: the slice of each parameter in those arrays.
    """

    def __init__(self) -> None:
        self.blobs: list[Blob] = []
        self.names: list[str] = []
        self.lr_mult: list[float] = []
        self.decay_mult: list[float] = []
        self.segments: list[slice] = []
        self.data: np.ndarray | None = None
        self.diff: np.ndarray | None = None
        self._owners: dict[str, tuple[Layer, int, int]] = {}
        self._explicit: list[set[str]] = []
        self._sharers: list[tuple[Blob, Blob]] = []

    def append(self, layer: Layer, index: int) -> None:
        """Takes in parameter `index` of a layer that has just been built."""
        specs = layer.layer_param.param
        spec = specs[index] if index < len(specs) else None
        name = spec.name if spec is not None else ""
        if spec is not None and name in self._owners:
            self._share(layer, index, spec, *self._owners[name])
            return
        if name:
            self._owners[name] = (layer, index, len(self.blobs))
        self.blobs.append(layer.blobs[index])
        self.names.append(f"{layer.name}/{index}")
        self.lr_mult.append(spec.lr_mult if spec is not None else layer.default_lr_mult)
        self.decay_mult.append(spec.decay_mult if spec is not None else 1.0)
        self._explicit.append(_given(spec))

    def _share(self, layer: Layer, index: int, spec: ParamSpec, owner: Layer, owner_index: int, learnable: int) -> None:
        """Makes a parameter use the memory of the first one of its name."""
        blob, own = layer.blobs[index], owner.blobs[owner_index]
        log.info(
            f"Sharing parameters '{spec.name}' owned by layer '{owner.name}', param index {owner_index}", "net.cpp:467"
        )
        permissive = spec.share_mode == spec.PERMISSIVE
        if (blob.count != own.count) if permissive else (blob.shape != own.shape):
            raise layer.error(
                f"expected its parameter {index}, shared as '{spec.name}', to have the "
                f'{"count" if permissive else "shape"} of the one of layer "{owner.name}", {shape_text(own.shape)}, '
                f"got {shape_text(blob.shape)}."
            )
        self._sharers.append((own, blob))
        layer.shares[index] = own
        if blob.shape != own.shape and own.order is not None:
            # Only plain memory can be read under two shapes.
            values = own.data
            own.reshape(*own.shape)
            own.data[...] = values
        self._share_memory()
        self._merge_multipliers(layer, spec, learnable)

    def _share_memory(self) -> None:
        """Lets every shared blob read and write its owner's arrays."""
        for own, blob in self._sharers:
            blob.reshape(*blob.shape, order=own.order if blob.shape == own.shape else None)
            blob.share_data(own)
            blob.share_diff(own)

    def _merge_multipliers(self, layer: Layer, spec: ParamSpec, learnable: int) -> None:
        """The first user that gives a multiplier decides it; another one must not differ."""
        for field, values in (("lr_mult", self.lr_mult), ("decay_mult", self.decay_mult)):
            if not spec.HasField(field):
                continue
            given = getattr(spec, field)
            if field in self._explicit[learnable] and values[learnable] != given:
                raise layer.error(
                    f"expected {field} {values[learnable]:g} for the parameter shared as '{spec.name}', "
                    f"as given before, got {given:g}."
                )
            values[learnable] = given
            self._explicit[learnable].add(field)

    def follow(self, layers: Sequence[Layer]) -> None:
        """Takes in what layers have made in the place of their parameters, as a BN does that was not what it seemed."""
        known = {id(blob) for blob in (*self.blobs, *(blob for _, blob in self._sharers))}
        for layer in layers:
            if all(id(blob) in known for blob in layer.blobs):
                continue
            kept = [i for i, name in enumerate(self.names) if name.rpartition("/")[0] != layer.name]
            lists: tuple[list[Any], ...] = (self.blobs, self.names, self.lr_mult, self.decay_mult, self._explicit)
            for values in lists:
                values[:] = [values[i] for i in kept]
            for index in range(len(layer.blobs)):
                self.append(layer, index)
            layer.param_propagate_down = [False] * len(layer.blobs)

    def flatten(self) -> None:
        """Moves all parameters, and their diffs, into one array each; the blobs become views of them."""
        if self.data is not None:
            return
        end = 0
        for blob in self.blobs:
            self.segments.append(slice(end, end + blob.count))
            end += -(-blob.count // ALIGNMENT) * ALIGNMENT
        dtype = self.blobs[0].dtype if self.blobs else np.dtype(np.float32)
        self.data, self.diff = (aligned_bytes(end * dtype.itemsize).view(dtype) for _ in range(2))
        for blob, segment in zip(self.blobs, self.segments, strict=True):
            blob.move_to(self.data[segment], self.diff[segment])
        self._share_memory()

    def clear_diffs(self) -> None:
        """Sets all parameter diffs to 0."""
        if self.diff is not None:
            self.diff.fill(0)
            return
        for blob in self.blobs:
            if blob.has_diff:
                blob.diff.fill(0)


def _given(spec: ParamSpec | None) -> set[str]:
    return {field for field in ("lr_mult", "decay_mult") if spec is not None and spec.HasField(field)}
