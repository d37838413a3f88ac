"""Making the layers of a net, in order, and wiring them by the names of their blobs."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from pycaffe_lite import log
from pycaffe_lite.blob import Blob, shape_text
from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.layers.registry import create
from pycaffe_lite.net.rules import filter_layers, insert_splits
from pycaffe_lite.proto.printer import to_text
from pycaffe_lite.proto.read import NetText

if TYPE_CHECKING:
    from pycaffe_lite.net import Net


def build_layers(net: Net, param: Any, text: NetText) -> list[str]:
    """Caffe's Net::Init: rules, splits, then layer by layer; the log lines are its own.

    Args:
        net: receives the layers, their bottoms and tops, the blobs and the parameters.
        param: the NetParameter; the layers that its rules leave out are removed from it.
        text: where it was read.

    Returns:
        the names of the blobs that no layer reads, in alphabetical order.
    """
    locations = [text.location(i) if text.path else "" for i in range(len(param.layer))]
    kept = filter_layers(param.layer, param.state, locations)
    layers = [param.layer[i] for i in kept]
    left_out = [param.layer[i] for i in sorted({*range(len(param.layer))} - {*kept})]
    del param.layer[:]
    param.layer.extend(layers)
    if log.enabled():
        log.info("Initializing net from parameters: \n" + to_text(param).rstrip("\n"))
    builder = _Builder(net)
    split = insert_splits(layers, [locations[i] for i in kept], left_out)
    for layer_param, location in zip(*split, strict=True):
        builder.append(layer_param, location)
    return sorted(builder.unread)


class _Builder:
    """Appends layers to a net.

    Attributes:
        net: the net.
        unread: the names of the blobs that no layer has read so far.
        memory: the bytes of all tops so far, as Caffe counts them.
    """

    def __init__(self, net: Net) -> None:
        self.net = net
        self.unread: dict[str, None] = {}
        self.memory = 0

    def append(self, layer_param: Any, location: str) -> None:
        """Makes one layer, wires it, builds it, and takes its parameters in."""
        net = self.net
        layer = self._make(layer_param, location)
        bottom = [self._take_bottom(layer_param, name) for name in layer_param.bottom]
        top = [self._make_top(layer, i) for i in range(_count_tops(layer))]
        net.layers.append(layer)
        net.bottoms.append(bottom)
        net.tops.append(top)
        net.bottom_names.append(list(layer_param.bottom))
        net.top_names.append(list(layer_param.top))
        shapes = [blob.shape for blob in bottom]
        layer.build(bottom, top)
        _check_in_place(layer, bottom, shapes)
        net.bottom_shapes.append([blob.shape for blob in bottom])
        self._log_tops(layer, top)
        _check_params(layer)
        for index in range(len(layer.blobs)):
            net.parameters.append(layer, index)

    def _make(self, layer_param: Any, location: str) -> Layer:
        if not layer_param.HasField("phase"):
            layer_param.phase = self.net.phase
        log.info(f"Creating layer {layer_param.name}")
        layer = create(layer_param, layer_param.phase, location)
        layer.folder, layer.dtype = self.net.folder, self.net.dtype
        layer.open()
        log.info(f"Creating Layer {layer_param.name}")
        bottoms, propagate = len(layer_param.bottom), layer_param.propagate_down
        if propagate and len(propagate) != bottoms:
            raise layer.error(
                f"expected no propagate_down or one for each of its {bottoms} bottom(s), got {len(propagate)}."
            )
        return layer

    def _take_bottom(self, layer_param: Any, name: str) -> Blob:
        log.info(f"{layer_param.name} <- {name}")
        self.unread.pop(name, None)
        return self.net.blobs[name]

    def _make_top(self, layer: Layer, index: int) -> Blob:
        """A new blob for a top; the bottom's own if the names agree at the same place (in place)."""
        param, blobs = layer.layer_param, self.net.blobs
        if index >= len(param.top):
            log.info(f"{layer.name} -> (automatic)")
            return Blob(dtype=self.net.dtype)
        name = param.top[index]
        if index < len(param.bottom) and param.bottom[index] == name:
            log.info(f"{layer.name} -> {name} (in-place)")
        elif name in blobs:
            raise layer.error(f'expected a new name for top {index}, but "{name}" is a top already.')
        else:
            log.info(f"{layer.name} -> {name}")
            blobs[name] = Blob(dtype=self.net.dtype)
        self.unread[name] = None
        return blobs[name]

    def _log_tops(self, layer: Layer, top: Sequence[Blob]) -> None:
        log.info(f"Setting up {layer.name}")
        for blob, weight in zip(top, layer.loss_weights, strict=True):
            log.info(f"Top shape: {shape_text(blob.shape)}")
            if weight:
                log.info(f"    with loss weight {log.number(weight)}")
            self.memory += blob.count * 4
        log.info(f"Memory required for data: {self.memory}")


def _count_tops(layer: Layer) -> int:
    named = len(layer.layer_param.top)
    return max(named, layer.num_tops[0]) if layer.auto_tops else named


def _check_in_place(layer: Layer, bottom: Sequence[Blob], shapes: Sequence[tuple[int, ...]]) -> None:
    """A top that is its bottom cannot have another size; Caffe would read and write beyond its memory."""
    for name, blob, shape in zip(layer.layer_param.bottom, bottom, shapes, strict=True):
        if blob.count != prod(shape):
            raise layer.error(
                f'expected a top of the size of its bottom "{name}", of shape {list(shape)}, to work in place, '
                f"got {list(blob.shape)}; give the top a name of its own."
            )


def _check_params(layer: Layer) -> None:
    most, given = len(layer.blobs), len(layer.layer_param.param)
    if given > most:
        raise layer.error(f"expected param {{ … }} at most {most} time(s), once a parameter, got {given}.")
