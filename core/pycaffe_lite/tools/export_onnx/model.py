"""From a net and its weights to an ONNX model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pycaffe_lite import log
from pycaffe_lite.errors import CaffeError, MissingExtra
from pycaffe_lite.layers.proposal_base import ProposalBase
from pycaffe_lite.layers.registry import layer_class
from pycaffe_lite.net import Net
from pycaffe_lite.net.node import Node
from pycaffe_lite.tools.export_onnx import detections, forks, layers, regions  # noqa: F401  # for what they register
from pycaffe_lite.tools.export_onnx.converters import CONVERT, Item
from pycaffe_lite.tools.export_onnx.fold import fold as fold_graph
from pycaffe_lite.tools.export_onnx.graph import FixedBatch, Form, Graph

LARGEST = 2**31 - 2**16
"""Bytes of parameters that leave a protobuf message room for the rest."""

OPSETS = (13, 21)
"""The oldest and the newest set of operators that can be chosen."""

BATCHES = 3
"""How many times as large the other batch is at which the net's shapes are looked at."""

IR_VERSIONS = {13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10}


@dataclass
class Exported:
    """A model.

    Attributes:
        model: the ONNX ModelProto.
        values: for each layer of the net, the names of the values of its tops in the model.
        outputs: the names of the net's outputs, and what they are called in the model.
        dynamic: whether it takes any batch size.
    """

    model: Any
    values: list[list[str]]
    outputs: dict[str, str]
    dynamic: bool


def export(net: Net, opset: int = 13, fold: bool = False) -> Exported:
    """Makes an ONNX model of a net.

    The model has the net's names: inputs, outputs, blobs and layers. It takes any batch size if every shape in the net
    follows the first axis of its inputs.

    Args:
        net: a TEST net whose data come through Input layers, with its weights.
        opset: the version of the operators, see OPSETS.
        fold: whether BatchNorm, Scale and Bias go into the convolution before them.

    Raises:
        MissingExtra: without the package onnx.
        CaffeError: layers that ONNX has nothing for, all of them.
    """
    _onnx()
    if not net.outputs or not net.inputs:
        raise CaffeError(f'Expected a net with inputs and outputs, got "{net.name}" without; make one with deploy.')
    _reshape(net, 1, 0)
    at = _shapes(net)
    for dynamic in (True, False):
        other = _shapes_at(net, BATCHES if dynamic else 1)
        if other is None:
            continue
        if not dynamic:
            log.info(
                "The net has shapes that do not follow the batch size, so the model is for that of the text alone."
            )
        try:
            return _make(net, [Form(a, b) for a, b in zip(at, other, strict=True)], opset, fold, dynamic)
        except FixedBatch:
            continue
    raise AssertionError("a net has at least its own shapes")


def _onnx() -> Any:
    try:
        import onnx
    except ImportError:
        raise MissingExtra("ONNX models", "onnx") from None
    return onnx


def _shapes(net: Net) -> list[tuple[int, ...]]:
    """The shapes of all bottoms and tops."""
    return [blob.shape for node in net.nodes for blob in (*node.bottoms, *node.tops)]


def _shapes_at(net: Net, factor: int) -> list[tuple[int, ...]] | None:
    """The same at a batch size `factor` times as large, and where more boxes are found; None if the net does not go
    with that."""
    shapes = {name: net.blobs[name].shape for name in net.inputs}
    if not all(shapes.values()):
        return None if factor > 1 else _shapes(net)
    try:
        _reshape(net, factor, 5)
        return _shapes(net)
    except (CaffeError, ValueError):
        return None
    finally:
        for name, shape in shapes.items():
            net.blobs[name].reshape(*shape)
        _reshape(net, 1, 0)


def _reshape(net: Net, factor: int, more: int) -> None:
    """Gives the net's blobs the shapes that follow from inputs of another batch size, and from `more` boxes."""
    for name in net.inputs if factor != 1 else []:
        length, *rest = net.blobs[name].shape
        net.blobs[name].reshape(length * factor, *rest)
    for node in net.nodes:
        node.reshape()
        axis = _axis_of_rows(node)
        if axis is not None:
            for blob in node.tops:
                blob.reshape(*(length + more * (i == axis) for i, length in enumerate(blob.shape)))


def _axis_of_rows(node: Node) -> int | None:
    """The axis of a layer's tops whose length is known when it has run: how many boxes it has found, or items kept."""
    kind = node.layer.layer_param.type
    if kind == "DetectionOutput":
        return 2
    return 0 if kind == "Filter" or isinstance(getattr(node.layer, "user", node.layer), ProposalBase) else None


def _make(net: Net, forms: Sequence[Form], opset: int, fold: bool, dynamic: bool) -> Exported:
    graph, left = Graph(opset, reserved=net.inputs), iter(forms)
    values: dict[int, str] = {}
    form_of: dict[str, Form] = {}
    made: list[list[str]] = []
    problems: list[str] = []
    read = {id(blob) for node in net.nodes for blob in node.bottoms} | {id(net.blobs[name]) for name in net.outputs}
    for node in net.nodes:
        bottoms, tops = ([next(left) for _ in blobs] for blobs in (node.bottoms, node.tops))
        item = Item(node.layer, bottoms, tops, [id(blob) in read for blob in node.tops])
        graph.layer = node.name
        if node.layer.layer_param.type == "Input":
            names = list(node.top_names)
        else:
            names = _convert(graph, item, [values[id(blob)] for blob in node.bottoms], problems, dynamic)
        for blob, name, form in zip(node.tops, names, tops, strict=True):
            values[id(blob)] = name
            form_of[name] = form
        made.append(list(names))
    if problems:
        raise CaffeError(f"The net cannot be an ONNX model, because of {len(problems)} layer(s): {' '.join(problems)}")
    forms_of_outputs = {name: form_of[values[id(net.blobs[name])]] for name in net.outputs}
    renamed, called = _rename(net, graph, values)
    outputs = {called[name]: form for name, form in forms_of_outputs.items()}
    made = [[renamed.get(name, name) for name in names] for names in made]
    if fold:
        fold_graph(graph, set(outputs), {renamed.get(name, name): form.axes for name, form in form_of.items()})
    return Exported(_model(net, graph, outputs, dynamic), made, called, dynamic)


def _convert(graph: Graph, item: Item, values: Sequence[str], problems: list[str], dynamic: bool) -> list[str]:
    """The values of a layer's tops; names of nothing, and the reason among the problems, if ONNX has none for it.

    Raises:
        FixedBatch: it has none for a batch size that is not known.
    """
    kind = item.param.type
    try:
        if kind not in CONVERT:
            learns = layer_class(kind).loss_weight or kind == "Accuracy"
            hint = "; make the net to run with deploy." if learns or not item.bottoms else "."
            raise item.cannot(f"there is nothing like this type in ONNX{hint}")
        return list(CONVERT[kind](graph, item, values))
    except FixedBatch:
        if dynamic:
            raise
        problems.append(str(item.cannot("it needs a length that is known only when the net runs.")))
        return [graph.name("missing") for _ in item.tops]
    except CaffeError as problem:
        problems.append(str(problem))
        return [graph.name("missing") for _ in item.tops]


def _rename(net: Net, graph: Graph, values: dict[int, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Lets the last value of each blob have the blob's name.

    A layer that works in place on an input cannot give its result that name: as an output it is called `name_out`. An
    output that has the value of another blob gets a copy of it.

    Returns:
        the new names of values, and the names of the net's outputs in the model.
    """
    names: dict[str, str] = {}
    outputs: dict[str, str] = {}
    taken = set(net.inputs)
    splits = {name for node in net.nodes if node.layer.layer_param.type == "Split" for name in node.top_names}
    for name in sorted(net.blobs, key=lambda name: name not in net.outputs):
        value, is_output = values[id(net.blobs[name])], name in net.outputs
        if (name in splits or name in net.inputs) and not is_output:
            continue
        new = f"{name}_out" if name in net.inputs else name
        if is_output and (value in names or value in net.inputs):
            graph.layer = name
            value = graph.add("Identity", value)
        if value not in names and value not in net.inputs and new not in taken:
            names[value] = new
            taken.add(new)
        if is_output:
            outputs[name] = new
    # A value in between must not have the name that a blob gets.
    own = {value for op in graph.ops for value in op.outputs} | graph.constants.keys()
    for value in own - names.keys():
        if value in taken:
            names[value] = f"{value}/before"
    graph.rename(names)
    return names, outputs


def _model(net: Net, graph: Graph, outputs: dict[str, Form], dynamic: bool) -> Any:
    onnx = _onnx()
    from onnx import TensorProto, helper, numpy_helper

    if sum(array.nbytes for array in graph.constants.values()) > LARGEST:
        raise CaffeError(f'The parameters of "{net.name}" take more than 2 GiB, which no ONNX file holds.')

    def value(name: str, shape: Sequence[int | str]) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))

    shapes = {name: net.blobs[name].shape for name in net.inputs}
    batch = next(iter(shapes.values()))[:1]
    inputs = [value(name, ("N" if shape[:1] == batch else f"{name}_0", *shape[1:]) if dynamic else shape)
              for name, shape in shapes.items()]  # fmt: skip
    results = [
        value(name, [a if a == b else ("N" if (a,) == batch and b == BATCHES * a else f"{name}_{i}")
                     for i, (a, b) in enumerate(zip(form.at, form.other, strict=True))])
        for name, form in outputs.items()
    ]  # fmt: skip
    nodes = [helper.make_node(op.kind, op.inputs, op.outputs, name=op.name, **op.attributes) for op in graph.ops]
    used = {name for op in graph.ops for name in op.inputs} | set(outputs)
    constants = [numpy_helper.from_array(np.array(array, order="C"), name) for name, array in graph.constants.items()
                 if name in used]  # fmt: skip
    made = helper.make_graph(nodes, net.name or "net", inputs, results, constants)
    model = helper.make_model(
        made, producer_name="pycaffe-lite", opset_imports=[helper.make_opsetid("", graph.opset)],
        ir_version=IR_VERSIONS[graph.opset],
    )  # fmt: skip
    onnx.checker.check_model(model, full_check=True)
    return model
