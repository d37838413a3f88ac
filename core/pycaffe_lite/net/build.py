"""Making the nodes of a net, in order, and wiring them by the names of their blobs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from math import prod

from pycaffe_lite import log
from pycaffe_lite.blob import Blob, shape_text
from pycaffe_lite.layers.contract import Layer, Place
from pycaffe_lite.layers.registry import create
from pycaffe_lite.net.node import Node
from pycaffe_lite.net.parameters import Parameters
from pycaffe_lite.net.rules import filter_layers, insert_splits
from pycaffe_lite.proto.caffe_pb2 import LayerParameter, NetParameter
from pycaffe_lite.proto.printer import to_text


def build(param: NetParameter, locations: Sequence[str], place: Place) -> Builder:
    """Caffe's Net::Init: rules, splits, then layer by layer; the log lines are its own.

    Args:
        param: what to build; bottoms that read a Split are renamed in it.
        locations: `file:line: ` of each layer, or nothing.
        place: what all layers have in common.

    Returns:
        the builder, with the nodes and all that belongs to them. If a layer fails, those before it are closed.
    """
    layers, locations, left_out = filter_layers(param.layer, param.state, locations)
    if log.enabled():
        log.info("Initializing net from parameters: \n" + _text(param, layers), "net.cpp:53")
    builder = Builder(place, param.state.phase)
    try:
        for layer_param, location in zip(*insert_splits(layers, locations, left_out), strict=True):
            builder.append(layer_param, location)
    except BaseException:
        builder.close()
        raise
    return builder


def _text(param: NetParameter, layers: Sequence[LayerParameter]) -> str:
    """The net with these layers alone, as the log shows it."""
    kept = NetParameter()
    kept.CopyFrom(param)
    del kept.layer[:]
    kept.layer.extend(layers)
    return to_text(kept).rstrip("\n")


class Builder:
    """Appends layers to a net that grows.

    Args:
        place: what all layers have in common; each gets its own location.
        phase: of layers that give none.

    Attributes:
        nodes: the layers in their places, in order.
        blobs: every blob by its name.
        parameters: the learnable parameters.
        unread: the names of the blobs that no layer has read so far.
    """

    def __init__(self, place: Place, phase: int) -> None:
        self.place, self.phase = place, phase
        self.nodes: list[Node] = []
        self.blobs: dict[str, Blob] = {}
        self.parameters = Parameters()
        self.unread: dict[str, None] = {}
        self._memory = 0  # the bytes of all tops so far, as Caffe counts them

    def append(self, layer_param: LayerParameter, location: str) -> None:
        """Makes one layer, wires it, builds it, and takes its parameters in."""
        layer = self._make(layer_param, location)
        bottoms = [self._take_bottom(layer_param, name) for name in layer_param.bottom]
        tops = [self._make_top(layer, i) for i in range(_count_tops(layer))]
        node = Node(layer, bottoms, tops, list(layer_param.bottom), list(layer_param.top))
        self.nodes.append(node)
        shapes = [blob.shape for blob in bottoms]
        node.build()
        _check_in_place(node, shapes)
        self._log_tops(node)
        _check_params(layer)
        for index in range(len(layer.blobs)):
            self.parameters.append(layer, index)

    def close(self) -> None:
        """Stops the threads that read data for the layers."""
        for node in self.nodes:
            node.layer.close()

    def _make(self, layer_param: LayerParameter, location: str) -> Layer:
        if not layer_param.HasField("phase"):
            layer_param.phase = self.phase
        log.info(f"Creating layer {layer_param.name}", "layer_factory.hpp:77")
        layer = create(layer_param, layer_param.phase, dataclasses.replace(self.place, location=location))
        layer.open()
        log.info(f"Creating Layer {layer_param.name}", "net.cpp:86")
        bottoms, propagate = len(layer_param.bottom), layer_param.propagate_down
        if propagate and len(propagate) != bottoms:
            raise layer.error(
                f"expected no propagate_down or one for each of its {bottoms} bottom(s), got {len(propagate)}."
            )
        return layer

    def _take_bottom(self, layer_param: LayerParameter, name: str) -> Blob:
        log.info(f"{layer_param.name} <- {name}", "net.cpp:408")
        self.unread.pop(name, None)
        return self.blobs[name]

    def _make_top(self, layer: Layer, index: int) -> Blob:
        """A new blob for a top; the bottom's own if the names agree at the same place (in place)."""
        param = layer.layer_param
        if index >= len(param.top):
            log.info(f"{layer.name} -> (automatic)", "net.cpp:382")
            return Blob(dtype=layer.dtype)
        name = param.top[index]
        if index < len(param.bottom) and param.bottom[index] == name:
            log.info(f"{layer.name} -> {name} (in-place)", "net.cpp:369")
        elif name in self.blobs:
            raise layer.error(f'expected a new name for top {index}, but "{name}" is a top already.')
        else:
            log.info(f"{layer.name} -> {name}", "net.cpp:382")
            self.blobs[name] = Blob(dtype=layer.dtype)
        self.unread[name] = None
        return self.blobs[name]

    def _log_tops(self, node: Node) -> None:
        log.info(f"Setting up {node.name}", "net.cpp:124")
        for blob, weight in zip(node.tops, node.layer.loss_weights, strict=True):
            log.info(f"Top shape: {shape_text(blob.shape)}", "net.cpp:131")
            if weight:
                log.info(f"    with loss weight {log.number(weight)}", "net.cpp:134")
            self._memory += blob.count * 4
        log.info(f"Memory required for data: {self._memory}", "net.cpp:139")


def _count_tops(layer: Layer) -> int:
    named = len(layer.layer_param.top)
    return max(named, layer.num_tops[0]) if layer.auto_tops else named


def _check_in_place(node: Node, shapes: Sequence[tuple[int, ...]]) -> None:
    """A top that is its bottom cannot have another size; Caffe would read and write beyond its memory."""
    for name, blob, shape in zip(node.bottom_names, node.bottoms, shapes, strict=True):
        if blob.count != prod(shape):
            raise node.layer.error(
                f'expected a top of the size of its bottom "{name}", of shape {list(shape)}, to work in place, '
                f"got {list(blob.shape)}; give the top a name of its own."
            )


def _check_params(layer: Layer) -> None:
    most, given = len(layer.blobs), len(layer.layer_param.param)
    if given > most:
        raise layer.error(f"expected param {{ … }} at most {most} time(s), once a parameter, got {given}.")
