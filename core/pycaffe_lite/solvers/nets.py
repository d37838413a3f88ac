"""The nets of a solver: one to train, any number to test."""

from __future__ import annotations

from typing import Any, NamedTuple

from pycaffe_lite import log
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST, TRAIN
from pycaffe_lite.proto.caffe_pb2 import NetState
from pycaffe_lite.proto.read import NetText, SolverText, find_file, read_net


class _Source(NamedTuple):
    """Where a net stands: the field of the solver that gives it, and the file or the text there."""

    field: str
    value: Any


def train_net(text: SolverText) -> Net:
    """Makes the net to be trained, from the one field that gives it."""
    param = text.param
    fields = ("net", "net_param", "train_net", "train_net_param")
    given = [field for field in fields if param.HasField(field)]
    if len(given) != 1:
        raise CaffeError(
            f"{text.path}: expected one of {', '.join(fields)} to give the net to train, "
            f"got {' and '.join(given) if given else 'none'}."
        )
    source = _Source(given[0], getattr(param, given[0]))
    if isinstance(source.value, str):
        log.info(f"Creating training net from net file: {source.value}")
    else:
        log.info(f"Creating training net specified in {source.field}.")
    net_text = _read(source, text)
    net = _make(net_text, TRAIN, param.train_state)
    try:
        _load_weights(net, text)
    except BaseException:
        net.close()
        raise
    return net


def add_test_nets(text: SolverText, nets: list[Net]) -> None:
    """Makes the test nets: those of test_net_param, of test_net, then of `net` as many as test_iter has left.

    Args:
        text: the solver.
        nets: receives them one by one, so that those made so far can be closed if the next one fails.
    """
    param = text.param
    for i, source in enumerate(_test_sources(text)):
        what = f"net file: {source.value}" if isinstance(source.value, str) else source.field
        log.info(f"Creating test net (#{i}) specified by {what}")
        nets.append(_make(_read(source, text), TEST, param.test_state[i] if param.test_state else None))
        _load_weights(nets[i], text)


def _test_sources(text: SolverText) -> list[_Source]:
    param = text.param
    sources = [_Source("test_net_param", value) for value in param.test_net_param]
    sources += [_Source("test_net", value) for value in param.test_net]
    generic = [_Source(field, getattr(param, field)) for field in ("net_param", "net") if param.HasField(field)]
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


def _read(source: _Source, text: SolverText) -> NetText:
    if isinstance(source.value, str):
        return read_net(find_file(source.value, text.path, source.field))
    return NetText(source.value, text.path, text.lines.get(f"{source.field}.layer", []))


def _make(text: NetText, phase: int, state: NetState | None) -> Net:
    """Builds a net; its state is the phase, then what the net's text says, then what the solver says."""
    given = NetState(phase=phase)
    given.MergeFrom(text.param.state)
    if state is not None:
        given.MergeFrom(state)
    return Net(text, state=given)


def _load_weights(net: Net, text: SolverText) -> None:
    for names in text.param.weights:
        for name in names.split(","):
            log.info(f"Finetuning from {name.strip()}")
            net.copy_from(find_file(name.strip(), text.path, "weights file"))
