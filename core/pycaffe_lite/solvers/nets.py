"""The nets of a solver: one to train, any number to test."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

from pycaffe_lite import log
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net
from pycaffe_lite.net.rules import LeftOut
from pycaffe_lite.paths import find_file
from pycaffe_lite.phase import TEST, TRAIN
from pycaffe_lite.proto.caffe_pb2 import LayerParameter, NetParameter, NetState
from pycaffe_lite.proto.read import NetText, SolverText, read_net
from pycaffe_lite.ranks import ALL, Share


class NetSource(NamedTuple):
    """Where a net stands: the field of the solver that gives it, and the file or the text there."""

    field: str
    value: str | NetParameter


def make_nets(text: SolverText, share: Share = ALL) -> tuple[Net, list[Net]]:
    """Makes the net to be trained, and those to test: of test_net_param, of test_net, then of `net` as many as
    test_iter has left. A file that several of them are made of is read once.

    Args:
        share: what of the data the net to be trained reads; rank 0 alone has nets to test.

    Raises:
        CaffeError: for a net that cannot be made; those before it are closed.
    """
    read = functools.cache(read_net)
    made: list[Net] = []
    try:
        source = train_source(text)
        made.append(_make(text_of(source, text, read), TRAIN, text.param.train_state, share))
        _load_weights(made[0], text)
        for i, source in enumerate(test_sources(text) if share.rank == 0 else ()):
            what = f"net file: {source.value}" if isinstance(source.value, str) else source.field
            log.info(f"Creating test net (#{i}) specified by {what}", "solver.cpp:190")
            state = text.param.test_state[i] if text.param.test_state else None
            try:
                made.append(_make(text_of(source, text, read), TEST, state))
            except LeftOut as problem:
                raise CaffeError(
                    f"{problem} {_state_hint(i, problem.maker, text.param.train_state, state or NetState())}"
                ) from None
            _load_weights(made[-1], text)
            _warn_of_own_values(made[0], made[-1], i)
    except BaseException:
        for net in made:
            net.close()
        raise
    return made[0], made[1:]


# Where Caffe says of which field the train net is.
_TRAIN_NET_AT = {
    "train_net_param": "solver.cpp:88",
    "train_net": "solver.cpp:92",
    "net_param": "solver.cpp:97",
    "net": "solver.cpp:102",
}


def train_source(text: SolverText) -> NetSource:
    """The one field that gives the net to be trained."""
    param = text.param
    fields = ("net", "net_param", "train_net", "train_net_param")
    given = [field for field in fields if param.HasField(field)]
    if len(given) != 1:
        raise CaffeError(
            f"{text.path}: expected one of {', '.join(fields)} to give the net to train, "
            f"got {' and '.join(given) if given else 'none'}."
        )
    source = NetSource(given[0], getattr(param, given[0]))
    if isinstance(source.value, str):
        log.info(f"Creating training net from net file: {source.value}", _TRAIN_NET_AT[source.field])
    else:
        log.info(f"Creating training net specified in {source.field}.", _TRAIN_NET_AT[source.field])
    return source


def test_sources(text: SolverText) -> list[NetSource]:
    """Where the nets to be tested stand, one for each test_iter."""
    param = text.param
    sources = [NetSource("test_net_param", value) for value in param.test_net_param]
    sources += [NetSource("test_net", value) for value in param.test_net]
    generic = [NetSource(field, getattr(param, field)) for field in ("net_param", "net") if param.HasField(field)]
    runs = len(param.test_iter)
    if runs < len(sources) or (not generic and runs != len(sources)):
        raise CaffeError(
            f"{text.location('test_iter')}expected test_iter once for each of the {len(sources)} test net(s), "
            f"got {runs}."
        )
    sources += generic * (runs - len(sources))
    if param.test_state and len(param.test_state) != len(sources):
        raise CaffeError(
            f"{text.location('test_state')}expected no test_state or one for each of the {len(sources)} test net(s), "
            f"got {len(param.test_state)}."
        )
    if sources and param.test_interval < 1:
        raise CaffeError(
            f"{text.location('test_iter')}expected a test_interval of 1 or more with test_iter, "
            f"got {param.test_interval}."
        )
    return sources


def text_of(source: NetSource, text: SolverText, read: Callable[[str], NetText]) -> NetText:
    """The text of a net; `read` reads a file."""
    if isinstance(source.value, str):
        return read(find_file(source.value, text.path, source.field))
    return NetText(source.value, text.path, text.lines.get(f"{source.field}.layer", []))


def state_of(text: NetText, phase: int, state: NetState | None) -> NetState:
    """The state of a net: the phase, then what the net's text says, then what the solver says."""
    given = NetState(phase=phase)
    given.MergeFrom(text.param.state)
    if state is not None:
        given.MergeFrom(state)
    return given


def _make(text: NetText, phase: int, state: NetState | None, share: Share = ALL) -> Net:
    return Net(text, state=state_of(text, phase, state), share=share)


def _state_hint(number: int, maker: LayerParameter, train: NetState, test: NetState) -> str:
    """The sentence behind an error: which net it is, and what of the train net's state it would have needed.

    Args:
        number: of the test net.
        maker: the layer that its state leaves out.
        train, test: what the solver says of the states.
    """
    rules = [*maker.include, *maker.exclude]
    asked = {stage for rule in rules for stage in (*rule.stage, *rule.not_stage)}
    fields = [f'stage: "{stage}"' for stage in train.stage if stage in asked and stage not in test.stage]
    if train.level != test.level and any(rule.HasField("min_level") or rule.HasField("max_level") for rule in rules):
        fields.append(f"level: {train.level}")
    which = f"This is the TEST net (#{number})"
    if not fields:
        return f"{which}."
    return (
        f"{which}: --stage, --level and train_state reach the train net alone; give the solver "
        f"test_state {{ {' '.join(fields)} }}, once for each test net."
    )


def _warn_of_own_values(train: Net, test: Net, number: int) -> None:
    """Warns of layers that only a test net has, and that share a parameter's name with a layer of the train net.

    Test nets take parameters by the names of layers, as in Caffe: such a layer keeps what it was filled with.
    """
    owners: dict[str, str] = {}
    for layer in train.layers:
        for spec in layer.layer_param.param[: len(layer.blobs)]:
            if spec.name:
                owners.setdefault(spec.name, layer.name)
    for layer in test.layers:
        for spec in layer.layer_param.param[: len(layer.blobs)] if layer.name not in train.layer_names else ():
            if spec.name in owners:
                owner = owners[spec.name]
                advice = "" if owner in test.layer_names else f'; name it "{owner}" as well'
                log.warning(
                    f'{layer.location}layer "{layer.name}" ({layer.type}) of test net (#{number}) keeps its own values '
                    f'of "{spec.name}": those that layer "{owner}" trains go to the test layer of that name alone, as '
                    f"in Caffe{advice}."
                )


def _load_weights(net: Net, text: SolverText) -> None:
    for names in text.param.weights:
        for name in names.split(","):
            log.info(f"Finetuning from {name.strip()}", "solver.cpp:72")
            net.copy_from(find_file(name.strip(), text.path, "weights file"))
