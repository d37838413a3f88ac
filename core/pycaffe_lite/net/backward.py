"""Which layers and bottoms of a net take part in the backward pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pycaffe_lite import log

if TYPE_CHECKING:
    from pycaffe_lite.net import Net


@dataclass
class BackwardPlan:
    """For each layer whether it runs backward, and for each of its bottoms whether that gets a diff."""

    layers: list[bool]
    bottoms: list[list[bool]]


def choose_backward(net: Net, force: bool) -> BackwardPlan:
    """Caffe's analysis: backward goes where a learnable parameter lies before and a loss behind.

    Args:
        net: a net whose layers are built.
        force: `force_backward: true`: everything but labels and indices.
    """
    plan = _from_parameters(net)
    _keep_under_loss(net, plan)
    if force:
        _force(net, plan)
    return plan


def _from_parameters(net: Net) -> BackwardPlan:
    """Forward: a layer needs backward if a bottom does or a parameter learns; then its tops do.

    `propagate_down` speaks of the bottom's diff alone: as in Caffe, a layer that may not hand its diff on still
    receives one.
    """
    needs: dict[str, bool] = {}
    plan = BackwardPlan([], [])
    for layer, below, above in zip(net.layers, net.bottom_names, net.top_names, strict=True):
        param = layer.layer_param
        bottoms = [param.propagate_down[j] if param.propagate_down else needs[name] for j, name in enumerate(below)]
        learns = [param.param[j].lr_mult != 0 if j < len(param.param) else True for j in range(len(layer.blobs))]
        layer.param_propagate_down = learns
        plan.layers.append(any(needs[name] for name in below) or any(learns))
        plan.bottoms.append(bottoms)
        for name in above:
            needs[name] = plan.layers[-1] or needs.get(name, False)
    return plan


def _keep_under_loss(net: Net, plan: BackwardPlan) -> None:
    """Backward: only what contributes to a loss, and is not cut off by propagate_down, stays."""
    under_loss: set[str] = set()
    skipped: set[str] = set()
    for i in reversed(range(len(net.layers))):
        layer, above, below = net.layers[i], net.top_names[i], net.bottom_names[i]
        names = above + [""] * (len(net.tops[i]) - len(above))
        is_loss = [weight != 0 for weight in layer.loss_weights]
        contributes = any(loss or name in under_loss for name, loss in zip(names, is_loss, strict=True))
        cut_off = all(name in skipped for name in names)
        if plan.layers[i] and cut_off:
            plan.layers[i] = False
            plan.bottoms[i] = [False] * len(below)
        if not contributes:
            plan.layers[i] = False
        log.info(f"{layer.name} {'needs' if plan.layers[i] else 'does not need'} backward computation.")
        for j, name in enumerate(below):
            if contributes:
                under_loss.add(name)
            else:
                plan.bottoms[i][j] = False
            if not plan.bottoms[i][j]:
                skipped.add(name)


def _force(net: Net, plan: BackwardPlan) -> None:
    for i, layer in enumerate(net.layers):
        plan.layers[i] = True
        may = layer.may_propagate
        plan.bottoms[i] = [need or (may[j] if j < len(may) else True) for j, need in enumerate(plan.bottoms[i])]
        layer.param_propagate_down = [True] * len(layer.blobs)
