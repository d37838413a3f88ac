"""What the log says once weights are copied: what was taken, and whatever a user might not expect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pycaffe_lite.blob import shape_text
from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.words import short

if TYPE_CHECKING:
    from pycaffe_lite.net import Net

_MOST_ROWS = 30


class Fitted(NamedTuple):
    """A layer of the net, and what a file has for each of its parameters; None for one that it shares."""

    layer: Layer
    blobs: list[np.ndarray | None]


def report(net: Net, fitted: Sequence[Fitted], left_out: Sequence[tuple[str, int]], path: str) -> str:
    """A line that counts, and below it a table of what is not plainly copied.

    Args:
        net: the net.
        fitted: the layers that were copied.
        left_out: of the file's layers that the net does not have, the name and how many parameters it has.
        path: the file.
    """
    copied = [entry for entry in fitted if entry.blobs]
    kept = list(_kept(net, fitted))
    ignored = [(name, count) for name, count in left_out if count]
    parameters = sum(values is not None for entry in copied for values in entry.blobs)
    head = f"Weights of {path}: copied {_count(parameters, 'parameter')} of {_count(len(copied), 'layer')}"
    if kept:
        head += f"; {_count(len(kept), 'layer')} of the net not in the file"
    if ignored:
        head += f"; {_count(len(ignored), 'layer')} of the file not in the net"
    rows = [*_reshaped(copied), *map(_kept_row, kept), *(_row("left out", name, n) for name, n in ignored)]
    more = [f"    and {len(rows) - _MOST_ROWS} more"] if len(rows) > _MOST_ROWS else []
    return "\n".join([head + ".", *rows[:_MOST_ROWS], *more])


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _kept(net: Net, fitted: Sequence[Fitted]) -> Iterator[Layer]:
    """The layers with parameters of their own that the file has nothing for."""
    taken = {id(entry.layer) for entry in fitted}
    for layer in net.layers:
        if id(layer) not in taken and len(layer.blobs) > len(layer.shares):
            yield layer


def _kept_row(layer: Layer) -> str:
    return f'    not in the file   "{short(layer.name)}" ({layer.type}) keeps its values, of fillers or earlier weights'


def _reshaped(copied: Sequence[Fitted]) -> Iterator[str]:
    for layer, blobs in copied:
        for index, (blob, values) in enumerate(zip(layer.blobs, blobs, strict=True)):
            if values is not None and values.shape != blob.shape:
                shapes = f"{shape_text(values.shape)} to {shape_text(blob.shape)}"
                yield f'    reshaped          "{short(layer.name)}" ({layer.type}), parameter {index}: {shapes}'


def _row(what: str, name: str, count: int) -> str:
    return f'    {what:<17} "{short(name)}", {_count(count, "parameter")}'
