"""What a net's text becomes before its layers are made: layers that do not apply go, Splits come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pycaffe_lite import log
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.words import nearest

_MOST_NAMES = 12


def filter_layers(layers: Sequence[Any], state: Any, locations: Sequence[str]) -> list[int]:
    """The indices of the layers whose include and exclude rules fit a NetState.

    A layer without rules is in; with include rules, if any of them is met; with exclude rules, if none is.

    Args:
        layers: the LayerParameters.
        state: phase, level and stages of the net.
        locations: `file:line: ` of each layer, for errors.
    """
    return [i for i, layer in enumerate(layers) if _included(layer, state, locations[i])]


def _included(layer: Any, state: Any, location: str) -> bool:
    if layer.include and layer.exclude:
        raise CaffeError(
            f'{location}layer "{layer.name}" ({layer.type}): expected include rules or exclude rules, got both; '
            "say with one kind when the layer is there."
        )
    if layer.include:
        return any(_meets(rule, state, layer.name) for rule in layer.include)
    return not any(_meets(rule, state, layer.name) for rule in layer.exclude)


def _meets(rule: Any, state: Any, name: str) -> bool:
    """Whether a NetStateRule is met; if not, the log says why, in Caffe's words (scripts look for them)."""
    why = ""
    if rule.HasField("phase") and rule.phase != state.phase:
        why = f"phase ({state.phase}) differed from the phase ({rule.phase})"
    elif rule.HasField("min_level") and state.level < rule.min_level:
        why = f"level ({state.level}) is under the min_level ({rule.min_level})"
    elif rule.HasField("max_level") and state.level > rule.max_level:
        why = f"level ({state.level}) is above the max_level ({rule.max_level})"
    if why:
        log.info(f"The NetState {why} specified by a rule in layer {name}")
        return False
    for stage in rule.stage:
        if stage not in state.stage:
            log.info(f"The NetState did not contain stage '{stage}' specified by a rule in layer {name}")
            return False
    for stage in rule.not_stage:
        if stage in state.stage:
            log.info(f"The NetState contained a not_stage '{stage}' specified by a rule in layer {name}")
            return False
    return True


def insert_splits(
    layers: Sequence[Any], locations: Sequence[str], left_out: Sequence[Any] = ()
) -> tuple[list[Any], list[str]]:
    """Puts a Split behind each blob that several bottoms, or one bottom and a loss weight, use.

    The names are Caffe's: the blob `fc` of layer `ip`, its top 0, gives `fc_ip_0_split_0`, `…_1`, … .

    Args:
        layers: the LayerParameters of the net.
        locations: `file:line: ` of each layer, for errors.
        left_out: those that its rules left out, for errors.

    Returns:
        the layers with their bottoms renamed, and their locations.
    """
    producer, users = _count_users(layers, locations, left_out)
    next_user: Counter[tuple[int, int]] = Counter()
    new_layers, new_locations = [], []
    for i, layer in enumerate(layers):
        copy = type(layer)()
        copy.CopyFrom(layer)
        for j in range(len(layer.bottom)):
            place = producer[i, j]
            if users[place] > 1:
                copy.bottom[j] = _split_blob(layers, place, layer.bottom[j], next_user[place])
                next_user[place] += 1
        new_layers.append(copy)
        new_locations.append(locations[i])
        for j in range(len(layer.top)):
            if users[i, j] > 1:
                new_layers.append(_split_layer(layer, j, users[i, j]))
                new_locations.append(locations[i])
                if _loss_weight(layer, j):  # the loss takes the first branch
                    copy.loss_weight[j] = 0
                    next_user[i, j] = 1
    return new_layers, new_locations


def _count_users(
    layers: Sequence[Any], locations: Sequence[str], left_out: Sequence[Any]
) -> tuple[dict[tuple[int, int], tuple[int, int]], Counter[tuple[int, int]]]:
    """For each bottom (layer, index) the top it reads, and for each top how many read it."""
    current: dict[str, tuple[int, int]] = {}
    producer: dict[tuple[int, int], tuple[int, int]] = {}
    users: Counter[tuple[int, int]] = Counter()
    for i, layer in enumerate(layers):
        for j, name in enumerate(layer.bottom):
            if name not in current:
                raise CaffeError(
                    f'{locations[i]}layer "{layer.name}" ({layer.type}): bottom {j}, "{name}", is no top of a layer '
                    f"before it; {_known(name, current, left_out)}"
                )
            producer[i, j] = current[name]
            users[current[name]] += 1
        for j, name in enumerate(layer.top):
            current[name] = (i, j)
            # A blob that is a loss and is also read on has two uses: its weight may go into one branch's diff only.
            if _loss_weight(layer, j):
                users[i, j] += 1
    return producer, users


def _known(name: str, current: dict[str, tuple[int, int]], left_out: Sequence[Any]) -> str:
    """The end of the sentence: who would make the blob, or which blobs there are."""
    maker = next((layer for layer in left_out if name in layer.top), None)
    if maker is not None:
        return (
            f'layer "{maker.name}" ({maker.type}) makes it, but the phase, level or stage in its include or exclude '
            "rules leaves it out here."
        )
    close = nearest(name, list(current))
    if close and len(current) > _MOST_NAMES:
        return f'did you mean "{close}"?'
    last = list(current)[-_MOST_NAMES:]
    if len(last) < len(current):
        return f"the last of {len(current)} tops so far are {', '.join(last)}."
    return f"the tops so far are {', '.join(sorted(current))}." if current else "there are no tops so far."


def _loss_weight(layer: Any, top: int) -> float:
    return layer.loss_weight[top] if top < len(layer.loss_weight) else 0.0


def _split_base(layers: Sequence[Any], place: tuple[int, int], blob: str) -> str:
    return f"{blob}_{layers[place[0]].name}_{place[1]}_split"


def _split_blob(layers: Sequence[Any], place: tuple[int, int], blob: str, user: int) -> str:
    return f"{_split_base(layers, place, blob)}_{user}"


def _split_layer(layer: Any, top: int, users: int) -> Any:
    """The Split behind a top; a loss weight moves to its first branch."""
    blob = layer.top[top]
    split = type(layer)(name=f"{blob}_{layer.name}_{top}_split", type="Split", bottom=[blob])
    split.top.extend(f"{split.name}_{user}" for user in range(users))
    weight = _loss_weight(layer, top)
    if weight:
        split.loss_weight.extend([weight] + [0.0] * (users - 1))
    return split
