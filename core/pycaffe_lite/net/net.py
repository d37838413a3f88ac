"""Net: layers wired by the names of their blobs, run forward and backward."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from pycaffe_lite import log
from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import CaffeError, ShapeError
from pycaffe_lite.layers.contract import BlobVec, Layer
from pycaffe_lite.net import watch as debug_info
from pycaffe_lite.net.backward import choose_backward
from pycaffe_lite.net.build import build_layers
from pycaffe_lite.net.parameters import Parameters
from pycaffe_lite.net.passes import Chain, find_chains, steps
from pycaffe_lite.net.weights import copy_weights, share_layers, write_weights
from pycaffe_lite.proto.read import NetText, read_net
from pycaffe_lite.words import nearest


class Net:
    """A network, built from its text.

    Args:
        source: a prototxt file; or a NetText, whose paths and lines serve for errors; or a NetParameter.
        args: pycaffe's positional orders: phase, level, stages, weights; or the older weights, phase.
        phase: TRAIN or TEST; overrides what the text says.
        level: the level of the net state, for min_level and max_level rules.
        stages: stages added to those of the text.
        weights: a .caffemodel to take the parameters from.
        dtype: float32 as in Caffe, or float64.

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
            if isinstance(arg, (str, os.PathLike)):
                weights = os.fspath(arg)
            elif isinstance(arg, (list, tuple)):
                stages = arg
            elif arg is not None and phase is None:
                phase = int(arg)
            elif arg is not None:
                level = int(arg)
        text = _as_text(source)
        param = type(text.param)()
        param.CopyFrom(text.param)
        if phase is not None:
            param.state.phase = phase
            param.state.level = level
            param.state.stage.extend(stages or ())
        self.path = text.path
        self.folder = (os.path.dirname(text.path) or os.curdir) if text.path else ""
        self.phase = param.state.phase
        self.name = param.name
        self.dtype = np.dtype(dtype)
        self.debug_info = param.debug_info
        self.layers: list[Layer] = []
        self.bottoms: list[list[Blob]] = []
        self.tops: list[list[Blob]] = []
        self.bottom_names: list[list[str]] = []
        self.top_names: list[list[str]] = []
        self.blobs: dict[str, Blob] = {}
        self.bottom_shapes: list[list[tuple[int, ...]]] = []
        self.parameters = Parameters()
        self.chains: dict[int, Chain] = {}
        try:
            self.outputs = build_layers(self, param, text)
            self.backward_plan = choose_backward(self, param.force_backward)
            self.chains = find_chains(self)
            for name in self.outputs:
                log.info(f"This network produces output {name}")
            log.info("Network initialization done.")
            if weights is not None:
                self.copy_from(weights)
        except BaseException:
            self.close()
            raise

    # -- running -------------------------------------------------------------------------------------------

    def forward(
        self,
        blobs: Sequence[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        **inputs: Any,
    ) -> dict[str, np.ndarray]:
        """Runs the layers in order.

        Args:
            blobs: names of blobs to return besides the outputs.
            start, end: names of the first and the last layer to run; default: all.
            inputs: values for blobs, by name, written before.

        Returns:
            the data, by name, of the outputs, or with `end` of that layer's tops; and of `blobs`.

        Raises:
            CaffeError: for the name of no layer or blob.
            ShapeError: for values that do not fit their blob.
        """
        for name, values in inputs.items():
            _write(name, self._blob(name).data, values)
        last = len(self.layers) - 1 if end is None else self._layer_index(end)
        self.forward_from_to(0 if start is None else self._layer_index(start), last)
        names = self.outputs if end is None else self.top_names[last]
        return {name: self._blob(name).data for name in (*names, *(blobs or ()))}

    def forward_from_to(self, first: int, last: int) -> float:
        """Runs layers first … last; returns their weighted loss."""
        with np.errstate(all="ignore"):
            return sum((self._forward_step(step) for step in steps(self, first, last)), 0.0)

    def _forward_step(self, step: int | Chain) -> float:
        if isinstance(step, int):
            return self._forward_layer(step)
        for i in range(step.first, step.last + 1):
            self._reshape_if_needed(i)
        step.forward()
        return 0.0

    def _forward_layer(self, i: int) -> float:
        layer, bottom, top = self.layers[i], self.bottoms[i], self.tops[i]
        self._reshape_if_needed(i)
        layer.forward(bottom, top)
        if self.debug_info:
            debug_info.forward(self, i)
        return layer.loss(top) if any(layer.loss_weights) else 0.0

    def forward_loss(self) -> float:
        """One forward pass; returns the weighted loss."""
        return self.forward_from_to(0, len(self.layers) - 1)

    def _reshape_if_needed(self, i: int) -> None:
        shapes = [blob.shape for blob in self.bottoms[i]]
        if shapes != self.bottom_shapes[i] or self.layers[i].always_reshape:
            self._reshape_layer(i, shapes)

    def _reshape_layer(self, i: int, shapes: list[tuple[int, ...]]) -> None:
        layer, top = self.layers[i], self.tops[i]
        before = [blob.shape for blob in top]
        layer.reshape(self.bottoms[i], top)
        self.bottom_shapes[i] = shapes
        if [blob.shape for blob in top] != before:
            layer.write_loss_weights(top)

    def reshape(self) -> None:
        """Gives every blob the shape that follows from those of the inputs."""
        for i in range(len(self.layers)):
            self._reshape_layer(i, [blob.shape for blob in self.bottoms[i]])

    def set_input_arrays(self, data: Any, labels: Any) -> None:
        """Lets the net's first MemoryData layer read from arrays, see `MemoryData.set_input_arrays`.

        Raises:
            CaffeError: the net has no such layer, or the arrays do not fit it.
        """
        from pycaffe_lite.layers.memory_data import MemoryData

        readers = [layer for layer in self.layers if isinstance(layer, MemoryData)]
        if not readers:
            raise CaffeError(f'Net "{self.name}" has no MemoryData layer to take arrays.')
        readers[0].set_input_arrays(data, labels)

    def backward(
        self,
        diffs: Sequence[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        **given: Any,
    ) -> dict[str, np.ndarray]:
        """Runs the backward passes, last layer first, from the diffs that are there (losses: their weight).

        Args:
            diffs: names of blobs whose diffs to return besides those of the inputs.
            start, end: names of the layers to begin and to end with, from the top down; default: all.
            given: values for blobs' diffs, by name, written before.

        Returns:
            the diffs, by name, of the inputs, or with `end` of that layer's bottoms; and of `diffs`.

        Raises: as forward.
        """
        for name, values in given.items():
            _write(name, self._blob(name).diff, values)
        first = len(self.layers) - 1 if start is None else self._layer_index(start)
        last = 0 if end is None else self._layer_index(end)
        self.backward_from_to(first, last)
        names = self.inputs if end is None else self.bottom_names[last]
        return {name: self._blob(name).diff for name in (*names, *(diffs or ()))}

    def backward_from_to(self, first: int, last: int) -> None:
        """Runs the backward passes of layers first … last, which comes before it."""
        for step in reversed(steps(self, last, first)):
            if isinstance(step, int):
                self.backward_layer(step)
            elif self.backward_plan.layers[step.first]:
                with np.errstate(all="ignore"):
                    step.backward()

    def backward_layer(self, i: int) -> None:
        """Runs one layer's backward pass, if it takes part."""
        if self.backward_plan.layers[i]:
            with np.errstate(all="ignore"):
                self.layers[i].backward(self.tops[i], self.backward_plan.bottoms[i], self.bottoms[i])
            if self.debug_info:
                debug_info.backward(self, i)

    def forward_backward(self) -> float:
        """One pass forward and one backward; returns the weighted loss."""
        loss = self.forward_loss()
        self.backward_from_to(len(self.layers) - 1, 0)
        if self.debug_info:
            debug_info.after_backward(self)
        return loss

    def clear_param_diffs(self) -> None:
        """Sets the parameters' diffs to 0, as the solver does before each iteration."""
        self.parameters.clear_diffs()

    def flatten(self) -> Parameters:
        """Moves the parameters into one flat array, see Parameters; returns them."""
        self.parameters.flatten()
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
        for layer, names in zip(reversed(self.layers), reversed(self.top_names), strict=True):
            if output in names:
                return layer.loss_weights[names.index(output)]
        return 0.0

    def _layer_index(self, name: str) -> int:
        if name not in self.layer_names:
            raise CaffeError(f'Net "{self.name}" has no layer "{name}"{_hint(name, self.layer_names)}')
        return self.layer_names.index(name)

    def _blob(self, name: str) -> Blob:
        if name not in self.blobs:
            raise CaffeError(f'Net "{self.name}" has no blob "{name}"{_hint(name, list(self.blobs))}')
        return self.blobs[name]

    # -- parameters from elsewhere -------------------------------------------------------------------------

    def copy_from(self, path: str) -> None:
        """Copies parameters from a weights file by layer name (`caffe train --weights`)."""
        copy_weights(self.layers, path)

    def save(self, path: str) -> None:
        """Writes the parameters as a binary .caffemodel, or as HDF5 if the name ends in .h5."""
        write_weights(self.layers, self.name, path)

    def share_trained_layers_with(self, other: Net) -> None:
        """Uses the parameters of another net's layers of the same names; test nets use the train net's."""
        share_layers(self.layers, other.layers)

    share_with = share_trained_layers_with


def _as_text(source: Any) -> NetText:
    if isinstance(source, NetText):
        return source
    if isinstance(source, (str, os.PathLike)):
        return read_net(os.fspath(source))
    return NetText(source, "", [])


def _write(name: str, array: np.ndarray, values: Any) -> None:
    """Copies values, which may be one number for all, into the array of a blob."""
    given = np.asarray(values)
    if given.shape and given.shape != array.shape:
        raise ShapeError(
            f'Expected values of shape {list(array.shape)} for blob "{name}", got {list(given.shape)}; '
            "reshape the blob for another batch size."
        )
    array[...] = given


def _hint(name: str, known: list[str]) -> str:
    close = nearest(name, known)
    return f'; did you mean "{close}"?' if close else "."
