"""Net: layers wired by the names of their blobs, run forward and backward."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from pycaffe_lite import log
from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import CaffeError, ShapeError
from pycaffe_lite.layers.contract import BlobVec, Layer, Place
from pycaffe_lite.layers.memory_data import MemoryData
from pycaffe_lite.net import watch
from pycaffe_lite.net.backward import plan_backward
from pycaffe_lite.net.build import build
from pycaffe_lite.net.parameters import Parameters
from pycaffe_lite.net.passes import Chain, fuse, within
from pycaffe_lite.net.plan import Plan, plan
from pycaffe_lite.net.weights import copy_weights, share_layers, write_weights
from pycaffe_lite.parallel import one_blas_thread
from pycaffe_lite.phase import TEST
from pycaffe_lite.proto.caffe_pb2 import NetParameter, NetState
from pycaffe_lite.proto.read import NetText, read_net
from pycaffe_lite.ranks import ALL, Share
from pycaffe_lite.words import did_you_mean


class Net:
    """A network, built from its text.

    Args:
        source: a prototxt file; or a NetText, whose paths and lines serve for errors; or a NetParameter.
        phase: TRAIN or TEST; overrides what the text says.
        level: with `phase`, the level of the net state, for min_level and max_level rules.
        stages: with `phase`, stages added to those of the text.
        state: instead of these three, the whole net state to build for.
        weights: a .caffemodel to take the parameters from.
        dtype: float32 as in Caffe, or float64.
        share: which of their records the TRAIN layers of data read.

    Attributes:
        name: the net's name.
        path: the file of its text; or nothing.
        phase: TRAIN or TEST.
        nodes: the layers in their places, in the order they run.
        blobs: every blob by its name.
        outputs: the names of the blobs no layer reads, in alphabetical order.
        parameters: the learnable parameters, see Parameters.
        debug_info: whether each pass logs the mean absolute value of all that it computes.
        callbacks: functions that passes call with the number of each layer, by when: before_forward, after_forward,
            before_backward, after_backward.

    Raises:
        CaffeError: for a text that cannot be built, naming file, line and layer.
    """

    def __init__(
        self,
        source: NetText | NetParameter | str | os.PathLike[str],
        phase: int | None = None,
        *,
        level: int = 0,
        stages: Sequence[str] = (),
        state: NetState | None = None,
        weights: str | None = None,
        dtype: np.dtype | type = np.float32,
        share: Share = ALL,
    ) -> None:
        text = _as_text(source)
        param = NetParameter()
        param.CopyFrom(text.param)
        if state is not None:
            param.state.CopyFrom(state)
        elif phase is not None:
            param.state.phase = phase
            param.state.level = level
            param.state.stage.extend(stages)
        self.name, self.path, self.phase = param.name, text.path, int(param.state.phase)
        self.debug_info = param.debug_info
        self.callbacks: dict[str, list[Callable[[int], object]]] = {}
        folder = (os.path.dirname(text.path) or os.curdir) if text.path else ""
        locations = [text.location(i) if text.path else "" for i in range(len(param.layer))]
        built = build(param, locations, Place(folder=folder, dtype=dtype, share=share))
        self.nodes, self.blobs, self.parameters = built.nodes, built.blobs, built.parameters
        self.outputs = sorted(built.unread)
        plan_backward(self.nodes, param.force_backward)
        self.steps = fuse(self.nodes)
        self._plan: Plan | None = None
        self._kept: tuple[str, ...] = ()
        self._locked: list[np.ndarray] = []
        self._gone: dict[str, Blob] = {}
        for name in self.outputs:
            log.info(f"This network produces output {name}", "net.cpp:244")
        log.info("Network initialization done.", "net.cpp:257")
        if weights is not None:
            try:
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
        **inputs: ArrayLike,
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
        last = len(self.nodes) - 1 if end is None else self._layer_index(end)
        self.forward_from_to(0 if start is None else self._layer_index(start), last)
        names = self.outputs if end is None else self.nodes[last].top_names
        return {name: self._blob(name).data for name in (*names, *(blobs or ()))}

    def forward_from_to(self, first: int, last: int) -> float:
        """Runs layers first … last; returns their weighted loss."""
        with one_blas_thread, np.errstate(all="ignore"):
            if self.debug_info or self.callbacks:
                return sum((self._forward_watched(i) for i in range(first, last + 1)), 0.0)
            if self._plan is not None and last - first == len(self.nodes) - 1:
                if not self._plan.is_of_now():
                    self.plan(self._kept)
                return sum((step.forward() for step in self._plan.steps), 0.0)
            return sum((step.forward() for step in within(self.steps, first, last)), 0.0)

    def _forward_watched(self, number: int) -> float:
        node = self.nodes[number]
        self._call("before_forward", number)
        loss = node.forward()
        if self.debug_info:
            watch.log_forward(node)
        self._call("after_forward", number)
        return loss

    def _call(self, when: str, number: int) -> None:
        for callback in self.callbacks.get(when, ()):
            callback(number)

    def forward_loss(self) -> float:
        """One forward pass; returns the weighted loss."""
        return self.forward_from_to(0, len(self.nodes) - 1)

    def plan(self, keep: Sequence[str] = ()) -> None:
        """Makes whole forward passes of a TEST net faster, see `net.plan`; for as long as the weights stay.

        Results differ from before by rounding. Until `unplan`, blobs between layers that are run as one are no longer
        there, the arrays of their parameters cannot be written to, and there is no backward pass. New weights from a
        file, other shapes, `debug_info`, callbacks and passes over a part of the layers work as ever.

        Parameters that get other arrays are folded anew; what is written through views of the old ones, taken before,
        goes unnoticed.

        Args:
            keep: names of blobs that are to be there after a pass, besides the outputs.

        Raises:
            CaffeError: the net is a TRAIN net, or has no such blob.
        """
        if self.phase != TEST:
            raise CaffeError(f'Net "{self.name}": expected a net of phase TEST to plan, got TRAIN.')
        self.unplan()
        names = (keep,) if isinstance(keep, str) else tuple(keep)
        kept = [self._blob(name) for name in (*self.outputs, *names)]
        self._plan, self._kept = plan(self.nodes, kept), names
        self._gone = {name: blob for name, blob in self.blobs.items() if blob in self._plan.gone}
        self.blobs = {name: blob for name, blob in self.blobs.items() if name not in self._gone}
        self._locked = [array for _, array in self._plan.parameters if array.flags.writeable]
        for array in self._locked:
            array.flags.writeable = False

    def unplan(self) -> None:
        """Takes back what `plan` did; blobs that were not there have values after the next pass."""
        if self._plan is not None:
            self._plan.release()
            self._plan = None
            for array in self._locked:
                array.flags.writeable = True
            self._locked = []
            self.blobs.update(self._gone)
            self._gone = {}

    def reshape(self) -> None:
        """Gives every blob the shape that follows from those of the inputs."""
        for node in self.nodes:
            node.reshape()

    def set_input_arrays(self, data: ArrayLike, labels: ArrayLike) -> None:
        """Lets the net's first MemoryData layer read from arrays, see `MemoryData.set_input_arrays`.

        Raises:
            CaffeError: the net has no such layer, or the arrays do not fit it.
        """
        readers = [layer for layer in self.layers if isinstance(layer, MemoryData)]
        if not readers:
            raise CaffeError(f'Net "{self.name}" has no MemoryData layer to take arrays.')
        readers[0].set_input_arrays(data, labels)

    def backward(
        self,
        diffs: Sequence[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        **given: ArrayLike,
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
        first = len(self.nodes) - 1 if start is None else self._layer_index(start)
        last = 0 if end is None else self._layer_index(end)
        self.backward_from_to(first, last)
        names = self.inputs if end is None else self.nodes[last].bottom_names
        return {name: self._blob(name).diff for name in (*names, *(diffs or ()))}

    def backward_from_to(self, first: int, last: int, passed: Callable[[int], object] | None = None) -> None:
        """Runs the backward passes of layers first … last, which comes before it.

        Args:
            passed: is told the number of each layer that backward has left; of some that run as one, the first's.
        """
        if self._plan is not None:
            raise CaffeError(f'Net "{self.name}" is planned, so it only runs forward; call unplan() before.')
        with one_blas_thread, np.errstate(all="ignore"):
            if self.debug_info or self.callbacks:
                for number in range(first, last - 1, -1):
                    self._backward_watched(number)
                    if passed is not None:
                        passed(number)
                return
            number = first + 1
            for step in reversed(list(within(self.steps, last, first))):
                step.backward()
                if passed is not None:
                    number -= len(step.nodes) if isinstance(step, Chain) else 1
                    passed(number)

    def _backward_watched(self, number: int) -> None:
        node = self.nodes[number]
        self._call("before_backward", number)
        node.backward()
        if self.debug_info:
            watch.log_backward(node)
        self._call("after_backward", number)

    def forward_backward(self, passed: Callable[[int], object] | None = None) -> float:
        """One pass forward and one backward; returns the weighted loss. For `passed` see `backward_from_to`."""
        loss = self.forward_loss()
        self.backward_from_to(len(self.nodes) - 1, 0, passed)
        if self.debug_info:
            watch.log_parameters(self.parameters)
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
        for node in self.nodes:
            node.layer.close()

    # -- views of the nodes --------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        return [node.layer for node in self.nodes]

    @property
    def layer_names(self) -> list[str]:
        return [node.name for node in self.nodes]

    @property
    def layer_dict(self) -> dict[str, Layer]:
        return {node.name: node.layer for node in self.nodes}

    @property
    def params(self) -> dict[str, BlobVec]:
        """For each layer that has parameters, its name -> the parameters."""
        return {node.name: node.layer.blobs for node in self.nodes if node.layer.blobs}

    @property
    def inputs(self) -> list[str]:
        """The names of the blobs that Input layers make."""
        return [name for node in self.nodes if node.layer.layer_param.type == "Input" for name in node.top_names]

    def loss_weight(self, output: str) -> float:
        """The loss weight of an output blob, 0 if it is no loss."""
        for node in reversed(self.nodes):
            if output in node.top_names:
                return node.layer.loss_weights[node.top_names.index(output)]
        return 0.0

    def _layer_index(self, name: str) -> int:
        if name not in self.layer_names:
            raise CaffeError(f'Net "{self.name}" has no layer "{name}"{did_you_mean(name, self.layer_names)}')
        return self.layer_names.index(name)

    def _blob(self, name: str) -> Blob:
        if name in self._gone:
            raise CaffeError(f'Net "{self.name}" is planned without blob "{name}"; name it in plan(keep=[…]).')
        if name not in self.blobs:
            raise CaffeError(f'Net "{self.name}" has no blob "{name}"{did_you_mean(name, self.blobs)}')
        return self.blobs[name]

    # -- parameters from elsewhere -------------------------------------------------------------------------

    def copy_from(self, path: str) -> None:
        """Copies parameters from a weights file by layer name (`caffe train --weights`)."""
        self._change_weights(lambda: copy_weights(self.layers, path))

    def _change_weights(self, change: Callable[[], object]) -> None:
        planned = self._plan is not None
        self.unplan()
        try:
            change()
            self.parameters.follow(self.layers)
        finally:
            if planned:
                self.plan(self._kept)

    def save(self, path: str) -> None:
        """Writes the parameters as a binary .caffemodel, or as HDF5 if the name ends in .h5."""
        write_weights(self.layers, self.name, path)

    def share_trained_layers_with(self, other: Net) -> None:
        """Uses the parameters of another net's layers of the same names; test nets use the train net's."""
        self._change_weights(lambda: share_layers(self.layers, other.layers))

    share_with = share_trained_layers_with


def _as_text(source: NetText | NetParameter | str | os.PathLike[str]) -> NetText:
    if isinstance(source, NetText):
        return source
    return NetText(source, "", []) if isinstance(source, NetParameter) else read_net(os.fspath(source))


def _write(name: str, array: np.ndarray, values: ArrayLike) -> None:
    """Copies values, which may be one number for all, into the array of a blob."""
    given = np.asarray(values)
    if given.shape and given.shape != array.shape:
        raise ShapeError(
            f'Expected values of shape {list(array.shape)} for blob "{name}", got {list(given.shape)}; '
            "reshape the blob for another batch size."
        )
    array[...] = given
