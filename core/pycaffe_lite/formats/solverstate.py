"""The binary .solverstate: where a solver is, and what its update rule remembers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from pycaffe_lite.formats.blobproto import Values, blob_of, blob_pieces, with_blobs
from pycaffe_lite.formats.reading import MOST, Check, Unfit
from pycaffe_lite.formats.wire import BYTES, VARINT, parts, read_message, signed, text_of
from pycaffe_lite.proto.caffe_pb2 import SolverState


class StateFile(NamedTuple):
    """A .solverstate: the iteration, the file of weights, the step of `multistep`, the update's history."""

    iter: int
    learned_net: str
    current_step: int
    history: Sequence[Values]


def state_pieces(state: StateFile) -> list[bytes]:
    """The bytes of a file."""
    message = SolverState(iter=state.iter, learned_net=state.learned_net, current_step=state.current_step)
    return with_blobs(message, "history", [blob_pieces(values) for values in state.history])


def read_state(path: str, check: Check | None = None) -> StateFile:
    """What is in a file.

    Raises:
        FileError: the file is missing, unreadable, truncated, or not a solver's state.
    """
    return read_message(os.fspath(path), "a solver's state (.solverstate)", _state, check)


def _state(data: bytes) -> StateFile:
    history: list[Values] = []
    state, known = StateFile(0, "", 0, history), False
    for part in parts(data, 0, len(data)):
        if part.number == 1 and part.wire == VARINT:
            state, known = state._replace(iter=signed(part.value)), True
        elif part.number == 2 and part.wire == BYTES:
            state = state._replace(learned_net=text_of(data, part))
        elif part.number == 3 and part.wire == BYTES:
            history.append(blob_of(data, part.start, part.stop))
        elif part.number == 4 and part.wire == VARINT:
            state = state._replace(current_step=signed(part.value))
        elif part.number <= 4:
            raise Unfit("it has other fields than a solver's state")
        if len(history) > MOST:
            raise Unfit("it has more history than any solver's state")
    if not known:
        raise Unfit("it does not say which iteration it is of")
    return state
