"""What nets put out, as numbers with names."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from pycaffe_lite import log
from pycaffe_lite.net import Net
from pycaffe_lite.solvers.report import Output


def net_outputs(net: Net) -> list[Output]:
    """The numbers a net has put out in its last forward pass, blob by blob in alphabetical order."""
    return label_outputs(net, output_values(net))


def output_values(net: Net) -> np.ndarray:
    """The values of `net_outputs`, as float64."""
    parts = [net.blobs[name].data.reshape(-1) for name in net.outputs]
    return np.concatenate([np.zeros(0), *parts])


def label_outputs(net: Net, values: np.ndarray) -> list[Output]:
    """Puts the names and loss weights of a net's outputs to as many values."""
    names = [(name, net.loss_weight(name), net.blobs[name].count) for name in net.outputs]
    labels = [(name, weight) for name, weight, count in names for _ in range(count)]
    return [Output(name, value, weight) for (name, weight), value in zip(labels, values.tolist(), strict=True)]


def mean_outputs(
    net: Net, batches: Iterable[int], tell: Callable[[int, list[Output]], None] | None = None
) -> tuple[list[Output], float]:
    """Runs a net forward, once for each of `batches`.

    Args:
        batches: their numbers, from 0; it may end early.
        tell: told of each batch what it put out.

    Returns:
        the means of its outputs, and of its weighted loss.
    """
    total_loss, sums, count = 0.0, np.zeros(0), 0
    for batch in batches:
        total_loss += net.forward_loss()
        values = output_values(net)
        sums, count = sums + values if count else values, count + 1
        if tell is not None:
            tell(batch, label_outputs(net, values))
    means = label_outputs(net, sums / count) if count else []
    return means, total_loss / max(1, count)


def output_text(output: Output) -> str:
    """An output as Caffe prints it: `loss = 0.1 (* 1 = 0.1 loss)`."""
    text = f"{output.name} = {log.number(output.value)}"
    if not output.loss_weight:
        return text
    weighted = log.number(output.value * output.loss_weight)
    return f"{text} (* {log.number(output.loss_weight)} = {weighted} loss)"
