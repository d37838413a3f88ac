"""The nets of a solver: one to train, any number to test."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

from pycaffe_lite import log
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST, TRAIN
from pycaffe_lite.proto.caffe_pb2 import NetParameter, NetState
from pycaffe_lite.proto.read import NetText, SolverText, find_file, read_net


class NetSource(NamedTuple):
    """Where a net stands: the field of the solver that gives it, and the file or the text there."""

    field: str
    value: str | NetParameter


def make_nets(text: SolverText) -> tuple[Net, list[Net]]:
    """Makes the net to be trained, and those to test: of test_net_param, of test_net, then of `net` as many as
    test_iter has left. A file that several of them are made of is read once.

    Raises:
        CaffeError: for a net that cannot be made; those before it are closed.
    """
    read = functools.cache(read_net)
    made: list[Net] = []
    try:
        source = train_source(text)
        made.append(_make(text_of(source, text, read), TRAIN, text.param.train_state))
        _load_weights(made[0], text)
        for i, source in enumerate(test_sources(text)):
            what = f"net file: {source.value}" if isinstance(source.value, str) else source.field
            log.info(f"Creating test net (#{i}) specified by {what}")
            state = text.param.test_state[i] if text.param.test_state else None
            made.append(_make(text_of(source, text, read), TEST, state))
            _load_weights(made[-1], text)
    except BaseException:
        for net in made:
            net.close()
        raise
    return made[0], made[1:]


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
        log.info(f"Creating training net from net file: {source.value}")
    else:
        log.info(f"Creating training net specified in {source.field}.")
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


def _make(text: NetText, phase: int, state: NetState | None) -> Net:
    return Net(text, state=state_of(text, phase, state))


def _load_weights(net: Net, text: SolverText) -> None:
    for names in text.param.weights:
        for name in names.split(","):
            log.info(f"Finetuning from {name.strip()}")
            net.copy_from(find_file(name.strip(), text.path, "weights file"))
