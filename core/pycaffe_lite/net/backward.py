"""Which nodes of a net take part in the backward pass, and which of their bottoms get a diff."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite import log
from pycaffe_lite.net.node import Node


def plan_backward(nodes: Sequence[Node], force: bool) -> None:
    """Caffe's analysis: backward goes where a learnable parameter lies before and a loss behind.

    Args:
        nodes: built ones, in order; `goes_backward`, `propagate_down` and the layers' `param_propagate_down` are set.
        force: `force_backward: true`: everything but labels and indices.
    """
    _from_parameters(nodes)
    _keep_under_loss(nodes)
    if force:
        for node in nodes:
            _force(node)


def _from_parameters(nodes: Sequence[Node]) -> None:
    """Forward: a layer needs backward if a bottom does or a parameter learns; then its tops do.

    `propagate_down` speaks of the bottom's diff alone: as in Caffe, a layer that may not hand its diff on still
    receives one.
    """
    needs: dict[str, bool] = {}
    for node in nodes:
        layer, param = node.layer, node.layer.layer_param
        learns = [param.param[j].lr_mult != 0 if j < len(param.param) else True for j in range(len(layer.blobs))]
        layer.param_propagate_down = learns
        below = [needs[name] for name in node.bottom_names]
        node.propagate_down = list(param.propagate_down) or below
        node.goes_backward = any(below) or any(learns)
        for name in node.top_names:
            needs[name] = node.goes_backward or needs.get(name, False)


def _keep_under_loss(nodes: Sequence[Node]) -> None:
    """Backward: only what contributes to a loss, and is not cut off by propagate_down, stays."""
    under_loss: set[str] = set()
    skipped: set[str] = set()
    for node in reversed(nodes):
        names = node.top_names + [""] * (len(node.tops) - len(node.top_names))
        losses = [weight != 0 for weight in node.layer.loss_weights]
        contributes = any(loss or name in under_loss for name, loss in zip(names, losses, strict=True))
        if node.goes_backward and all(name in skipped for name in names):
            node.goes_backward = False
            node.propagate_down = [False] * len(node.bottoms)
        if contributes:
            under_loss.update(node.bottom_names)
        else:
            node.goes_backward = False
            node.propagate_down = [False] * len(node.bottoms)
        if node.goes_backward:
            log.info(f"{node.name} needs backward computation.", "net.cpp:200")
        else:
            log.info(f"{node.name} does not need backward computation.", "net.cpp:202")
        skipped.update(name for name, down in zip(node.bottom_names, node.propagate_down, strict=True) if not down)


def _force(node: Node) -> None:
    may = node.layer.may_propagate
    node.goes_backward = True
    node.propagate_down = [need or (may[j] if j < len(may) else True) for j, need in enumerate(node.propagate_down)]
    node.layer.param_propagate_down = [True] * len(node.layer.blobs)
