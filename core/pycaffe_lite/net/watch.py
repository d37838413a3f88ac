"""Looking at a net's numbers: the lines of `debug_info: true`, and where a number first stopped being finite."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pycaffe_lite import log
from pycaffe_lite.errors import Diverged
from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.net.node import Node
from pycaffe_lite.net.parameters import Parameters

ADVICE = "a lower base_lr or clip_gradients may help, and so may looking at the data"

# -- debug_info: the mean absolute value of every blob, gradient and parameter -----------------------------------


def mean_abs(values: np.ndarray) -> str:
    """The L1 norm over the count, as the log prints it."""
    return log.number(np.float32(np.abs(values).mean()) if values.size else 0.0)


def log_forward(node: Node) -> None:
    """After a node's forward: its tops and its parameters."""
    for j, blob in enumerate(node.tops):
        name = node.top_names[j] if j < len(node.top_names) else "(automatic)"
        log.info(f"    [Forward] Layer {node.name}, top blob {name} data: {mean_abs(blob.data)}", "net.cpp:593")
    for j, blob in enumerate(node.layer.blobs):
        name = _display_name(node.layer, j)
        log.info(f"    [Forward] Layer {node.name}, param blob {name} data: {mean_abs(blob.data)}", "net.cpp:605")


def log_backward(node: Node) -> None:
    """After a node's backward, if it takes part: the diffs of its bottoms and its parameters."""
    if not node.goes_backward:
        return
    for name, blob, wanted in zip(node.bottom_names, node.bottoms, node.propagate_down, strict=True):
        if wanted:
            log.info(f"    [Backward] Layer {node.name}, bottom blob {name} diff: {mean_abs(blob.diff)}", "net.cpp:621")
    for j, blob in enumerate(node.layer.blobs):
        if node.layer.param_propagate_down[j]:
            name = _display_name(node.layer, j)
            log.info(f"    [Backward] Layer {node.name}, param blob {name} diff: {mean_abs(blob.diff)}", "net.cpp:632")


def log_parameters(parameters: Parameters) -> None:
    """After a whole backward pass: the norms over all parameters."""
    blobs = parameters.blobs
    arrays = [[blob.data for blob in blobs], [blob.diff for blob in blobs]]
    sums = ", ".join(log.number(sum(float(np.abs(x).sum()) for x in which)) for which in arrays)
    roots = ", ".join(log.number(np.sqrt(sum(float(np.square(x).sum()) for x in which))) for which in arrays)
    # At the level of errors, as in Caffe: it is there whatever the level.
    log.error(f"    [Backward] All net params (data, diff): L1 norm = ({sums}); L2 norm = ({roots})", "net.cpp:721")


def _display_name(layer: Layer, index: int) -> str:
    """A parameter's name if it has one, else its number."""
    specs = layer.layer_param.param
    return (specs[index].name if index < len(specs) else "") or str(index)


# -- numbers that are not finite ---------------------------------------------------------------------------------


def is_finite(array: np.ndarray) -> bool:
    """Whether all elements are; the sum of squares says so at once, unless it overflows."""
    if array.ndim == 1 and math.isfinite(np.vdot(array, array)):
        return True
    return bool(np.isfinite(array).all())


def loss_diverged(nodes: Sequence[Node], iteration: int, loss: float) -> Diverged:
    """What to raise when a forward pass has given a loss that is not finite."""
    return Diverged(
        f"Iteration {iteration}: the loss is {log.number(loss)}; {_first_in_forward(nodes)}. Training stops, {ADVICE}."
    )


@np.errstate(all="ignore")
def _first_in_forward(nodes: Sequence[Node]) -> str:
    """The first parameter or top, in the order of the nodes, that holds such a number."""
    for node in nodes:
        for index, blob in enumerate(node.layer.blobs):
            if not is_finite(blob.data):
                return f"the first {_kind(blob.data)} is in parameter {index} of {_where(node)}"
        for index, blob in enumerate(node.tops):
            if not is_finite(blob.data):
                name = node.top_names[index] if index < len(node.top_names) else f"top {index}"
                return f'the first {_kind(blob.data)} is in blob "{name}", a top of {_where(node)}'
    return "all blobs are finite, so it is the sum of the losses that is not"


def gradient_diverged(nodes: Sequence[Node], parameter: str, iteration: int) -> Diverged:
    """What to raise when the gradient of a parameter is not finite.

    Args:
        parameter: its name; of those that have such a gradient the last one, as backward goes.
    """
    first = _first_in_backward(nodes) or f"the first one is that of parameter {parameter}"
    return Diverged(f"Iteration {iteration}: a gradient is not finite; {first}. Training stops, {ADVICE}.")


@np.errstate(all="ignore")
def _first_in_backward(nodes: Sequence[Node]) -> str:
    """The first diff, in the order of backward, that holds such a number; nothing if no activation's does."""
    for node in reversed(nodes):
        if not node.goes_backward:
            continue
        for index, blob in enumerate(node.layer.blobs):
            if blob.has_diff and not is_finite(blob.diff):
                return f"the first {_kind(blob.diff)} is in the diff of parameter {index} of {_where(node)}"
        for name, blob, has in zip(node.bottom_names, node.bottoms, node.propagate_down, strict=True):
            if has and not is_finite(blob.diff):
                return f'the first {_kind(blob.diff)} is in the diff of blob "{name}", a bottom of {_where(node)}'
    return ""


@np.errstate(all="ignore")
def check_values(nodes: Sequence[Node], histories: Sequence[np.ndarray], iteration: int) -> None:
    """Raises Diverged if a parameter or the history of the updates is not finite: nothing to be saved."""
    for node in nodes:
        for index, blob in enumerate(node.layer.blobs):
            if not is_finite(blob.data):
                raise Diverged(
                    f"Iteration {iteration}: the update made parameter {index} of {_where(node)} {_kind(blob.data)}. "
                    f"Training stops, {ADVICE}."
                )
    for index, history in enumerate(histories):
        if not is_finite(history):
            raise Diverged(
                f"Iteration {iteration}: history blob {index} of the solver holds {_kind(history)}. "
                f"Training stops, {ADVICE}."
            )


def _where(node: Node) -> str:
    return f'layer "{node.name}" ({node.layer.layer_param.type})'


def _kind(array: np.ndarray) -> str:
    return "nan" if np.isnan(array).any() else "inf"
