"""Folding: what scales and shifts the channels behind a convolution goes into its weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from pycaffe_lite.tools.export_onnx.graph import Graph, Op

_PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "BatchNormalization")


def fold(graph: Graph, outputs: set[str], axes: Mapping[str, int]) -> None:
    """Puts BatchNormalization, and Mul and Add by channels, into the product before them, or where there is none, Mul
    and Add into BatchNormalization, as long as nobody else reads what lies between.

    Args:
        graph: the graph, which changes.
        outputs: the values that stay.
        axes: how many axes the layers' values have.
    """
    while True:
        readers = Counter(value for op in graph.ops for value in op.inputs)
        makers = {value: op for op in graph.ops for value in op.outputs}
        for op in graph.ops:
            source = next((makers[value] for value in op.inputs if value in makers), None)
            if source is None or source.kind not in _PRODUCTS or source.outputs[0] in outputs:
                continue
            between = source.outputs[0]
            if readers[between] != 1 or any(readers[name] > 1 for name in source.inputs[1:]):
                continue
            factors = _factors(graph, op, between, source, axes)
            if factors is not None:
                _scale(graph, source, *factors)
                source.outputs = op.outputs
                graph.ops.remove(op)
                break
        else:
            used = {value for op in graph.ops for value in op.inputs} | outputs
            graph.constants = {name: values for name, values in graph.constants.items() if name in used}
            return


def _factors(
    graph: Graph, op: Op, value: str, source: Op, axes: Mapping[str, int]
) -> tuple[np.ndarray, np.ndarray] | None:
    """What an operation multiplies each channel of a value with, and what it adds; None if it does something else.

    Args:
        op: the operation.
        value: what it reads.
        source: what makes that.
        axes: how many axes values have.
    """
    channels = _channels(graph, source)
    if op.kind == "BatchNormalization" and op.inputs[0] == value:
        scale, bias, mean, variance = (graph.constants[name].astype(np.float64) for name in op.inputs[1:])
        scale = scale / np.sqrt(variance + op.attributes["epsilon"])
        return scale, bias - mean * scale
    if op.kind not in ("Mul", "Add") or len(op.inputs) != 2:
        return None
    other = op.inputs[1] if op.inputs[0] == value else op.inputs[0]
    values = graph.constants.get(other)
    if values is None or values.shape not in ((), (channels, *[1] * _spatial(graph, source, axes))):
        return None
    vector = np.broadcast_to(values.reshape(-1), channels).astype(np.float64)
    return (vector, np.zeros(channels)) if op.kind == "Mul" else (np.ones(channels), vector)


def _spatial(graph: Graph, op: Op, axes: Mapping[str, int]) -> int:
    """How many axes an operation's result has behind the channels."""
    if op.kind == "Gemm":
        return 0
    return (axes[op.inputs[0]] if op.kind == "BatchNormalization" else graph.constants[op.inputs[1]].ndim) - 2


def _channels(graph: Graph, op: Op) -> int:
    shape = graph.constants[op.inputs[1]].shape
    if op.kind == "BatchNormalization":
        return int(shape[0])
    if op.kind == "ConvTranspose":
        return int(shape[1] * op.attributes["group"])
    return int(shape[0] if op.kind == "Conv" or op.attributes["transB"] else shape[1])


def _scale(graph: Graph, op: Op, scale: np.ndarray, shift: np.ndarray) -> None:
    weight = graph.constants[op.inputs[1]].astype(np.float64)
    if op.kind == "ConvTranspose":  # inputs x outputs in a group x …; the groups' inputs lie one behind another
        group = op.attributes["group"]
        by_group = weight.reshape(group, weight.shape[0] // group, *weight.shape[1:])
        factors = scale.reshape(group, 1, weight.shape[1], *[1] * (weight.ndim - 2))
        weight = (by_group * factors).reshape(weight.shape)
    elif op.kind == "Gemm" and not op.attributes["transB"]:
        weight = weight * scale
    else:
        weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    graph.constants[op.inputs[1]] = weight.astype(np.float32)
    bias = graph.constants[op.inputs[2]].astype(np.float64) if len(op.inputs) > 2 else np.zeros(len(scale))
    if len(op.inputs) < 3:
        op.inputs.append(f"{op.inputs[1]}/bias")
    graph.constants[op.inputs[2]] = (bias * scale + shift).astype(np.float32)
