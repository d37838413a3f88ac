"""caffe.Net: the engine's net under pycaffe's names."""

from __future__ import annotations

import os
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite import blob as engine_blob
from pycaffe_lite import net as engine
from pycaffe_lite.blob import Array
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.formats.format import BINARY, HDF5, Format
from pycaffe_lite.layers.feed_base import FeedLayer
from pycaffe_lite.layers.memory_data import MemoryData
from pycaffe_lite.layers.split import Split
from pycaffe_lite.net.node import Node
from pycaffe_lite.net.weights import copy_fitted, fit, weights_of
from pycaffe_lite.phase import TEST, TRAIN
from pycaffe_lite.proto.caffe_pb2 import NetParameter
from pycaffe_lite.pycaffe.blob import Blob, Lender
from pycaffe_lite.pycaffe.faults import BadType, BadValue, path_text, whole_number
from pycaffe_lite.pycaffe.layer import layer_of
from pycaffe_lite.pycaffe.users_errors import as_raised
from pycaffe_lite.pycaffe.vectors import BlobVec, DtypeVec, IntVec, LayerVec, StringVec
from pycaffe_lite.words import did_you_mean
from pycaffe_lite.writing import write_atomically

PathLike = str | os.PathLike[str]
Outputs = dict[str, Array]


class Net:
    """A network.

        Net(network_file, phase, level=0, stages=None, weights=None)
        Net(network_file, weights, phase)           the older form

    Args:
        network_file: a prototxt; a NetParameter serves as well, such as `NetSpec.to_proto()`.
        phase: caffe.TRAIN or caffe.TEST.
        level: the level of the net state, for min_level and max_level rules.
        stages: the stages of the net state, for stage and not_stage rules.
        weights: a .caffemodel, or .caffemodel.h5, to take the parameters from.

    Raises:
        TypeError: for other arguments than these.
        CaffeError: which is a RuntimeError, for a file that is missing or a net that cannot be built.
        Exception: what the user's code of a Python layer raises.
    """

    def __init__(
        self,
        network_file: PathLike | NetParameter,
        *args: Any,
        phase: int | None = None,
        level: int = 0,
        stages: Sequence[str] | None = None,
        weights: PathLike | None = None,
    ) -> None:
        if args and isinstance(args[0], (str, os.PathLike)):
            if len(args) != 2 or phase is not None or weights is not None:
                raise BadType("Expected Net(network_file, weights, phase), or Net(network_file, phase, …).")
            weights, phase = args
        elif args:
            if phase is not None or len(args) > 4:
                raise BadType("Expected Net(network_file, phase, level, stages, weights), got more arguments.")
            named: list[Any] = [level, stages, weights]
            phase, level, stages, weights = [*args, *named[len(args) - 1 :]]
        source, state, number = _source(network_file), _phase(phase), whole_number(level, "the level of a net")
        names = _stages(stages)
        path = None if weights is None else path_text(weights, "weights")
        inner = as_raised(lambda: engine.Net(source, state, level=number, stages=names, weights=path))
        self._wrap(inner)
        weakref.finalize(self, inner.close)

    @classmethod
    def of(cls, inner: engine.Net, owner: object) -> Net:
        """The pycaffe net over a net of the engine that is closed when its owner is gone, and keeps the owner alive."""
        self = cls.__new__(cls)
        self._wrap(inner)
        self._owner = owner
        return self

    _owner: object = None

    def _wrap(self, inner: engine.Net) -> None:
        self.inner = inner
        self._producers: dict[int, Node] = {}
        for node in inner.nodes:
            for blob in node.tops:
                self._producers.setdefault(id(blob), node)
        self._lender = Lender(self._all_blobs, self._prepare)
        self._arrays: tuple[Array, Array] | None = None

    # -- memory --------------------------------------------------------------------------------------------

    def _all_blobs(self) -> Iterator[engine_blob.Blob]:
        """All blobs that might share memory with one another."""
        for node in self.inner.nodes:
            yield from node.tops
            yield from node.layer.blobs

    def _prepare(self, blob: engine_blob.Blob) -> None:
        """Before a blob is pinned: it gets memory of its own, or that of the blob that it is a branch of."""
        node = self._producers.get(id(blob))
        if node is None:
            return
        if isinstance(node.layer, FeedLayer):  # its batches are written over by the thread that reads ahead
            blob.data = blob.data.copy()
        elif isinstance(node.layer, Split):
            self._lender.pin(node.bottoms[0])
            blob.data = node.bottoms[0].data

    # -- what there is -------------------------------------------------------------------------------------

    @cached_property
    def _named_blobs(self) -> dict[int, tuple[int, str, engine_blob.Blob]]:
        """By identity: number, name, blob; in the order in which the layers make them."""
        found: dict[int, tuple[int, str, engine_blob.Blob]] = {}
        for node in self.inner.nodes:
            for i, blob in enumerate(node.tops):
                name = node.top_names[i] if i < len(node.top_names) else "(automatic)"
                found.setdefault(id(blob), (len(found), name, blob))
        return found

    @cached_property
    def _blob_names(self) -> StringVec:
        return StringVec(name for _, name, _ in self._named_blobs.values())

    @cached_property
    def _blobs(self) -> BlobVec:
        return BlobVec(self._lender.show(blob) for _, _, blob in self._named_blobs.values())

    @cached_property
    def _layer_names(self) -> StringVec:
        return StringVec(node.name for node in self.inner.nodes)

    def _numbers(self, blobs: Sequence[engine_blob.Blob]) -> IntVec:
        return IntVec(self._named_blobs[id(blob)][0] for blob in blobs)

    def _bottom_ids(self, layer: int) -> IntVec:
        return self._numbers(self.inner.nodes[layer].bottoms)

    def _top_ids(self, layer: int) -> IntVec:
        return self._numbers(self.inner.nodes[layer].tops)

    @cached_property
    def _inputs(self) -> IntVec:
        nodes = [node for node in self.inner.nodes if node.layer.layer_param.type == "Input"]
        return IntVec(number for node in nodes for number in self._numbers(node.tops))

    @cached_property
    def _outputs(self) -> IntVec:
        return IntVec(self._blob_names.index(name) for name in self.inner.outputs)

    @cached_property
    def _blob_loss_weights(self) -> DtypeVec:
        weights = DtypeVec([0.0] * len(self._blobs))
        for index, node in enumerate(self.inner.nodes):
            for number, weight in zip(self._top_ids(index), node.layer.loss_weights, strict=True):
                weights[number] = weight
        return weights

    @cached_property
    def layers(self) -> LayerVec:
        """The layers, in the order they run; of a Python layer the user's object."""
        return LayerVec(layer_of(node.layer, self._lender) for node in self.inner.nodes)

    @cached_property
    def layer_dict(self) -> OrderedDict[str, Any]:
        """The layers by name."""
        return OrderedDict(zip(self._layer_names, self.layers, strict=True))

    @cached_property
    def blobs(self) -> OrderedDict[str, Blob]:
        """All blobs by name, in the order in which the layers make them."""
        return OrderedDict(zip(self._blob_names, self._blobs, strict=True))

    @cached_property
    def blob_loss_weights(self) -> OrderedDict[str, float]:
        """For each blob its loss weight, 0 if it is no loss."""
        return OrderedDict(zip(self._blob_names, self._blob_loss_weights, strict=True))

    @cached_property
    def params(self) -> OrderedDict[str, BlobVec]:
        """For each layer with parameters its name -> the parameters, such as weight and bias."""
        return OrderedDict(
            (node.name, BlobVec(self._lender.show(blob) for blob in node.layer.blobs))
            for node in self.inner.nodes
            if node.layer.blobs
        )

    @cached_property
    def inputs(self) -> list[str]:
        """The names of the blobs that the caller fills: the tops of Input layers."""
        return [self._blob_names[number] for number in self._inputs]

    @cached_property
    def outputs(self) -> list[str]:
        """The names of the blobs that no layer reads, in alphabetical order."""
        return [self._blob_names[number] for number in self._outputs]

    @cached_property
    def top_names(self) -> OrderedDict[str, list[str]]:
        """For each layer the names of its tops."""
        return self._names_by_layer(self._top_ids)

    @cached_property
    def bottom_names(self) -> OrderedDict[str, list[str]]:
        """For each layer the names of its bottoms."""
        return self._names_by_layer(self._bottom_ids)

    def _names_by_layer(self, ids: Callable[[int], IntVec]) -> OrderedDict[str, list[str]]:
        return OrderedDict(
            (name, [self._blob_names[number] for number in ids(layer)]) for layer, name in enumerate(self._layer_names)
        )

    # -- running -------------------------------------------------------------------------------------------

    def _forward(self, start: int, end: int) -> float:
        """Runs layers start … end, by number; returns their weighted loss."""
        self._check_layers(start, end)
        self._lender.let_go()
        return as_raised(lambda: self.inner.forward_from_to(start, end))

    def _backward(self, start: int, end: int) -> None:
        """Runs layers start … end, by number and from the top down, backward."""
        self._check_layers(start, end)
        self._lender.let_go()
        as_raised(lambda: self.inner.backward_from_to(start, end))

    def _check_layers(self, *numbers: int) -> None:
        for number in numbers:
            if not 0 <= number < len(self.inner.nodes):
                raise BadValue(f"Expected the number of a layer, 0 to {len(self.inner.nodes) - 1}, got {number}.")

    def forward(
        self,
        blobs: list[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        **kwargs: Any,
    ) -> Outputs:
        """Runs the layers in order.

        Args:
            blobs: names of blobs to return besides the outputs.
            start, end: the names of the first and of the last layer to run; default: all.
            kwargs: an array for each of the net's inputs, by name: of the input's batch size, and of its shape or one
                that NumPy repeats to it. None at all: the inputs stay as they are.

        Returns:
            the data, by name, of the outputs, or with `end` of that layer's tops; and of `blobs`. They are the blobs'
            own arrays, which the next forward writes over.

        Raises:
            ValueError: for the name of no layer, or values of another shape.
            CaffeError: for inputs that are not the net's, or not of its batch size.
            KeyError: for the name of no blob in `blobs`.
        """
        first = 0 if start is None else self._layer_number(start)
        last = len(self._layer_names) - 1 if end is None else self._layer_number(end)
        names = (self.outputs if end is None else self.top_names[end]) + (blobs or [])
        if kwargs:
            self._fill(kwargs, self.inputs, "data")
        self._forward(first, last)
        return {name: self.blobs[name].data for name in names}

    def backward(
        self,
        diffs: list[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        **kwargs: Any,
    ) -> Outputs:
        """Runs the layers backward, from the diffs that are there; those of losses are their weights.

        Args:
            diffs: names of blobs whose diffs to return besides those of the inputs.
            start, end: the names of the layers to begin and to end with, from the top down; default: all.
            kwargs: an array for the diff of each of the net's outputs, by name. None at all: they stay as they are.

        Returns:
            the diffs, by name, of the inputs, or with `end` of that layer's bottoms; and of `diffs`.

        Raises: as forward.
        """
        first = len(self._layer_names) - 1 if start is None else self._layer_number(start)
        last = 0 if end is None else self._layer_number(end)
        names = (self.inputs if end is None else self.bottom_names[end]) + (diffs or [])
        if kwargs:
            self._fill(kwargs, self.outputs, "diff")
        self._backward(first, last)
        return {name: self.blobs[name].diff for name in names}

    def _layer_number(self, name: str) -> int:
        try:
            return self._layer_names.index(name)
        except ValueError:
            hint = did_you_mean(str(name), self._layer_names)
            raise BadValue(f'Net "{self.inner.name}" has no layer {name!r}{hint}') from None

    def _fill(self, given: Mapping[str, NDArray[Any]], wanted: list[str], which: str) -> None:
        if set(given) != set(wanted):
            raise CaffeError(
                f"Expected arrays for exactly {', '.join(wanted) or 'no blob'}, the net's "
                f"{'inputs' if which == 'data' else 'outputs'}, got {', '.join(given)}."
            )
        for name, values in given.items():
            blob = self.blobs[name].inner
            if values.shape[:1] != blob.shape[:1]:
                raise CaffeError(
                    f'Expected a batch of {blob.num} for blob "{name}" of shape {list(blob.shape)}, got an array of '
                    f"shape {list(values.shape)}; reshape the blob for another batch size."
                )
            getattr(blob, which)[...] = values

    def forward_all(self, blobs: list[str] | None = None, **kwargs: Any) -> Outputs:
        """Runs any number of items through the net, batch by batch; the last batch is filled up with zeros.

        Args:
            blobs: names of blobs to return besides the outputs.
            kwargs: an array for each input, N x …; N is the same for all and may be any number.

        Returns:
            the data of the outputs and of `blobs` for all N items.
        """
        if not kwargs:
            raise CaffeError(f"forward_all expected arrays for {', '.join(self.inputs) or 'no blob'}, got none.")
        parts: dict[str, list[Array]] = {name: [] for name in dict.fromkeys(self.outputs + (blobs or []))}
        for batch in self._batch(kwargs):
            for name, values in self.forward(blobs=blobs, **batch).items():
                parts[name].extend(values.copy())
        return _joined(parts, _length(kwargs))

    def forward_backward_all(
        self, blobs: list[str] | None = None, diffs: list[str] | None = None, **kwargs: Any
    ) -> tuple[Outputs, Outputs]:
        """Runs any number of items forward and backward, batch by batch.

        Args:
            blobs, diffs: names of blobs whose data and diffs to return besides those of outputs and inputs.
            kwargs: arrays for inputs, and for the diffs of outputs, by name; of either kind all or none.

        Returns:
            the data, and the diffs, for all N items.
        """
        all_outs: dict[str, list[Array]] = {name: [] for name in dict.fromkeys(self.outputs + (blobs or []))}
        all_diffs: dict[str, list[Array]] = {name: [] for name in dict.fromkeys(self.inputs + (diffs or []))}
        forward, backward = (
            {name: kwargs[name] for name in names if name in kwargs} for names in (self.inputs, self.outputs)
        )
        if not forward and not backward:
            raise CaffeError("forward_backward_all expected arrays for the inputs or for the outputs' diffs, got none.")
        batches = (self._batch(given) if given else iter(()) for given in (forward, backward))
        for forth, back in zip_longest(*batches, fillvalue={}):
            for name, values in self.forward(blobs=blobs, **forth).items():
                all_outs[name].extend(values.copy())
            for name, values in self.backward(diffs=diffs, **back).items():
                all_diffs[name].extend(values.copy())
        return _joined(all_outs, _length(kwargs)), _joined(all_diffs, _length(kwargs))

    def _batch(self, blobs: Mapping[str, NDArray[Any]]) -> Iterator[dict[str, Any]]:
        """Cuts arrays into batches of the net's size; the last one is filled up with zeros."""
        size = next(iter(self.blobs.values())).shape[0]
        count = _length(blobs)
        if size < 1:
            raise CaffeError("Expected a net with a batch size of 1 or more, got 0.")
        for begin in range(0, count, size):
            batch = {name: np.asarray(values[begin : begin + size]) for name, values in blobs.items()}
            missing = size - min(size, count - begin)
            yield {
                name: np.concatenate([values, np.zeros((missing, *values.shape[1:]))]) if missing else values
                for name, values in batch.items()
            }

    def reshape(self) -> None:
        """Gives every blob the shape that follows from those of the inputs."""
        self._lender.let_go()
        as_raised(self.inner.reshape)

    def clear_param_diffs(self) -> None:
        """Sets the diffs of all parameters to 0; backward adds to them."""
        self.inner.clear_param_diffs()

    # -- callbacks -----------------------------------------------------------------------------------------

    def before_forward(self, callback: Callable[[int], object]) -> None:
        """Calls a function before each layer's forward pass, with the layer's number."""
        self._call_back("before_forward", callback)

    def after_forward(self, callback: Callable[[int], object]) -> None:
        """Calls a function after each layer's forward pass, with the layer's number."""
        self._call_back("after_forward", callback)

    def before_backward(self, callback: Callable[[int], object]) -> None:
        """Calls a function before each layer's backward pass, with the layer's number."""
        self._call_back("before_backward", callback)

    def after_backward(self, callback: Callable[[int], object]) -> None:
        """Calls a function after each layer's backward pass, with the layer's number."""
        self._call_back("after_backward", callback)

    def _call_back(self, when: str, callback: Callable[[int], object]) -> None:
        if not callable(callback):
            raise BadType(f"{when} expects a function of the layer's number, got {callback!r}.")
        self.inner.callbacks.setdefault(when, []).append(callback)

    # -- arrays to read from ---------------------------------------------------------------------------------

    def set_input_arrays(self, data: NDArray[np.float32], labels: NDArray[np.float32]) -> None:
        """Lets the MemoryData layer that the net begins with read from two arrays, without a copy.

        Args:
            data: N x C x H x W as the layer's parameters say, float32 in C order, N a multiple of its batch size.
            labels: N, or N x 1 x 1 x 1, float32 in C order.

        Raises:
            CaffeError: which is a RuntimeError, for a net that begins with another layer, or arrays of another kind.
        """
        if getattr(labels, "ndim", 0) == 1:
            labels = np.ascontiguousarray(labels[:, np.newaxis, np.newaxis, np.newaxis])
        self._set_input_arrays(data, labels)

    def _set_input_arrays(self, data: NDArray[np.float32], labels: NDArray[np.float32]) -> None:
        layer = self.inner.nodes[0].layer if self.inner.nodes else None
        if not isinstance(layer, MemoryData):
            kind = f'"{layer.name}" ({layer.layer_param.type})' if layer is not None else "none"
            raise CaffeError(f"set_input_arrays expects a net whose first layer is a MemoryData layer, it is {kind}.")
        for name, array in (("data", data), ("labels", labels)):
            _check_plain(name, array)
        if labels.shape[1:] != (1, 1, 1):
            raise CaffeError(f"Expected labels of shape N or N x 1 x 1 x 1, got {list(labels.shape)}.")
        layer.set_input_arrays(data, labels)
        self._arrays = data, labels

    # -- parameters from and to elsewhere --------------------------------------------------------------------

    def copy_from(self, path: PathLike) -> None:
        """Copies parameters from a weights file, binary or HDF5, into the layers of the same names."""
        self.inner.copy_from(path_text(path, "weights"))

    def save(self, path: PathLike) -> None:
        """Writes the parameters as a binary .caffemodel, whatever the name."""
        self._write(path_text(path, "weights"), BINARY)

    def save_hdf5(self, path: PathLike) -> None:
        """Writes the parameters as HDF5, whatever the name."""
        self._write(path_text(path, "weights"), HDF5)

    def _write(self, path: str, form: Format) -> None:
        write_atomically(path, form.weights_pieces(weights_of(self.inner.layers), self.inner.name))

    def load_hdf5(self, path: PathLike) -> None:
        """Copies parameters from an HDF5 file, whatever its name, into the layers of the same names."""
        name = path_text(path, "weights")
        copy_fitted(fit(self.inner.layers, HDF5.read_weights(name, None), name))

    def share_with(self, other: Net) -> None:
        """Uses the parameters of another net's layers of the same names: both nets read and write the same memory."""
        if not isinstance(other, Net):
            raise BadType(f"share_with expects a Net, got {other!r}.")
        for net in (self, other):
            net.keep_params_in_place()
        self.inner.share_trained_layers_with(other.inner)

    def let_go(self) -> None:
        """Lets the engine lay out as it likes the blobs whose arrays nobody holds any more; each pass does so first."""
        self._lender.let_go()

    def keep_params_in_place(self) -> None:
        """Keeps the memory of all parameters where it is from now on, for those who share it."""
        for layer in self.inner.layers:
            for blob in layer.blobs:
                blob.pin(self._all_blobs())
        self._lender.keep(blob for layer in self.inner.layers for blob in layer.blobs)


def _source(network_file: PathLike | NetParameter) -> str | NetParameter:
    if isinstance(network_file, NetParameter):
        return network_file
    return path_text(network_file, "a net's prototxt")


def _stages(stages: Sequence[str] | None) -> list[str]:
    if isinstance(stages, str) or not all(isinstance(name, str) for name in stages or ()):
        raise BadType(f"Expected a list of names as the stages of a net, got {stages!r}.")
    return list(stages or ())


def _phase(phase: Any) -> int:
    if phase is None:
        raise BadType("Net() needs a phase: Net(network_file, caffe.TEST) or Net(network_file, weights, caffe.TEST).")
    if isinstance(phase, bool) or phase not in (TRAIN, TEST):
        raise BadType(f"Expected caffe.TRAIN or caffe.TEST as the phase of a net, got {phase!r}.")
    return int(phase)


def _check_plain(name: str, array: NDArray[Any]) -> None:
    """Raises a CaffeError unless it is an array that the net can read from as it lies in memory."""
    if not isinstance(array, np.ndarray):
        raise CaffeError(f"Expected an array as the {name} of set_input_arrays, got {type(array).__name__}.")
    if array.ndim != 4:
        raise CaffeError(f"Expected {name} of 4 axes for set_input_arrays, got shape {list(array.shape)}.")
    if array.dtype != np.float32:
        raise CaffeError(f"Expected {name} of type float32 for set_input_arrays, got {array.dtype}.")
    if not array.flags.c_contiguous:
        raise CaffeError(f"Expected C-contiguous {name} for set_input_arrays; numpy.ascontiguousarray makes them so.")


def _length(arrays: Mapping[str, NDArray[Any]]) -> int:
    return len(next(iter(arrays.values())))


def _joined(parts: Mapping[str, list[Array]], count: int) -> Outputs:
    """Arrays from the items of all batches; what stands for padding is left out."""
    joined = {name: np.asarray(items) for name, items in parts.items()}
    surplus = len(next(iter(joined.values()))) - count if joined else 0
    return {name: values[:-surplus] if surplus > 0 else values for name, values in joined.items()}
