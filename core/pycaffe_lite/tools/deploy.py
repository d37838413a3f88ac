"""The net that is run, from the net that is trained: inputs for its data, predictions for its losses."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pycaffe_lite import log
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.layers.contract import Place
from pycaffe_lite.layers.registry import layer_class
from pycaffe_lite.net import Net
from pycaffe_lite.net.rules import filter_layers, insert_splits
from pycaffe_lite.paths import read_text
from pycaffe_lite.phase import TEST, TRAIN
from pycaffe_lite.proto.caffe_pb2 import LayerParameter, NetParameter, NetState
from pycaffe_lite.proto.printer import to_text
from pycaffe_lite.proto.read import NetText, read_net
from pycaffe_lite.proto.spans import Edits, Span, spans_of
from pycaffe_lite.proto.text import parse
from pycaffe_lite.proto.tokens import PositionedText
from pycaffe_lite.tools.data_shapes import PARAMS, top_shapes
from pycaffe_lite.tools.net_summary import clear_fillers

PREDICTIONS = {
    "SoftmaxWithLoss": "Softmax",
    "InfogainLoss": "Softmax",
    "SigmoidCrossEntropyLoss": "Sigmoid",
}
"""The losses that compute a prediction themselves, and by what; all others are given theirs."""

_SCORES = ("Accuracy", "DetectionEvaluate", "HDF5Output", "SegAccuracy")


def deploy(path: str, *, batch: int | None = None, level: int = 0, stages: Sequence[str] = ()) -> str:
    """The text of the net to run, made of the text of a net to train and test.

    Of its TEST net the data layers become Input layers of their shapes, losses the predictions they compute, and
    Accuracy, SegAccuracy and DetectionEvaluate go with all that only they, labels and losses need. Everything else
    stays as it is written, with its comments. A loss that another one of the same type on the same labels outweighs is
    there for training and goes. Of a TEST net without losses those of the TRAIN net tell the predictions.

    Args:
        path: the net, a prototxt; of an older form the upgraded one is used, without comments.
        batch: the batch size; default: that of the TEST net.
        level, stages: of the net's state, for its rules.

    Raises:
        CaffeError: the net cannot be built, or nothing in it is left to run.
    """
    text = read_net(path)
    state = NetState(phase=TEST, level=level, stage=[*text.param.state.stage, *stages])
    plan = _plan(text, state, batch)
    result = _rewrite(text, plan)
    _check(result, path, batch)
    return result


class _Plan(NamedTuple):
    """What becomes of each layer: nothing (None), the same (empty), or another text."""

    texts: list[str | None]
    names: set[str]


class _Graph:
    """The layers of the TEST net and who reads whom, by their numbers.

    Attributes:
        layers: the layers.
        makers: for each layer, the number of the layer that makes each of its bottoms.
        unread: the layers that make a top which nobody reads.
    """

    def __init__(self, layers: Sequence[LayerParameter]) -> None:
        self.layers = layers
        self.makers: list[list[int]] = []
        current: dict[str, int] = {}
        unread: dict[str, int] = {}
        for i, layer in enumerate(layers):
            self.makers.append([current[name] for name in layer.bottom])
            for name in layer.bottom:
                unread.pop(name, None)
            for name in layer.top:
                current[name] = unread[name] = i
        self.unread = set(unread.values())

    def above(self, wanted: set[int]) -> set[int]:
        """These layers and all that they need."""
        result = set(wanted)
        for i in reversed(range(len(self.layers))):
            if i in result:
                result.update(self.makers[i])
        return result

    def twin(self, loss: int, kind: str) -> int | None:
        """A layer that computes the prediction of a loss already."""
        maker = self.makers[loss][0]
        for i, layer in enumerate(self.layers):
            if layer.type == kind and self.makers[i] == [maker] and layer.bottom[0] == self.layers[loss].bottom[0]:
                return i
        return None


# -- what stays ---------------------------------------------------------------------------------------------


def _plan(text: NetText, state: NetState, batch: int | None) -> _Plan:
    locations = [text.location(i) for i in range(len(text.param.layer))]
    layers, places, left_out = filter_layers(text.param.layer, state, locations)
    insert_splits([_copy(layer) for layer in layers], places, left_out)  # for its errors: bottoms that nobody makes
    if not _losses(layers):
        layers, places = _with_losses_of_training(text, layers, places, state)
    graph = _Graph(layers)
    losses = _losses(layers)
    main = [i for i in losses if not _is_outweighed(i, losses, layers)]
    for i in losses.keys() - main:
        log.info(f'The loss "{layers[i].name}" is there for training alone, next to a larger one; it goes.')
    texts: dict[int, str] = {}
    wanted = {i for i in graph.unread if _is_output(layers[i], i in losses)}
    several = sum(layers[i].type in PREDICTIONS for i in main) > 1
    for i in main:
        kind = PREDICTIONS.get(layers[i].type)
        twin = graph.twin(i, kind) if kind else None
        if kind and twin is None:
            texts[i] = _prediction(layers[i], kind, _new_name(layers, layers[i].bottom[0] if several else ""))
            wanted.add(graph.makers[i][0])
        else:
            wanted.update([twin] if twin is not None else _predictions(graph, i))
    # What finds boxes is no loss's prediction: in training SSD compares with what it is made of.
    wanted |= {graph.makers[i][0] for i, layer in enumerate(layers) if layer.type == "DetectionEvaluate"}
    if not main and not wanted:
        wanted = {graph.makers[i][0] for i, layer in enumerate(layers) if layer.type == "Accuracy"}
    live = graph.above(wanted) | texts.keys()
    live |= {i for i, layer in enumerate(layers) if layer.type == "Silence" and live.issuperset(graph.makers[i])}
    if not live:
        raise CaffeError(f"{text.path}: expected a net with a loss or an output, got none; there is nothing to run.")
    read = {name for i in live for name in layers[i].bottom[: 1 if i in texts else None]}
    for i in sorted(live - texts.keys()):
        if _is_data(layers[i]):
            texts[i] = _input(layers[i], Place(places[i], os.path.dirname(text.path) or os.curdir), batch, read)
    by_id = {id(layer): i for i, layer in enumerate(layers)}
    numbers = [by_id.get(id(layer), -1) for layer in text.param.layer]
    kept = [texts.get(i, "") if i in live else None for i in numbers]
    return _Plan(kept, {layers[i].name for i in live})


def _with_losses_of_training(
    text: NetText, layers: Sequence[LayerParameter], places: Sequence[str], state: NetState
) -> tuple[list[LayerParameter], list[str]]:
    """The layers of a TEST net without losses, and among them the TRAIN net's losses on what the TEST net computes."""
    train = NetState(phase=TRAIN, level=state.level, stage=state.stage)
    locations = [text.location(i) for i in range(len(text.param.layer))]
    trained, _, _ = filter_layers(text.param.layer, train, locations)
    losses = [trained[i] for i in _losses(trained)]
    tops = {name for layer in layers for name in layer.top}
    wanted = {id(layer) for layer in layers} | {id(loss) for loss in losses if tops.issuperset(loss.bottom)}
    kept = [i for i, layer in enumerate(text.param.layer) if id(layer) in wanted]
    return [text.param.layer[i] for i in kept], [locations[i] for i in kept]


def _copy(layer: LayerParameter) -> LayerParameter:
    copy = LayerParameter()
    copy.CopyFrom(layer)
    return copy


def _losses(layers: Sequence[LayerParameter]) -> dict[int, float]:
    """The layers whose type is that of a loss, with their weights; those of weight 0 are only shown."""
    weights = {}
    for i, layer in enumerate(layers):
        default = layer_class(layer.type, f'layer "{layer.name}": ').loss_weight
        if default:
            weights[i] = layer.loss_weight[0] if layer.loss_weight else default
    return {i: weight for i, weight in weights.items() if weight}


def _is_outweighed(i: int, losses: dict[int, float], layers: Sequence[LayerParameter]) -> bool:
    return any(
        weight > losses[i] and layers[j].type == layers[i].type and layers[j].bottom[1:] == layers[i].bottom[1:]
        for j, weight in losses.items()
    )


def _is_output(layer: LayerParameter, is_loss: bool) -> bool:
    """Whether a layer whose top nobody reads is one that is run for it."""
    shown = layer.type in _SCORES or bool(layer_class(layer.type).loss_weight)
    return not (is_loss or shown or _is_data(layer) or not layer.bottom)


def _is_data(layer: LayerParameter) -> bool:
    """Whether a layer's values come from outside; a DummyData of constants is part of the net."""
    if layer.type == "DummyData":
        return any(filler.type != "constant" for filler in layer.dummy_data_param.data_filler)
    return layer.type in PARAMS or (layer.type == "Python" and not layer.bottom)


def _predictions(graph: _Graph, loss: int) -> Iterator[int]:
    """The layers that make what a loss compares with its targets: those of its bottoms that learn, else the first."""
    makers = graph.makers[loss]
    learning = [maker for maker in makers if any(_learns(graph.layers[i]) for i in graph.above({maker}))]
    yield from learning or makers[:1]


def _learns(layer: LayerParameter) -> bool:
    fields = ("convolution_param", "inner_product_param", "embed_param", "recurrent_param", "scale_param", "bias_param")
    return any(layer.HasField(name) for name in fields) or layer.type in ("PReLU", "Parameter", "Scale", "Bias")


# -- new layers ---------------------------------------------------------------------------------------------


def _new_name(layers: Sequence[LayerParameter], bottom: str) -> str:
    taken = {name for layer in layers for name in (layer.name, *layer.top)}
    wanted = f"prob_{bottom}" if bottom else "prob"
    return next(name for name in (wanted, *(f"{wanted}{i}" for i in range(2, len(taken) + 3))) if name not in taken)


def _prediction(loss: LayerParameter, kind: str, name: str) -> str:
    layer = LayerParameter(name=name, type=kind, bottom=[loss.bottom[0]], top=[name])
    if kind == "Softmax" and loss.HasField("softmax_param"):
        layer.softmax_param.CopyFrom(loss.softmax_param)
    elif loss.type == "InfogainLoss" and loss.infogain_loss_param.HasField("axis"):
        layer.softmax_param.axis = loss.infogain_loss_param.axis
    return _text_of(layer)


def _input(layer: LayerParameter, place: Place, batch: int | None, read: set[str]) -> str:
    """The Input layer for a data layer, with those of its tops that are read; a comment says what values it had."""
    shapes = top_shapes(layer, TEST, place)
    made = LayerParameter(name=layer.name, type="Input")
    for name, shape in zip(layer.top, shapes, strict=True):
        if name in read:
            made.top.append(name)
            made.input_param.shape.add(dim=[batch, *shape[1:]] if batch and shape else shape)
    text = _text_of(made)
    transform = type(layer.transform_param)()
    transform.CopyFrom(layer.transform_param)
    for field in ("crop_size", "mirror"):
        transform.ClearField(field)
    if not transform.ListFields():
        return text
    values = " ".join(to_text(transform).split())
    return text.removesuffix("}") + f"  # values as after transform_param {{ {values} }}\n}}"


def _text_of(layer: LayerParameter) -> str:
    """A layer as it is written by hand: messages inside on a line."""
    lines: list[str] = []
    for line in to_text(layer).splitlines():
        if line.startswith(("  ", "}")):
            lines[-1] += " " + line.strip()
        else:
            lines.append(line)
    return "layer {\n" + "".join(f"  {line}\n" for line in lines) + "}"


# -- the text -----------------------------------------------------------------------------------------------


def _rewrite(text: NetText, plan: _Plan) -> str:
    source, spans = _source(text)
    edits = Edits(source.text)
    layers = [span for span in spans if span.name == "layer"]
    for span, layer, new in zip(layers, text.param.layer, plan.texts, strict=True):
        if new is None:
            edits.remove(span, comments=layer.name not in plan.names)
        elif new:
            edits.replace(span.start, span.end, new)
        else:
            for inner in span.named("include", "exclude", "loss_weight"):
                edits.remove(inner)
    for span in spans:
        if span.name in ("state", "force_backward", "debug_info"):
            edits.remove(span)
    return re.sub(r"\n{3,}", "\n\n", edits.result()).strip("\n") + "\n"


def _source(text: NetText) -> tuple[PositionedText, list[Span]]:
    """The text as it is written if that is what was read, else the upgraded one."""
    written = PositionedText(read_text(text.path, "a net"), text.path)
    spans = spans_of(written)
    same = sum(span.name == "layer" for span in spans) == len(text.param.layer)
    if same and parse(written.text, NetParameter, text.path) == text.param:
        return written, spans
    log.info(f"{text.path} is of an older form; the upgraded one is used, without comments.")
    printed = PositionedText(to_text(text.param), text.path)
    return printed, spans_of(printed)


def _check(result: str, path: str, batch: int | None) -> None:
    """Builds the net; what fails then is a layer that does not go with the batch size."""
    param = parse(result, NetParameter, f"{path} for deploying")
    clear_fillers(param)
    try:
        Net(param, TEST).close()
    except CaffeError as problem:
        hint = f" at batch size {batch}" if batch else ""
        raise CaffeError(f"{path}: what is left to run cannot be built{hint}: {problem}") from None
