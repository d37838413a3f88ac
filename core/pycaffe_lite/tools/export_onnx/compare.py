"""Whether an ONNX model computes what its net computes, by onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pycaffe_lite.errors import CaffeError, FileError, file_errors
from pycaffe_lite.net import Net
from pycaffe_lite.paths import not_found
from pycaffe_lite.tools.export_onnx.model import Exported
from pycaffe_lite.words import short

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Difference:
    """How far two results of one value lie apart.

    Attributes:
        name: the output.
        largest: the largest absolute difference.
        relative: that over the largest absolute value; infinite if only one of them is finite somewhere.
    """

    name: str
    largest: float
    relative: float

    @property
    def agrees(self) -> bool:
        """Whether it is at most TOLERANCE, relatively."""
        return self.relative <= TOLERANCE


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
    if not os.path.isfile(path):
        raise FileError(not_found(path, "file of inputs", [os.path.abspath(path)]))
    no_file = "expected an .npz file of arrays, got a file that is none"
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

    Args:
        net: the net; its inputs are written over.
        exported: the model made of it.
        inputs: values by name; for the others random ones, numbers that an Embed or a cont can have where such a layer
            reads them.

    Raises:
        CaffeError: onnxruntime does not run the model.

    """
    random = np.random.default_rng(1)
    for name in net.inputs:
        blob = net.blobs[name]
        given = (inputs or {}).get(name)
        blob.data[...] = given if given is not None else _random(net, name, random)
    feed = {name: np.ascontiguousarray(net.blobs[name].data, np.float32) for name in net.inputs}
    results = _run(exported.model, feed, list(exported.outputs.values()))
    wanted: list[tuple[str, str, np.ndarray]] = []
    for node, values in zip(net.nodes, exported.values, strict=True):
        node.forward()
        wanted += [(node.name, value, blob.data.copy()) for value, blob in zip(values, node.tops, strict=True) if value]
    outputs = [difference(name, net.blobs[name].data, results[new]) for name, new in exported.outputs.items()]
    if all(output.agrees for output in outputs):
        return Comparison(outputs)
    return Comparison(outputs, next(_differing(exported.model, feed, wanted), ""))


def difference(name: str, ours: np.ndarray, theirs: np.ndarray) -> Difference:
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
    return Difference(name, largest, largest / scale if scale else largest)


def _differing(model: Any, feed: Mapping[str, np.ndarray], wanted: list[tuple[str, str, np.ndarray]]) -> Iterator[str]:
    """The layers whose values differ, in order; those that folding has taken away are passed over."""
    from onnx import TensorProto, helper

    there = {name for node in model.graph.node for name in node.output}
    more = type(model)()
    more.CopyFrom(model)
    known = {output.name for output in more.graph.output}
    names = [name for name in dict.fromkeys(value for _, value, _ in wanted) if name in there]
    more.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names if name not in known
    )
    theirs = _run(more, feed, names)
    for layer, value, ours in wanted:
        if value in theirs and not difference(value, ours, theirs[value]).agrees:
            yield layer


def _run(model: Any, feed: Mapping[str, np.ndarray], names: list[str]) -> dict[str, np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return dict(zip(names, session.run(names, dict(feed)), strict=True))
    except Exception as problem:  # its classes differ from version to version
        raise CaffeError(f"onnxruntime {onnxruntime.__version__} cannot run the model: {short(str(problem))}") from None


def _random(net: Net, name: str, random: np.random.Generator) -> np.ndarray:
    blob = net.blobs[name]
    for node in net.nodes:
        kind = node.layer.layer_param.type
        names = [net_name.split("_split_")[0] for net_name in node.bottom_names]
        if kind == "Embed" and names[0].startswith(name):
            return random.integers(0, node.layer.layer_param.embed_param.input_dim, blob.shape)
        if kind in ("LSTM", "RNN") and len(names) > 1 and names[1].startswith(name):
            cont = (random.random(blob.shape) > 0.2).astype(np.float32)
            cont[0] = 0
            return cont
        if kind == "BatchReindex" and names[1].startswith(name):
            return random.integers(0, node.bottoms[0].shape[0], blob.shape)
    return random.standard_normal(blob.shape)
