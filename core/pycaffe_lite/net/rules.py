"""What a net's text becomes before its layers are made: layers that do not apply go, Splits come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pycaffe_lite import log
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.proto.caffe_pb2 import LayerParameter, NetState, NetStateRule
from pycaffe_lite.words import did_you_mean

# A bottom or top: the number of the layer, and which of its bottoms or tops.
Bottom = tuple[int, int]
Top = tuple[int, int]

_MOST_NAMES = 12


class LeftOut(CaffeError):
    """A bottom is a top of a layer that the net's state leaves out.

    Args:
        text: the sentence.
        maker: that layer.
    """

    def __init__(self, text: str, maker: LayerParameter) -> None:
        super().__init__(text)
        self.maker = maker


def filter_layers(
    layers: Sequence[LayerParameter], state: NetState, locations: Sequence[str]
) -> tuple[list[LayerParameter], list[str], list[LayerParameter]]:
    """Keeps the layers whose include and exclude rules fit a NetState.

    A layer without rules is in; with include rules, if any of them is met; with exclude rules, if none is.

    Args:
        layers: the LayerParameters.
        state: phase, level and stages of the net.
        locations: `file:line: ` of each layer, for errors.

    Returns:
        the layers that are in, their locations, and the layers that are left out.
    """
    included = [_included(layer, state, location) for layer, location in zip(layers, locations, strict=True)]
    kept = [i for i, fits in enumerate(included) if fits]
    left_out = [layer for layer, fits in zip(layers, included, strict=True) if not fits]
    return [layers[i] for i in kept], [locations[i] for i in kept], left_out


def _included(layer: LayerParameter, state: NetState, location: str) -> bool:
    if layer.include and layer.exclude:
        raise CaffeError(
            f'{location}layer "{layer.name}" ({layer.type}): expected include rules or exclude rules, got both; '
            "say with one kind when the layer is there."
        )
    if layer.include:
        return any(_meets(rule, state, layer.name) for rule in layer.include)
    return not any(_meets(rule, state, layer.name) for rule in layer.exclude)


def _meets(rule: NetStateRule, state: NetState, name: str) -> bool:
    """Whether a NetStateRule is met; if not, the log says why, in Caffe's words (scripts look for them)."""
    why = at = ""
    if rule.HasField("phase") and rule.phase != state.phase:
        why, at = f"phase ({state.phase}) differed from the phase ({rule.phase})", "net.cpp:296"
    elif rule.HasField("min_level") and state.level < rule.min_level:
        why, at = f"level ({state.level}) is under the min_level ({rule.min_level})", "net.cpp:306"
    elif rule.HasField("max_level") and state.level > rule.max_level:
        why, at = f"level ({state.level}) is above the max_level ({rule.max_level})", "net.cpp:316"
    if why:
        log.info(f"The NetState {why} specified by a rule in layer {name}", at)
        return False
    for stage in rule.stage:
        if stage not in state.stage:
            log.info(f"The NetState did not contain stage '{stage}' specified by a rule in layer {name}", "net.cpp:332")
            return False
    for stage in rule.not_stage:
        if stage in state.stage:
            log.info(f"The NetState contained a not_stage '{stage}' specified by a rule in layer {name}", "net.cpp:347")
            return False
    return True


def insert_splits(
    layers: Sequence[LayerParameter], locations: Sequence[str], left_out: Sequence[LayerParameter] = ()
) -> tuple[list[LayerParameter], list[str]]:
    """Puts a Split behind each blob that several bottoms, or one bottom and a loss weight, use.

    The names are Caffe's: the blob `fc` of layer `ip`, its top 0, gives `fc_ip_0_split_0`, `…_1`, … .

    Args:
        layers: the LayerParameters of the net; bottoms that now read a Split are renamed in them.
        locations: `file:line: ` of each layer, for errors.
        left_out: those that its rules left out, for errors.

    Returns:
        the layers with the Splits among them, and their locations.
    """
    producer, users = _count_users(layers, locations, left_out)
    next_user: Counter[Top] = Counter()
    new_layers, new_locations = [], []
    for i, (layer, location) in enumerate(zip(layers, locations, strict=True)):
        for j, blob in enumerate(layer.bottom):
            top = producer[i, j]
            if users[top] > 1:
                layer.bottom[j] = f"{_split_name(layers, top, blob)}_{next_user[top]}"
                next_user[top] += 1
        new_layers.append(layer)
        new_locations.append(location)
        for j, blob in enumerate(layer.top):
            if users[i, j] > 1:
                weight = _loss_weight(layer, j)
                new_layers.append(_split_layer(_split_name(layers, (i, j), blob), blob, users[i, j], weight))
                new_locations.append(location)
                if weight:  # the loss takes the first branch
                    layer.loss_weight[j] = 0
                    next_user[i, j] = 1
    return new_layers, new_locations


def _count_users(
    layers: Sequence[LayerParameter], locations: Sequence[str], left_out: Sequence[LayerParameter]
) -> tuple[dict[Bottom, Top], Counter[Top]]:
    """For each bottom (layer, index) the top it reads, and for each top how many read it."""
    current: dict[str, Top] = {}
    producer: dict[Bottom, Top] = {}
    users: Counter[Top] = Counter()
    for i, layer in enumerate(layers):
        for j, name in enumerate(layer.bottom):
            if name not in current:
                raise missing_bottom(layer, j, locations[i], list(current), left_out)
            producer[i, j] = current[name]
            users[current[name]] += 1
        for j, name in enumerate(layer.top):
            current[name] = (i, j)
            # A blob that is a loss and is also read on has two uses: its weight may go into one branch's diff only.
            if _loss_weight(layer, j):
                users[i, j] += 1
    return producer, users


def missing_bottom(
    layer: LayerParameter, index: int, location: str, tops: list[str], left_out: Sequence[LayerParameter]
) -> CaffeError:
    """What to say of a bottom that no layer makes; a LeftOut if a layer that is left out would make it.

    Args:
        layer: the layer that reads it.
        index: which of its bottoms it is.
        location: `file:line: ` of the layer.
        tops: the blobs there are so far.
        left_out: the layers that their rules leave out.
    """
    name = layer.bottom[index]
    maker = next((other for other in left_out if name in other.top), None)
    text = (
        f'{location}layer "{layer.name}" ({layer.type}): bottom {index}, "{name}", is no top of a layer '
        f"before it{_known(name, tops, maker)}"
    )
    return LeftOut(text, maker) if maker is not None else CaffeError(text)


def _known(name: str, current: list[str], maker: LayerParameter | None) -> str:
    """The end of the sentence: who would make the blob, or which blobs there are."""
    if maker is not None:
        return (
            f'; layer "{maker.name}" ({maker.type}) makes it, but the phase, level or stage in its include or exclude '
            "rules leaves it out here."
        )
    last = current[-_MOST_NAMES:]
    if len(last) < len(current):
        return did_you_mean(name, current, f"; the last of {len(current)} tops so far are {', '.join(last)}.")
    return f"; the tops so far are {', '.join(sorted(current))}." if current else "; there are no tops so far."


def _loss_weight(layer: LayerParameter, top: int) -> float:
    return layer.loss_weight[top] if top < len(layer.loss_weight) else 0.0


def _split_name(layers: Sequence[LayerParameter], top: Top, blob: str) -> str:
    return f"{blob}_{layers[top[0]].name}_{top[1]}_split"


def _split_layer(name: str, blob: str, users: int, weight: float) -> LayerParameter:
    """The Split behind a top; a loss weight moves to its first branch."""
    split = LayerParameter(name=name, type="Split", bottom=[blob], top=[f"{name}_{user}" for user in range(users)])
    if weight:
        split.loss_weight.extend([weight] + [0.0] * (users - 1))
    return split
