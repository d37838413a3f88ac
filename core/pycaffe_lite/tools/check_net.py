"""Checking a net: every layer that can be built is, and what is wrong with each is told at once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.layers.contract import Place
from pycaffe_lite.layers.registry import layer_class
from pycaffe_lite.net.build import Builder
from pycaffe_lite.net.rules import filter_layers, missing_bottom
from pycaffe_lite.phase import TRAIN
from pycaffe_lite.proto.caffe_pb2 import LayerParameter, NetState
from pycaffe_lite.proto.read import NetText
from pycaffe_lite.solvers.precheck import label_problems
from pycaffe_lite.tools.data_shapes import PARAMS, shapes_of_text
from pycaffe_lite.tools.findings import Findings

_MEASURES = ("Accuracy", "ArgMax", "DetectionEvaluate", "HDF5Output", "SegAccuracy", "Silence")
_WEIGHTED = {
    "Convolution": "convolution_param",
    "Deconvolution": "convolution_param",
    "Embed": "embed_param",
    "InnerProduct": "inner_product_param",
    "LSTM": "recurrent_param",
    "RNN": "recurrent_param",
}


@dataclass
class CheckedNet:
    """A net as far as it could be built.

    Attributes:
        phase: TRAIN or TEST.
        layers: the layers that are in it, with the `file:line: ` of each.
        builder: what could be built of them.
        unknown: the blobs of layers that could not, whose shapes nobody knows.
        loose: whether a layer reads a blob that nobody makes, or could not be read as it is.
    """

    phase: int
    layers: list[tuple[LayerParameter, str]]
    builder: Builder
    unknown: set[str] = field(default_factory=set)
    loose: bool = False

    @property
    def whole(self) -> bool:
        """Whether all of it could be built."""
        return len(self.builder.nodes) == len(self.layers)

    @property
    def sources(self) -> set[str]:
        """What its Data layers and the like read."""
        return {
            getattr(layer, PARAMS[layer.type]).source
            for layer, _ in self.layers
            if layer.type in PARAMS and layer.type != "MemoryData"
        }

    def close(self) -> None:
        """Stops the threads that read data."""
        self.builder.close()


def build(text: NetText, state: NetState, damaged: set[int], findings: Findings) -> CheckedNet:
    """Builds what can be built of a net, and takes down what is wrong with the rest.

    Args:
        text: the net.
        state: the state to build it for.
        damaged: the lines of layers in which something could not be read; nothing else is said of them.
        findings: receives the errors, at most one or two for each layer.
    """
    layers, left_out = _layers(text, state, findings)
    folder = os.path.dirname(text.path) or os.curdir
    net = CheckedNet(state.phase, layers, Builder(Place(folder=folder), state.phase))
    hurt = {text.location(i) for i, line in enumerate(text.layer_lines) if line in damaged}
    for layer, location in layers:
        _append(net, layer, location, left_out, location in hurt, findings, text.path)
    return net


def _layers(
    text: NetText, state: NetState, findings: Findings
) -> tuple[list[tuple[LayerParameter, str]], list[LayerParameter]]:
    """The layers that are in the net, with their places, and those that their rules leave out."""
    kept, left_out = [], []
    for i, layer in enumerate(text.param.layer):
        location = text.location(i)
        try:
            inside, _, outside = filter_layers([layer], state, [location])
        except CaffeError as problem:
            findings.error(problem, text.path)
            continue
        kept += [(layer, location) for layer in inside]
        left_out += outside
    return kept, left_out


def _append(
    net: CheckedNet,
    layer: LayerParameter,
    location: str,
    left_out: Sequence[LayerParameter],
    damaged: bool,
    findings: Findings,
    path: str,
) -> None:
    known = [*net.builder.blobs, *net.unknown]
    ready = not damaged
    net.loose |= damaged
    for i, name in enumerate(layer.bottom):
        if name not in known:
            net.loose = True
            findings.error(missing_bottom(layer, i, location, known, left_out), path)
        ready = ready and name in net.builder.blobs and name not in net.unknown
    if ready:
        ready = _build_layer(net, layer, location, findings, path)
    elif not damaged:
        with _told(findings, path):
            layer_class(layer.type, f'{location}layer "{layer.name}": ')
    shapes = shapes_of_text(layer, net.builder.place) if layer.type in PARAMS and not ready else None
    if shapes is not None:  # the data are not there, but the rest of the net can be looked at
        net.builder.blobs.update({name: Blob(shape) for name, shape in zip(layer.top, shapes, strict=False)})
    elif not ready:
        net.unknown.update(name for name in layer.top if name not in layer.bottom)


def _build_layer(net: CheckedNet, layer: LayerParameter, location: str, findings: Findings, path: str) -> bool:
    """Builds a layer whose bottoms are there; returns whether that went well."""
    builder, copy = net.builder, LayerParameter()
    copy.CopyFrom(layer)
    before, nodes = set(builder.blobs), len(builder.nodes)
    with _told(findings, path):
        try:
            builder.append(copy, location)
            return True
        except CaffeError:
            raise
        except Exception as problem:  # of a Python layer's own code
            raise CaffeError(f'{location}layer "{layer.name}" ({layer.type}): {problem!r}') from None
    for node in builder.nodes[nodes:]:
        node.layer.close()
    del builder.nodes[nodes:]
    for name in set(builder.blobs) - before:
        del builder.blobs[name]
    return False


@contextlib.contextmanager
def _told(findings: Findings, path: str) -> Iterator[None]:
    try:
        yield
    except CaffeError as problem:
        findings.error(problem, path)


# -- what usually is a mistake ------------------------------------------------------------------------------


def warn(net: CheckedNet, findings: Findings, trained: bool, weights: Sequence[str] = ()) -> None:
    """Warns of what can be, and seldom is meant.

    Args:
        net: the net.
        findings: receives the warnings, and the errors in the data's labels.
        trained: whether a solver trains it or tests with it, so that nobody but its own layers fills its blobs.
        weights: the names of the layers whose parameters come from a file.
    """
    for problem in label_problems(net.builder.nodes):
        findings.error(problem, "")
    _warn_of_equal_names(net, findings)
    losses = [i for i, (layer, _) in enumerate(net.layers) if _weight(layer)]
    if net.phase == TRAIN and trained and net.whole and not losses:
        path = net.layers[0][1].rpartition(":")[0].rpartition(":")[0] if net.layers else ""
        findings.warning(f"{path}: ", "the net has no loss, so that training changes nothing.")
    if not losses:
        return
    if not net.loose:
        _warn_of_unread(net, findings)
    if net.phase == TRAIN:
        if trained:
            _warn_of_idle_losses(net, losses, findings)
        _warn_of_zeros(net, findings, weights)


def _weight(layer: LayerParameter) -> float:
    """The weight of a layer's first loss, 0 if it is none."""
    if layer.loss_weight:
        return next((weight for weight in layer.loss_weight if weight), 0.0)
    return _loss_weight_of(layer.type)


def _loss_weight_of(kind: str) -> float:
    try:
        return layer_class(kind).loss_weight
    except CaffeError:
        return 0.0


def _said(layer: LayerParameter) -> str:
    return f'layer "{layer.name}" ({layer.type})'


def _warn_of_equal_names(net: CheckedNet, findings: Findings) -> None:
    first: dict[str, str] = {}
    for layer, location in net.layers:
        if layer.name in first:
            line = first[layer.name].removesuffix(": ").rpartition(":")[2]
            findings.warning(
                location,
                f"{_said(layer)} has the name of the layer on line {line}; weights files tell layers apart by name.",
            )
        first.setdefault(layer.name, location)


def _warn_of_unread(net: CheckedNet, findings: Findings) -> None:
    unread: dict[str, int] = {}
    for i, (layer, _) in enumerate(net.layers):
        for name in layer.bottom:
            unread.pop(name, None)
        unread.update(dict.fromkeys(layer.top, i))
    for name, i in unread.items():
        layer, location = net.layers[i]
        if layer.type not in _MEASURES and not _loss_weight_of(layer.type) and not _weight(layer):
            findings.warning(
                location, f'{_said(layer)}: nobody reads its top "{name}"; if that is meant, put a Silence behind it.'
            )


def _warn_of_idle_losses(net: CheckedNet, losses: Sequence[int], findings: Findings) -> None:
    makers: dict[str, int] = {}
    fed: list[bool] = []
    for i, (layer, _) in enumerate(net.layers):
        own = layer.type in PARAMS or (layer.type in ("Python", "DummyData") and not layer.bottom)
        if layer.type == "DummyData":
            own = any(filler.type != "constant" for filler in layer.dummy_data_param.data_filler)
        fed.append(own or any(name not in makers or fed[makers[name]] for name in layer.bottom))
        makers.update(dict.fromkeys(layer.top, i))
    for i in losses:
        if not fed[i]:
            layer, location = net.layers[i]
            findings.warning(location, f"{_said(layer)}: no data reach this loss, only what a solver never fills.")


def _warn_of_zeros(net: CheckedNet, findings: Findings, weights: Sequence[str]) -> None:
    parameters = net.builder.parameters
    if net.whole and parameters.lr_mult and not any(parameters.lr_mult):
        location = next(location for layer, location in net.layers if layer.param)
        findings.warning(location, "lr_mult is 0 in all layers, so that nothing is learned.")
    for node in net.builder.nodes:
        layer = node.layer.layer_param
        if layer.type not in _WEIGHTED or layer.name in weights or 0 in node.layer.shares:
            continue
        filler = getattr(layer, _WEIGHTED[layer.type]).weight_filler
        learns = not layer.param or layer.param[0].lr_mult
        if filler.type == "constant" and filler.value == 0 and learns:
            findings.warning(
                node.layer.location,
                f"{_said(layer)}: its weights are all 0 at first, for it has no weight_filler but the constant 0; "
                "nothing below it learns, and its outputs all learn the same.",
            )
