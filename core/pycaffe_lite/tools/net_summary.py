"""What a net is made of: its layers with their shapes, parameters, multiply-adds and memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from google.protobuf.message import Message

from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.layers.contract import Place
from pycaffe_lite.layers.recurrent_base import Recurrent
from pycaffe_lite.net import Net
from pycaffe_lite.net.node import Node
from pycaffe_lite.net.rules import filter_layers
from pycaffe_lite.phase import TEST, TRAIN
from pycaffe_lite.proto.caffe_pb2 import LayerParameter, NetState
from pycaffe_lite.proto.read import NetText
from pycaffe_lite.tools.data_shapes import PARAMS, top_shapes

FLOAT = 4  # bytes

_CONVOLUTIONS = ("Convolution", "Deconvolution")


@dataclass(frozen=True)
class Row:
    """A layer, or several that go under one name.

    Attributes:
        name: the layer's name, or the prefix that several have in common.
        type: the layer's type, or how many layers there are.
        tops: the shapes of its tops; of several layers those of the last.
        parameters: how many numbers it learns; those that another layer has too count where they come first.
        statistics: how many numbers it keeps but does not learn, as BatchNorm does.
        multiply_adds: in a forward pass; of products with parameters alone, as published totals count them.
        activations: the bytes of the blobs it makes, in this phase: values, and diffs where it goes backward.
        memory: the bytes of its parameters and statistics, in this phase: values, and in TRAIN diffs.
    """

    name: str
    type: str
    tops: tuple[tuple[int, ...], ...]
    parameters: int = 0
    statistics: int = 0
    multiply_adds: int = 0
    activations: int = 0
    memory: int = 0


@dataclass(frozen=True)
class Summary:
    """A net in one phase.

    Attributes:
        name: the net's name.
        phase: TRAIN or TEST.
        batch: the first axis of the first blob; 0 if it has none.
        rows: its layers, in order.
    """

    name: str
    phase: int
    batch: int
    rows: list[Row]

    @property
    def total(self) -> Row:
        """All rows together."""
        return _together("total", self.rows)


def summarize(
    text: NetText, phase: int, *, batch: int | None = None, level: int = 0, stages: Sequence[str] = ()
) -> Summary:
    """Builds a net, without reading from its data and without filling its parameters, and counts.

    Args:
        text: the net.
        phase: TRAIN or TEST.
        batch: the batch size of its data layers, or of its inputs; default: what the text says.
        level, stages: of the net's state, besides those in the text.

    Raises:
        CaffeError: for a net that cannot be built, or a batch size that its Reshape layers do not allow.
    """
    state = NetState(phase=phase, level=level, stage=[*text.param.state.stage, *stages])
    plain, types = _without_data(text, state, batch)
    try:
        net = Net(plain, state=state)
    except CaffeError as problem:
        if batch is None:
            raise
        raise CaffeError(f"At batch size {batch}: {problem}") from None
    try:
        return summary_of(net, types)
    finally:
        net.close()


def summary_of(net: Net, types: dict[str, str] | None = None) -> Summary:
    """Counts what is in a net that is there, in its phase.

    Args:
        types: the types of layers, by name, that are to go under another one than their own.
    """
    seen: set[int] = set()
    rows = [_row(node, net, types or {}, seen) for node in net.nodes if node.layer.layer_param.type != "Split"]
    shape = net.nodes[0].tops[0].shape if net.nodes and net.nodes[0].tops else ()
    return Summary(net.name, net.phase, shape[0] if shape else 0, rows)


def _without_data(text: NetText, state: NetState, batch: int | None) -> tuple[NetText, dict[str, str]]:
    """The net with Input layers for its data layers and without fillers; and what types those layers had."""
    locations = [text.location(i) if text.path else "" for i in range(len(text.param.layer))]
    layers, locations, _ = filter_layers(text.param.layer, state, locations)
    param, types = type(text.param)(), {}
    param.CopyFrom(text.param)
    del param.layer[:]
    folder = os.path.dirname(text.path) or os.curdir
    has_data = any(layer.type in PARAMS or layer.type == "Input" for layer in layers)
    for layer, location in zip(layers, locations, strict=True):
        copy = param.layer.add()
        copy.CopyFrom(layer)
        for rule in ("include", "exclude"):
            copy.ClearField(rule)
        types[copy.name] = copy.type
        if copy.type in PARAMS:
            _become_input(copy, state.phase, Place(location, folder), batch)
        elif copy.type == "Input" and batch is not None:
            _set_batch(copy.input_param.shape, batch)
        elif copy.type == "DummyData" and batch is not None and not has_data:
            _set_batch(copy.dummy_data_param.shape, batch)
        else:
            clear_fillers(copy)
    lines = [text.layer_lines[i] for i in _kept(text.param.layer, layers)] if text.path else []
    return NetText(param, text.path, lines), types


def _kept(layers: Iterable[LayerParameter], kept: Sequence[LayerParameter]) -> list[int]:
    ids = {id(layer) for layer in kept}
    return [i for i, layer in enumerate(layers) if id(layer) in ids]


def _become_input(layer: LayerParameter, phase: int, place: Place, batch: int | None) -> None:
    if batch is not None:
        getattr(layer, PARAMS[layer.type]).batch_size = batch
    shapes = top_shapes(layer, phase, place)
    for field in (PARAMS[layer.type], "transform_param"):
        layer.ClearField(field)
    layer.type = "Input"
    for shape in shapes:
        layer.input_param.shape.add(dim=shape)


def _set_batch(shapes: Iterable[Any], batch: int) -> None:
    for shape in shapes:
        if len(shape.dim):
            shape.dim[0] = batch


def clear_fillers(message: Message) -> None:
    """Fillers take time, and memory for what would else never be touched."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.name == "FillerParameter":
            message.ClearField(field.name)
        else:
            for part in value if _is_repeated(value) else [value]:
                clear_fillers(part)


def _is_repeated(value: Any) -> bool:
    return not isinstance(value, Message)


# -- counting -----------------------------------------------------------------------------------------------


def _row(node: Node, net: Net, types: dict[str, str], seen: set[int]) -> Row:
    layer = node.layer
    own = [blob for index, blob in enumerate(layer.blobs) if index not in layer.shares]
    counts = [blob.count for blob in own]
    learned = 0 if layer.default_lr_mult == 0 else sum(counts)
    made = [blob for blob in node.tops if id(blob) not in seen]
    seen.update(id(blob) for blob in made)
    return Row(
        name=node.name,
        type=types.get(node.name, layer.layer_param.type),
        tops=tuple(blob.shape for blob in node.tops),
        parameters=learned,
        statistics=sum(counts) - learned,
        multiply_adds=multiply_adds(node),
        activations=sum(FLOAT * blob.count * (1 + _has_diff(blob, node, net)) for blob in made),
        memory=FLOAT * sum(counts) * (2 if net.phase == TRAIN else 1),
    )


def _has_diff(blob: Blob, node: Node, net: Net) -> bool:
    """Whether training keeps a diff of a blob: some layer propagates to it, or it is a loss."""
    if net.phase == TEST:
        return False
    weights = dict(zip(map(id, node.tops), node.layer.loss_weights, strict=True))
    return bool(weights.get(id(blob))) or any(
        down and bottom is blob
        for reader in net.nodes
        if reader.goes_backward
        for bottom, down in zip(reader.bottoms, reader.propagate_down, strict=True)
    )


def multiply_adds(node: Node) -> int:
    """How many products with its parameters a layer sums up in a forward pass, biases left out."""
    layer, kind = node.layer, node.layer.layer_param.type
    if kind in _CONVOLUTIONS:
        # Each weight is used once at each place of the map, which a Deconvolution reads and a Convolution writes.
        maps = node.bottoms if kind == "Deconvolution" else node.tops
        axis = layer.layer_param.convolution_param.axis % maps[0].num_axes
        places = sum(prod(blob.shape[:axis]) * prod(blob.shape[axis + 1 :]) for blob in maps)
        return layer.blobs[0].count * places
    if kind == "InnerProduct":
        axis = layer.layer_param.inner_product_param.axis % max(1, node.bottoms[0].num_axes)
        return layer.blobs[0].count * prod(node.bottoms[0].shape[:axis])
    if isinstance(layer, Recurrent):
        return _recurrent(layer, node.bottoms)
    return 0


def _recurrent(layer: Recurrent, bottoms: Sequence[Blob]) -> int:
    """All matrices at each step of each stream, but for that of a static input, which is used once a stream."""
    steps, streams = bottoms[0].shape[:2]
    matrices = [blob.count for blob in layer.blobs if blob.num_axes == 2]
    static = matrices.pop(1) if layer.static else 0
    return streams * (steps * sum(matrices) + static)


# -- as a tree ----------------------------------------------------------------------------------------------


def at_depth(rows: Sequence[Row], depth: int) -> list[Row]:
    """Puts neighbours together whose names agree in their first `depth` parts, cut at each `/`."""
    result: list[Row] = []
    group: list[Row] = []
    for row in rows:
        if group and _prefix(row.name, depth) != _prefix(group[0].name, depth):
            result.append(_grouped(group, depth))
            group = []
        group.append(row)
    return [*result, *([_grouped(group, depth)] if group else [])]


def _prefix(name: str, depth: int) -> str:
    return "/".join(name.split("/")[:depth])


def _grouped(group: Sequence[Row], depth: int) -> Row:
    return group[0] if len(group) == 1 else _together(_prefix(group[0].name, depth), group)


def _together(name: str, rows: Sequence[Row]) -> Row:
    sums = {
        field: sum(getattr(row, field) for row in rows)
        for field in ("parameters", "statistics", "multiply_adds", "activations", "memory")
    }
    tops = rows[-1].tops if rows else ()
    return replace(Row(name, f"{len(rows)} layers", tops), **sums)
