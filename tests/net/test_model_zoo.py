"""Well-known nets, in small: they build, their gradients are right as a whole, and they learn a batch by heart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite import parallel, rng
from pycaffe_lite.net import Net
from pycaffe_lite.proto.printer import to_text
from rigs.model_zoo import ZOO, make
from rigs.net_rig import make_solver
from rigs.zoo_batch import fill

SOLVER = 'lr_policy: "fixed" momentum: 0.9 random_seed: 2 max_iter: 20 snapshot_prefix: "s" '


def loss_of(net: Net) -> float:
    """The loss, always with the same masks, and with recurrent states that begin at 0."""
    rng.set_random_seed(4)
    for layer in net.layers:
        if hasattr(layer, "reset"):
            layer.reset()
    return net.forward_loss()


def without_gradient(net: Net) -> list[str]:
    """The names of the parameters that learn, and have a gradient of 0."""
    parameters = net.parameters
    every = zip(parameters.names, parameters.blobs, parameters.lr_mult, strict=True)
    return [name for name, blob, lr_mult in every if lr_mult and not blob.diff.any()]


@pytest.mark.parametrize("name", ZOO)
def test_the_gradient_is_how_the_loss_changes(name: str) -> None:
    """In double precision, along the gradient itself: the one direction in which no mistake is small."""
    net = make(name, np.float64)
    parameters = net.flatten()
    assert parameters.data is not None
    assert parameters.diff is not None
    loss = loss_of(net)
    net.backward_from_to(len(net.layers) - 1, 0)
    assert without_gradient(net) == list(ZOO[name].idle)
    values, gradient = parameters.data.copy(), parameters.diff.copy()
    expected = float(np.vdot(gradient, gradient))
    step = 1e-8 * loss / expected
    around = []
    for sign in (1, -1):
        parameters.data[...] = values + sign * step * gradient
        around.append(loss_of(net))
    assert (around[0] - around[1]) / (2 * step) == pytest.approx(expected, rel=ZOO[name].tolerance)


def train(name: str, folder: Path) -> tuple[list[float], bytes]:
    """The losses of 20 iterations on one batch, and the parameters after them."""
    model = ZOO[name]
    solver = make_solver(folder, to_text(model.build()), f"{SOLVER} base_lr: {model.rate} {model.more}")
    fill(solver.net)
    losses = [report.loss for report in solver.steps(20)]
    assert solver.parameters.data is not None
    return losses, solver.parameters.data.tobytes()


@pytest.mark.parametrize("name", ZOO)
def test_it_learns_a_batch_by_heart(name: str, tmp_path: Path) -> None:
    losses, _ = train(name, tmp_path)
    assert losses[0] > 1.5 * ZOO[name].reaches
    assert max(losses[-3:]) < ZOO[name].reaches


@pytest.mark.parametrize("name", ["GoogLeNet", "LRCN"])
def test_the_same_bits_at_one_and_two_threads(name: str, tmp_path: Path) -> None:
    results = []
    for threads in (1, 2):
        parallel.set_num_threads(threads)
        results.append(train(name, tmp_path))
    assert results[0] == results[1]
