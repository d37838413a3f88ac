"""Exact resume: all that decides how a run goes on, besides its weights and history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from pycaffe_lite import log, rng
from pycaffe_lite.errors import CaffeError, FileError
from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.net import Net
from pycaffe_lite.proto.printer import to_text
from pycaffe_lite.words import short

if TYPE_CHECKING:
    from pycaffe_lite.solvers.loop import Solver

State = dict[str, Any]


def collect(solver: Solver) -> State:
    """Where a run stands: data layers, random generators, carried states, the smoothed loss, scores and the policy.

    Returns:
        texts, numbers, lists, dicts and arrays of its own.
    """
    words, position = rng.get_state()
    return {
        "iter": solver.iter,
        "solver": to_text(solver.param),
        "generator": words.copy(),
        "generator_position": position,
        "smoothing": solver.smoothing.state(),
        "progress": solver.progress_state(),
        "nets": [{key: _own(_ask(layer, "state")) for key, layer in stateful(net)} for net in _nets(solver)],
    }


def apply(solver: Solver, state: State, path: str) -> None:
    """Goes on where `collect` was called.

    Raises:
        CaffeError: the state is of another run, such as one with other data.
    """
    try:
        _apply(solver, state)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as problem:
        raise FileError(f"{path} does not hold what it should: {type(problem).__name__} {problem}.") from None
    except CaffeError as problem:
        raise CaffeError(
            f"{problem} That does not fit the state in {path}; remove that file to begin the data anew."
        ) from None


def _apply(solver: Solver, state: State) -> None:
    nets = _nets(solver)
    for net, saved in zip(nets, state["nets"], strict=False):
        for key, layer in stateful(net):
            if key in saved:
                _ask(layer, "restore", saved[key])
            else:
                log.warning(f'layer "{layer.name}" was not there when the snapshot was taken; it begins anew.')
    if len(nets) != len(state["nets"]):
        log.warning(f"The snapshot has the state of {len(state['nets'])} net(s), this run has {len(nets)}.")
    rng.set_state(state["generator"], int(state["generator_position"]))
    solver.smoothing.restore(state["smoothing"])
    solver.restore_progress(state["progress"])


def _nets(solver: Solver) -> list[Net]:
    return [solver.net, *solver.test_nets]


def stateful(net: Net) -> Iterator[tuple[str, Layer | Any]]:
    """The layers that have `state` and `restore`, each with a key of its own: its name, numbered if not unique.

    A user's Python layer that remembers anything between passes may have both, too.
    """
    seen: dict[str, int] = {}
    for layer in net.layers:
        if callable(getattr(layer, "state", None)) and callable(getattr(layer, "restore", None)):
            times = seen[layer.name] = seen.get(layer.name, 0) + 1
            yield (layer.name if times == 1 else f"{layer.name}#{times}"), layer


def _ask(layer: Any, method: str, *args: Any) -> Any:
    """Calls a layer's method; what a user's layer may raise becomes a CaffeError."""
    try:
        return getattr(layer, method)(*args)
    except CaffeError:
        raise
    except Exception as problem:
        raise layer.error(f"its {method}() failed: {type(problem).__name__}: {problem}.") from problem


def _own(value: Any) -> Any:
    """A copy that shares no memory with a layer."""
    if isinstance(value, dict):
        return {key: _own(inner) for key, inner in value.items()}
    return value.copy() if isinstance(value, np.ndarray) else value


def changed_settings(before: str, solver: Solver) -> list[str]:
    """The solver's settings that are others than those of a text: `base_lr: 0.1 -> 0.01`."""
    from pycaffe_lite.proto.text import parse

    try:
        old = parse(before, type(solver.param))
    except CaffeError:
        return []  # a later version's text
    fields = {field.name: field for message in (old, solver.param) for field, _ in message.ListFields()}
    texts = [{name: _field_text(message, field) for name, field in fields.items()} for message in (old, solver.param)]
    return [f"{name}: {texts[0][name]} -> {texts[1][name]}" for name in fields if texts[0][name] != texts[1][name]]


def _field_text(message: Any, field: Any) -> str:
    """A field's value in one line; of one that is not given, its default."""
    one = type(message)()
    value = getattr(message, field.name)
    if hasattr(value, "extend"):
        getattr(one, field.name).extend(value)
    elif field.message_type is not None:
        getattr(one, field.name).CopyFrom(value)
    else:
        setattr(one, field.name, value)
    lines = to_text(one).split("\n")
    values = [line.split(": ", 1)[-1].strip() for line in lines if line.strip()]
    return short(", ".join(values)) or "none"
