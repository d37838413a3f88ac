"""The lines of `debug_info: true`: the mean absolute value of every blob, gradient and parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pycaffe_lite import log

if TYPE_CHECKING:
    from pycaffe_lite.net import Net


def mean_abs(values: np.ndarray) -> str:
    """The L1 norm over the count, as the log prints it."""
    return log.number(np.float32(np.abs(values).mean()) if values.size else 0.0)


def forward(net: Net, i: int) -> None:
    """After a layer's forward: its tops and its parameters."""
    layer, names = net.layers[i], net.top_names[i]
    for j, blob in enumerate(net.tops[i]):
        name = names[j] if j < len(names) else "(automatic)"
        log.info(f"    [Forward] Layer {layer.name}, top blob {name} data: {mean_abs(blob.data)}")
    for j, blob in enumerate(layer.blobs):
        log.info(f"    [Forward] Layer {layer.name}, param blob {_display_name(net, i, j)} data: {mean_abs(blob.data)}")


def backward(net: Net, i: int) -> None:
    """After a layer's backward: the diffs of its bottoms and its parameters."""
    layer = net.layers[i]
    for name, blob, wanted in zip(net.bottom_names[i], net.bottoms[i], net.backward_plan.bottoms[i], strict=True):
        if wanted:
            log.info(f"    [Backward] Layer {layer.name}, bottom blob {name} diff: {mean_abs(blob.diff)}")
    for j, blob in enumerate(layer.blobs):
        if layer.param_propagate_down[j]:
            log.info(
                f"    [Backward] Layer {layer.name}, param blob {_display_name(net, i, j)} diff: {mean_abs(blob.diff)}"
            )


def after_backward(net: Net) -> None:
    """The norms over all parameters."""
    blobs = net.parameters.blobs
    arrays = [[blob.data for blob in blobs], [blob.diff for blob in blobs]]
    sums = ", ".join(log.number(sum(float(np.abs(x).sum()) for x in which)) for which in arrays)
    roots = ", ".join(log.number(np.sqrt(sum(float(np.square(x).sum()) for x in which))) for which in arrays)
    # At the level of errors, as in Caffe: it is there whatever the level.
    log.error(f"    [Backward] All net params (data, diff): L1 norm = ({sums}); L2 norm = ({roots})")


def _display_name(net: Net, layer: int, index: int) -> str:
    """A parameter's name if it has one, else its number."""
    specs = net.layers[layer].layer_param.param
    return (specs[index].name if index < len(specs) else "") or str(index)
