"""Whether an ONNX model computes what its net computes, by onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import CaffeError, FileError, file_errors
from pycaffe_lite.layers.pooling import Pooling
from pycaffe_lite.layers.proposal_base import ProposalBase
from pycaffe_lite.net import Net
from pycaffe_lite.net.node import Node
from pycaffe_lite.paths import not_found
from pycaffe_lite.tools.export_onnx.model import Exported
from pycaffe_lite.words import short

TOLERANCE = 1e-4

ROUNDING = float(np.finfo(np.float32).eps)
"""A rounding of 1, to which onnxruntime computes a Sigmoid, however small its values are."""

STEEP = {
    "ArgMax",
    "DetectionOutput",
    "Filter",
    "Proposal",
    "Python",
    "PSROIPooling",
    "ROIPooling",
    "Threshold",
    "Upsample",
}
"""Layers whose tops may jump where a bottom hardly moves; so may the places of a max pooling's maxima."""


@dataclass(frozen=True)
class Difference:
    """How far two results of one value lie apart.

    Attributes:
        name: the output.
        largest: the largest absolute difference.
        relative: that over the largest absolute value; infinite if only one of them is finite somewhere.
        allowed: an absolute difference that is none.
    """

    name: str
    largest: float
    relative: float
    allowed: float = 0.0

    @property
    def agrees(self) -> bool:
        """Whether it is at most TOLERANCE, relatively, or allowed."""
        return self.relative <= TOLERANCE or self.largest <= self.allowed


@dataclass(frozen=True)
class Comparison:
    """The differences of all outputs, and the first layer where they begin.

    Attributes:
        outputs: of the outputs.
        layer: the first layer whose values differ by more than TOLERANCE; empty if none does.
    """

    outputs: list[Difference]
    layer: str = ""

    @property
    def agrees(self) -> bool:
        """Whether all outputs do."""
        return all(output.agrees for output in self.outputs)


def has_runtime() -> bool:
    """Whether onnxruntime is installed."""
    try:
        import onnxruntime  # noqa: F401
    except ImportError:
        return False
    return True


def read_inputs(path: str, net: Net) -> dict[str, np.ndarray]:
    """Values for a net's inputs from an .npz file, by their names.

    Raises:
        FileError: the file is missing or no .npz.
        CaffeError: a name that is none of an input, or another shape.
    """
    if os.path.isdir(path):
        raise FileError(f"{path} is a folder; expected an .npz file of inputs.")
    if not os.path.isfile(path):
        raise FileError(not_found(path, "file of inputs", [os.path.abspath(path)]))
    no_file = "expected an .npz file of arrays of numbers, got a file that is none"
    with file_errors(path, "inputs", lambda problem: no_file), np.load(path) as file:
        arrays = {name: np.asarray(file[name], np.float32) for name in file.files}
    for name, values in arrays.items():
        if name not in net.inputs:
            raise CaffeError(f'{path}: expected arrays for the inputs {", ".join(net.inputs)}, got "{name}".')
        if values.shape != net.blobs[name].shape:
            raise CaffeError(
                f'{path}: expected an array of shape {list(net.blobs[name].shape)} for "{name}", '
                f"got {list(values.shape)}."
            )
    return arrays


def compare(net: Net, exported: Exported, inputs: Mapping[str, np.ndarray] | None = None) -> Comparison:
    """Runs both on the same inputs.

    A layer whose tops jump where its bottoms hardly move, such as one that takes the best of several boxes, is run on
    the model's own values, so that two nearly equal scores make no difference; what is before it is compared as ever.

    Args:
        net: the net; its inputs are written over.
        exported: the model made of it.
        inputs: values by name; for the others random ones, such as the layers that read them can have.

    Raises:
        CaffeError: onnxruntime does not run the model.

    """
    random = np.random.default_rng(1)
    kinds = _kinds(net)
    for name in net.inputs:
        given = (inputs or {}).get(name)
        net.blobs[name].data[...] = given if given is not None else kinds[name](net.blobs[name].shape, random)
    feed = {name: np.array(net.blobs[name].data, np.float32, order="C") for name in net.inputs}
    steep = _bottoms_of_steep(net, exported)
    names = {*exported.outputs.values(), *(value for values in steep.values() for value in values)}
    results = run(with_outputs(exported.model, names), feed, sorted(names))
    wanted = tops_beside(net, exported, results)
    allowed = _allowed(exported.model)
    outputs = [
        difference(name, net.blobs[name].data, results[new], allowed.get(new, 0.0))
        for name, new in exported.outputs.items()
    ]
    if all(output.agrees for output in outputs):
        return Comparison(outputs)
    return Comparison(outputs, next(_differing(exported.model, feed, wanted), ""))


def tops_beside(net: Net, exported: Exported, values: Mapping[str, np.ndarray]) -> list[tuple[str, str, np.ndarray]]:
    """Runs a net layer by layer, those whose tops jump on the model's own values.

    Args:
        values: of the model, by name; among them those of the bottoms of such layers.

    Returns:
        for each top the layer, its name in the model, and the net's own value.
    """
    steep, tops = _bottoms_of_steep(net, exported), []
    for node, names in zip(net.nodes, exported.values, strict=True):
        with _replaced(node.bottoms, [values[name] for name in steep.get(id(node), ())]):
            node.forward()
        tops += [(node.name, name, blob.data.copy()) for name, blob in zip(names, node.tops, strict=True) if name]
    return tops


def _bottoms_of_steep(net: Net, exported: Exported) -> dict[int, list[str]]:
    """The values of the bottoms of layers whose tops jump, by the node's id."""
    names: dict[int, str] = {}
    found = {}
    known = {*net.inputs, *(value for node in exported.model.graph.node for value in node.output)}
    known |= {constant.name for constant in exported.model.graph.initializer}
    for node, values in zip(net.nodes, exported.values, strict=True):
        bottoms = [names[id(blob)] for blob in node.bottoms]
        jumps = node.layer.layer_param.type in STEEP or (isinstance(node.layer, Pooling) and len(node.tops) > 1)
        if jumps and not node.works_in_place and known.issuperset(bottoms):
            found[id(node)] = bottoms
        names.update((id(blob), value) for blob, value in zip(node.tops, values, strict=True))
    return found


@contextmanager
def _replaced(blobs: Sequence[Blob], values: Sequence[np.ndarray]) -> Iterator[None]:
    """Gives blobs other values for a while; those whose shape is another keep theirs."""
    pairs = [(blob, value) for blob, value in zip(blobs, values, strict=False) if blob.shape == value.shape]
    before = [blob.data.copy() for blob, _ in pairs]
    for blob, value in pairs:
        blob.data[...] = value
    yield
    for (blob, _), value in zip(pairs, before, strict=True):
        blob.data[...] = value


def _allowed(model: Any) -> dict[str, float]:
    """Absolute differences of a model's values that are none."""
    return {name: ROUNDING for node in model.graph.node if node.op_type == "Sigmoid" for name in node.output}


def difference(name: str, ours: np.ndarray, theirs: np.ndarray, allowed: float = 0.0) -> Difference:
    """How far two arrays lie apart; where both are the same, infinite or nan, they do not."""
    if ours.shape != theirs.shape:
        return Difference(name, np.inf, np.inf)
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    with np.errstate(all="ignore"):
        apart = np.where(same, 0, np.abs(ours.astype(np.float64) - theirs))
        largest = float(apart.max(initial=0))
        scale = float(np.abs(np.where(np.isfinite(ours), ours, 0)).max(initial=0))
    if np.isnan(largest):
        return Difference(name, np.inf, np.inf)
    return Difference(name, largest, largest / scale if scale else largest, allowed)


def _differing(model: Any, feed: Mapping[str, np.ndarray], wanted: list[tuple[str, str, np.ndarray]]) -> Iterator[str]:
    """The layers whose values differ, in order; those that folding has taken away are passed over."""
    there = {name for node in model.graph.node for name in node.output}
    names = [name for name in dict.fromkeys(value for _, value, _ in wanted) if name in there]
    theirs, allowed = run(with_outputs(model, names), feed, names), _allowed(model)
    for layer, value, ours in wanted:
        if value in theirs and not difference(value, ours, theirs[value], allowed.get(value, 0.0)).agrees:
            yield layer


def with_outputs(model: Any, names: Collection[str]) -> Any:
    """A model that has these values among its outputs."""
    from onnx import TensorProto, helper

    known = {output.name for output in model.graph.output}
    missing = [name for name in names if name not in known]
    if not missing:
        return model
    more = type(model)()
    more.CopyFrom(model)
    more.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in missing)
    return more


def run(model: Any, feed: Mapping[str, np.ndarray], names: list[str]) -> dict[str, np.ndarray]:
    """What onnxruntime computes for some values of a model.

    Raises:
        CaffeError: it does not run the model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return dict(zip(names, session.run(names, dict(feed)), strict=True))
    except Exception as problem:  # its classes differ from version to version
        raise CaffeError(f"onnxruntime {onnxruntime.__version__} cannot run the model: {short(str(problem))}") from None


Kind = Callable[[tuple[int, ...], np.random.Generator], np.ndarray]


def _kinds(net: Net) -> dict[str, Kind]:
    """For each input what makes random values of the kind that the layer which reads it takes."""
    kinds: dict[str, Kind] = dict.fromkeys(net.inputs, _numbers)
    origin = {id(net.blobs[name]): name for name in net.inputs}
    for node in net.nodes:
        if node.layer.layer_param.type == "Split" and id(node.bottoms[0]) in origin:
            origin.update((id(top), origin[id(node.bottoms[0])]) for top in node.tops)
        for i, blob in enumerate(node.bottoms):
            kind = _kind(net, node, i)
            if id(blob) in origin and kind is not None:
                kinds[origin[id(blob)]] = kind
    return kinds


def _kind(net: Net, node: Node, bottom: int) -> Kind | None:
    layer: Any = node.layer
    kind, param = layer.layer_param.type, layer.layer_param
    if kind == "Embed":
        return lambda shape, random: random.integers(0, param.embed_param.input_dim, shape)
    if (kind in ("LSTM", "RNN") and bottom == 1) or (kind == "LSTMUnit" and bottom == 2):
        return _continuations
    if kind == "Filter" and bottom == len(node.bottoms) - 1:
        return lambda shape, random: random.integers(0, 2, shape)
    if kind == "BatchReindex" and bottom == 1:
        return lambda shape, random: random.integers(0, node.bottoms[0].shape[0], shape)
    image = next((net.blobs[name].shape for name in net.inputs if net.blobs[name].num_axes == 4), (1, 1, 64, 64))
    if kind in ("ROIPooling", "PSROIPooling") and bottom == 1:
        sides = [length / layer.param.spatial_scale for length in node.bottoms[0].shape[2:]]
        return lambda shape, random: _boxes(shape, random, node.bottoms[0].shape[0], sides)
    if kind == "Upsample" and bottom == 1:
        return lambda shape, random: _places(shape, random, layer.plane)
    if isinstance(getattr(layer, "user", layer), ProposalBase) and bottom == 2:
        return lambda shape, random: np.resize(np.array([*image[2:], 1.0, 1.0])[: max(3, shape[-1])], shape)
    return None


def _numbers(shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    return random.standard_normal(shape)


def _continuations(shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Sequences that begin at the first step, and now and then later."""
    cont = (random.random(shape) > 0.2).astype(np.float32)
    cont[0] = 0
    return cont


def _boxes(shape: tuple[int, ...], random: np.random.Generator, images: int, sides: Sequence[float]) -> np.ndarray:
    """Boxes in images of these sides, height and width."""
    corners = np.sort(random.random((shape[0], 2, 2)), axis=1) * sides[::-1]
    numbers = random.integers(0, images, (shape[0], 1))
    return np.concatenate([numbers, corners.reshape(-1, 4)], axis=1).reshape(shape)


def _places(shape: tuple[int, ...], random: np.random.Generator, plane: int) -> np.ndarray:
    """Places of a plane, none of them twice."""
    count = prod(shape[2:])
    return np.array([random.permutation(plane)[:count] for _ in range(prod(shape[:2]))]).reshape(shape)
