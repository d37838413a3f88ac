"""What nets put out, as numbers with names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from pycaffe_lite import log
from pycaffe_lite.blob import Array
from pycaffe_lite.kernels.average_precision import VERSIONS
from pycaffe_lite.net import Net
from pycaffe_lite.solvers.detections import Precision, evaluations, precision_of
from pycaffe_lite.solvers.report import Output


class Means(NamedTuple):
    """What a net has put out in several forward passes.

    Attributes:
        outputs: the means of its outputs, blob by blob in alphabetical order; of one that DetectionEvaluate gives, the
            mean average precision over all passes.
        loss: the mean of its weighted loss.
        precisions: for each such output what its mean is of.
    """

    outputs: list[Output]
    loss: float
    precisions: dict[str, Precision]


def net_outputs(net: Net) -> list[Output]:
    """The numbers a net has put out in its last forward pass, blob by blob in alphabetical order.

    What DetectionEvaluate gives is no result before all passes are done, and is left out.
    """
    return _label(net, _numbers(net), _values(net))


def _numbers(net: Net) -> list[str]:
    """The outputs that are numbers to be averaged."""
    evaluated = evaluations(net.nodes)
    return [name for name in net.outputs if name not in evaluated]


def _values(net: Net) -> np.ndarray:
    """Of the outputs that are numbers, as float64."""
    parts = [net.blobs[name].data.reshape(-1) for name in _numbers(net)]
    return np.concatenate([np.zeros(0), *parts])


def _label(net: Net, outputs: Iterable[str], values: np.ndarray) -> list[Output]:
    """Puts the names and loss weights of outputs to as many values."""
    names = [(name, net.loss_weight(name), net.blobs[name].count) for name in outputs]
    labels = [(name, weight) for name, weight, count in names for _ in range(count)]
    return [Output(name, value, weight) for (name, weight), value in zip(labels, values.tolist(), strict=True)]


def mean_outputs(
    net: Net,
    batches: Iterable[int],
    tell: Callable[[int, list[Output]], None] | None = None,
    ap_version: str = VERSIONS[-1],
) -> Means:
    """Runs a net forward, once for each of `batches`.

    Args:
        batches: their numbers, from 0; it may end early.
        tell: told of each batch what it put out.
        ap_version: how an average precision is computed, see `average_precision`.
    """
    evaluated = [name for name in evaluations(net.nodes) if name in net.outputs]
    judged: dict[str, list[Array]] = {name: [] for name in evaluated}
    total_loss, sums, count = 0.0, np.zeros(0), 0
    for batch in batches:
        total_loss += net.forward_loss()
        values = _values(net)
        sums, count = sums + values if count else values, count + 1
        for name in evaluated:
            judged[name].append(net.blobs[name].data.copy())
        if tell is not None:
            tell(batch, _label(net, _numbers(net), values))
    if not count:
        return Means([], total_loss, {})
    precisions = {name: precision_of(found, ap_version) for name, found in judged.items()}
    means = _label(net, _numbers(net), sums / count)
    means += [Output(name, precision.mean, 0) for name, precision in precisions.items()]
    return Means(sorted(means, key=lambda output: output.name), total_loss / count, precisions)


def output_text(output: Output) -> str:
    """An output as Caffe prints it: `loss = 0.1 (* 1 = 0.1 loss)`."""
    text = f"{output.name} = {log.number(output.value)}"
    if not output.loss_weight:
        return text
    weighted = log.number(output.value * output.loss_weight)
    return f"{text} (* {log.number(output.loss_weight)} = {weighted} loss)"
