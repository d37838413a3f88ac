"""Net: layers wired by the names of their blobs, run forward and backward."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from pycaffe_lite import debug_info, log
from pycaffe_lite.blob import Blob, shape_text
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.layers import create
from pycaffe_lite.layers.base import BlobVec, Layer
from pycaffe_lite.net_backward import choose_backward
from pycaffe_lite.net_rules import filter_layers, insert_splits
from pycaffe_lite.parameters import Parameters
from pycaffe_lite.phase import TEST, TRAIN
from pycaffe_lite.proto.printer import to_text
from pycaffe_lite.proto.read import NetText, read_net


class Net:
    """A network, built from its text.

    Args:
        source: a prototxt file; or a NetText, whose paths and lines serve for errors; or a NetParameter.
        phase: TRAIN or TEST; overrides what the text says.
        level: the level of the net state, for min_level and max_level rules.
        stages: stages added to those of the text.
        weights: a .caffemodel to take the parameters from.
        dtype: float32 as in Caffe, or float64.

    pycaffe's older order Net(file, weights, phase) is understood.

    Attributes:
        name: the net's name.
        layers: the layers in the order they run.
        layer_names: their names.
        blobs: every blob by its name.
        params: for each layer that has parameters, its name -> the parameters.
        outputs: the names of the blobs no layer reads, in alphabetical order.
        inputs: the names of the blobs that Input layers make.
        parameters: the learnable parameters, see Parameters.

    Raises:
        CaffeError: for a text that cannot be built, naming file, line and layer.
    """

    def __init__(
        self,
        source: Any,
        *args: Any,
        phase: int | None = None,
        level: int = 0,
        stages: Sequence[str] | None = None,
        weights: str | None = None,
        dtype: Any = np.float32,
    ) -> None:
        for arg in args:
            if isinstance(arg, str):
                weights = arg
            elif phase is None:
                phase = int(arg)
            else:
                level = int(arg)
        text = _as_text(source)
        param = type(text.param)()
        param.CopyFrom(text.param)
        if phase is not None:
            param.state.phase = phase
            param.state.level = level
            param.state.stage.extend(stages or ())
        self._build(param, text, np.dtype(dtype))
        if weights is not None:
            self.copy_from(weights)

    # -- building ------------------------------------------------------------------------------------------

    def _build(self, param: Any, text: NetText, dtype: np.dtype) -> None:
        """Caffe's Net::Init: rules, splits, layers, the backward plan; the log lines are its own."""
        self.path = text.path
        self.folder = os.path.dirname(text.path) if text.path else ""
        self.phase = param.state.phase
        self.name = param.name
        self.dtype = dtype
        self.debug_info = param.debug_info
        locations = [text.location(i) if text.path else "" for i in range(len(param.layer))]
        kept = filter_layers(param.layer, param.state, locations)
        layers = [param.layer[i] for i in kept]
        del param.layer[:]
        param.layer.extend(layers)
        if log.enabled():
            log.info("Initializing net from parameters: \n" + to_text(param).rstrip("\n"))
        layers, locations = insert_splits(layers, [locations[i] for i in kept])

        self.layers: list[Layer] = []
        self.bottoms: list[list[Blob]] = []
        self.tops: list[list[Blob]] = []
        self.bottom_names: list[list[str]] = []
        self.top_names: list[list[str]] = []
        self.blobs: dict[str, Blob] = {}
        self.parameters = Parameters()
        self._shapes: list[list[tuple[int, ...]]] = []
        self._available: dict[str, None] = {}
        self._memory = 0
        for layer_param, location in zip(layers, locations, strict=True):
            self._append_layer(layer_param, location)
        self.backward_plan = choose_backward(self, param.force_backward)
        self.outputs = sorted(self._available)
        for name in self.outputs:
            log.info(f"This network produces output {name}")
        log.info("Network initialization done.")

    def _append_layer(self, layer_param: Any, location: str) -> None:
        """Makes one layer, wires it, builds it."""
        if not layer_param.HasField("phase"):
            layer_param.phase = self.phase
        log.info(f"Creating layer {layer_param.name}")
        layer = create(layer_param, layer_param.phase, location)
        layer.folder, layer.dtype = self.folder, self.dtype
        log.info(f"Creating Layer {layer_param.name}")
        propagate = layer_param.propagate_down
        if propagate and len(propagate) != len(layer_param.bottom):
            raise layer.error(
                f"expected no propagate_down or one for each of its {len(layer_param.bottom)} bottom(s), got {len(propagate)}."
            )
        bottom = [self._take_bottom(layer_param, name) for name in layer_param.bottom]
        top = [self._make_top(layer, i) for i in range(self._count_tops(layer))]
        self.layers.append(layer)
        self.bottoms.append(bottom)
        self.tops.append(top)
        self.bottom_names.append(list(layer_param.bottom))
        self.top_names.append(list(layer_param.top))
        layer.build(bottom, top)
        self._shapes.append([blob.shape for blob in bottom])
        self._log_layer(layer, top)
        if len(layer_param.param) > len(layer.blobs):
            raise layer.error(f"expected at most {len(layer.blobs)} param { {} }, one for each parameter, got {len(layer_param.param)}.")
        for index in range(len(layer.blobs)):
            self.parameters.append(layer, index)

    def _take_bottom(self, layer_param: Any, name: str) -> Blob:
        log.info(f"{layer_param.name} <- {name}")
        self._available.pop(name, None)
        return self.blobs[name]

    def _count_tops(self, layer: Layer) -> int:
        named = len(layer.layer_param.top)
        return max(named, layer.num_tops[0]) if layer.auto_tops else named

    def _make_top(self, layer: Layer, index: int) -> Blob:
        """A new blob for a top; the bottom's own if the names agree at the same place (in place)."""
        param = layer.layer_param
        if index >= len(param.top):
            log.info(f"{layer.name} -> (automatic)")
            return Blob(dtype=self.dtype)
        name = param.top[index]
        if index < len(param.bottom) and param.bottom[index] == name:
            log.info(f"{layer.name} -> {name} (in-place)")
            self._available[name] = None
            return self.blobs[name]
        if name in self.blobs:
            raise layer.error(f'expected a new name for top {index}, but "{name}" is already a top of another layer.')
        log.info(f"{layer.name} -> {name}")
        self.blobs[name] = Blob(dtype=self.dtype)
        self._available[name] = None
        return self.blobs[name]

    def _log_layer(self, layer: Layer, top: Sequence[Blob]) -> None:
        log.info(f"Setting up {layer.name}")
        for blob, weight in zip(top, layer.loss_weights, strict=True):
            log.info(f"Top shape: {shape_text(blob.shape)}")
            if weight:
                log.info(f"    with loss weight {log.number(weight)}")
            self._memory += blob.count * 4
        log.info(f"Memory required for data: {self._memory}")

    # -- running -------------------------------------------------------------------------------------------

    def forward(self, start: str | None = None, end: str | None = None, **inputs: Any) -> dict[str, np.ndarray]:
        """Runs the layers in order.

        Args:
            start, end: names of the first and the last layer to run; default: all.
            inputs: values for blobs, by name, written before.

        Returns:
            the outputs' data by name.
        """
        for name, values in inputs.items():
            self.blobs[name].data[...] = values
        first = self._layer_index(start) if start is not None else 0
        last = self._layer_index(end) if end is not None else len(self.layers) - 1
        self.forward_from_to(first, last)
        return {name: self.blobs[name].data for name in self.outputs}

    def forward_from_to(self, first: int, last: int) -> float:
        """Runs layers first … last; returns their weighted loss."""
        loss = 0.0
        for i in range(first, last + 1):
            layer, bottom, top = self.layers[i], self.bottoms[i], self.tops[i]
            shapes = [blob.shape for blob in bottom]
            if shapes != self._shapes[i] or layer.always_reshape:
                self._reshape_layer(i, shapes)
            layer.forward(bottom, top)
            if any(layer.loss_weights):
                loss += layer.loss(top)
            if self.debug_info:
                debug_info.forward(self, i)
        return loss

    def forward_loss(self) -> float:
        """One forward pass; returns the weighted loss."""
        return self.forward_from_to(0, len(self.layers) - 1)

    def _reshape_layer(self, i: int, shapes: list[tuple[int, ...]]) -> None:
        layer, top = self.layers[i], self.tops[i]
        before = [blob.shape for blob in top]
        layer.reshape(self.bottoms[i], top)
        self._shapes[i] = shapes
        if [blob.shape for blob in top] != before:
            layer.write_loss_weights(top)

    def reshape(self) -> None:
        """Gives every blob the shape that follows from those of the inputs."""
        for i in range(len(self.layers)):
            self._reshape_layer(i, [blob.shape for blob in self.bottoms[i]])

    def backward(self, **diffs: Any) -> None:
        """Runs the layers' backward passes, last to first, from the diffs that are there (losses: their weight).

        Args:
            diffs: values for blobs' diffs, by name, written before.
        """
        for name, values in diffs.items():
            self.blobs[name].diff[...] = values
        for i in reversed(range(len(self.layers))):
            self.backward_layer(i)
        if self.debug_info:
            debug_info.after_backward(self)

    def backward_layer(self, i: int) -> None:
        """Runs one layer's backward pass, if it takes part."""
        if self.backward_plan.layers[i]:
            self.layers[i].backward(self.tops[i], self.backward_plan.bottoms[i], self.bottoms[i])
            if self.debug_info:
                debug_info.backward(self, i)

    def forward_backward(self) -> float:
        """One pass forward and one backward; returns the weighted loss."""
        loss = self.forward_loss()
        self.backward()
        return loss

    def clear_param_diffs(self) -> None:
        """Sets the parameters' diffs to 0, as the solver does before each iteration."""
        self.parameters.clear_diffs()

    def flatten(self) -> Parameters:
        """Moves the parameters into one flat array, see Parameters; returns them."""
        self.parameters.flatten(self.layers)
        return self.parameters

    def close(self) -> None:
        """Stops the threads that read data for this net."""
        for layer in self.layers:
            layer.close()

    # -- looking in ----------------------------------------------------------------------------------------

    @property
    def layer_names(self) -> list[str]:
        return [layer.name for layer in self.layers]

    @property
    def layer_dict(self) -> dict[str, Layer]:
        return {layer.name: layer for layer in self.layers}

    @property
    def params(self) -> dict[str, BlobVec]:
        return {layer.name: layer.blobs for layer in self.layers if layer.blobs}

    @property
    def inputs(self) -> list[str]:
        return [
            name
            for layer, names in zip(self.layers, self.top_names, strict=True)
            if layer.layer_param.type == "Input"
            for name in names
        ]

    def loss_weight(self, output: str) -> float:
        """The loss weight of an output blob, 0 if it is no loss."""
        for layer, names in zip(self.layers, self.top_names, strict=True):
            if output in names:
                weight = layer.loss_weights[names.index(output)]
        return weight

    def _layer_index(self, name: str) -> int:
        if name not in self.layer_names:
            raise CaffeError(f'expected the name of a layer of net "{self.name}", got "{name}".')
        return self.layer_names.index(name)

    # -- parameters from elsewhere -------------------------------------------------------------------------

    def copy_from(self, path: str) -> None:
        """Copies parameters from a weights file by layer name (`caffe train --weights`)."""
        from pycaffe_lite.weights import copy_weights

        copy_weights(self, path)

    def save(self, path: str) -> None:
        """Writes the parameters as a binary .caffemodel, or as HDF5 if the name ends in .h5."""
        from pycaffe_lite.weights import write_weights

        write_weights(self, path)

    def share_trained_layers_with(self, other: Net) -> None:
        """Uses the parameters of the layers of the same names of another net (test nets: those of the train net)."""
        theirs = other.layer_dict
        for layer in self.layers:
            source = theirs.get(layer.name)
            if source is None:
                continue
            if len(source.blobs) != len(layer.blobs):
                raise layer.error(f"expected {len(layer.blobs)} parameters to share, the other net has {len(source.blobs)}.")
            for blob, own in zip(layer.blobs, source.blobs, strict=True):
                if blob.shape != own.shape:
                    raise layer.error(f"expected a shared parameter of shape {list(blob.shape)}, got {list(own.shape)}.")
                blob.share_data(own)

    share_with = share_trained_layers_with


def _as_text(source: Any) -> NetText:
    if isinstance(source, NetText):
        return source
    if isinstance(source, (str, os.PathLike)):
        return read_net(os.fspath(source))
    return NetText(source, "", [])
