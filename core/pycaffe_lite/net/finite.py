"""Finding where a number first stopped being finite."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pycaffe_lite import log
from pycaffe_lite.errors import Diverged

if TYPE_CHECKING:
    from pycaffe_lite.net import Net
    from pycaffe_lite.net.parameters import Parameters

ADVICE = "a lower base_lr or clip_gradients may help, and so may looking at the data"


def is_finite(array: np.ndarray) -> bool:
    """Whether all elements are; the sum of squares says so at once, unless it overflows."""
    if array.ndim == 1 and math.isfinite(np.vdot(array, array)):
        return True
    return bool(np.isfinite(array).all())


def loss_diverged(net: Net, iteration: int, loss: float) -> Diverged:
    """What to raise when a forward pass has given a loss that is not finite."""
    return Diverged(
        f"Iteration {iteration}: the loss is {log.number(loss)}; {_first_in_forward(net)}. Training stops, {ADVICE}."
    )


def _first_in_forward(net: Net) -> str:
    """The first parameter or top, in the order of the layers, that holds such a number."""
    with np.errstate(all="ignore"):
        for layer, names, tops in zip(net.layers, net.top_names, net.tops, strict=True):
            where = f'layer "{layer.name}" ({layer.layer_param.type})'
            for index, blob in enumerate(layer.blobs):
                if not is_finite(blob.data):
                    return f"the first {_kind(blob.data)} is in parameter {index} of {where}"
            for index, blob in enumerate(tops):
                if not is_finite(blob.data):
                    name = names[index] if index < len(names) else f"top {index}"
                    return f'the first {_kind(blob.data)} is in blob "{name}", a top of {where}'
    return "all blobs are finite, so it is the sum of the losses that is not"


def gradient_diverged(net: Net, parameters: Parameters, index: int, iteration: int) -> Diverged:
    """What to raise when the gradient of a parameter is not finite.

    Args:
        index: the parameter; of the layers that have one like it the last comes first, as backward goes.
    """
    first = _first_in_backward(net) or f"the first one is that of parameter {parameters.names[index]}"
    return Diverged(f"Iteration {iteration}: a gradient is not finite; {first}. Training stops, {ADVICE}.")


def _first_in_backward(net: Net) -> str:
    """The first diff, in the order of backward, that holds such a number; nothing if no activation's does."""
    with np.errstate(all="ignore"):
        for i in reversed(range(len(net.layers))):
            if not net.backward_plan.layers[i]:
                continue
            layer = net.layers[i]
            where = f'layer "{layer.name}" ({layer.layer_param.type})'
            for index, blob in enumerate(layer.blobs):
                if blob.has_diff and not is_finite(blob.diff):
                    return f"the first {_kind(blob.diff)} is in the diff of parameter {index} of {where}"
            wanted = net.backward_plan.bottoms[i]
            for name, blob, has in zip(net.bottom_names[i], net.bottoms[i], wanted, strict=True):
                if has and not is_finite(blob.diff):
                    return f'the first {_kind(blob.diff)} is in the diff of blob "{name}", a bottom of {where}'
    return ""


def check_values(net: Net, histories: list[np.ndarray], iteration: int) -> None:
    """Raises Diverged if a parameter or the history of the updates is not finite: nothing to be saved."""
    with np.errstate(all="ignore"):
        for layer in net.layers:
            for index, blob in enumerate(layer.blobs):
                if not is_finite(blob.data):
                    raise Diverged(
                        f"Iteration {iteration}: the update made parameter {index} of layer "
                        f'"{layer.name}" ({layer.layer_param.type}) {_kind(blob.data)}. Training stops, {ADVICE}.'
                    )
        for index, history in enumerate(histories):
            if not is_finite(history):
                raise Diverged(
                    f"Iteration {iteration}: history blob {index} of the solver holds {_kind(history)}. "
                    f"Training stops, {ADVICE}."
                )


def _kind(array: np.ndarray) -> str:
    return "nan" if np.isnan(array).any() else "inf"
