"""Every update rule on least squares, against the rule itself in double precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.solvers.sgd import SGDSolver
from rigs.net_rig import fill, inner_product, inputs, iter_size_weights, layer, make_solver
from rigs.random_run import TYPES

ROWS, INPUTS, RATE = 8, 4, 0.05
BASE = f'lr_policy: "fixed" base_lr: {RATE} snapshot_after_train: false max_iter: 100 '

Vector = np.ndarray
Rule = Callable[[dict[str, Vector], Vector, float, int], Vector]
"""From what is remembered, the gradient, the rate and the number of the update, from 1, to what is subtracted."""

MU, DELTA = 0.9, 1e-4
BETA2 = 0.99


def sgd(past: dict[str, Vector], g: Vector, rate: float, t: int) -> Vector:
    past["v"] = MU * past.get("v", 0) + rate * g
    return past["v"]


def nesterov(past: dict[str, Vector], g: Vector, rate: float, t: int) -> Vector:
    """The weights of Nesterov's method, looked at where the gradient is taken."""
    before = past.get("v", 0)
    past["v"] = MU * before + rate * g
    return past["v"] + MU * (past["v"] - before)


def adagrad(past: dict[str, Vector], g: Vector, rate: float, t: int) -> Vector:
    past["h"] = past.get("h", 0) + g**2
    return rate * g / (np.sqrt(past["h"]) + DELTA)


def rmsprop(past: dict[str, Vector], g: Vector, rate: float, t: int) -> Vector:
    past["h"] = MU * past.get("h", 0) + (1 - MU) * g**2
    return rate * g / (np.sqrt(past["h"]) + DELTA)


def adadelta(past: dict[str, Vector], g: Vector, rate: float, t: int) -> Vector:
    past["g"] = MU * past.get("g", 0) + (1 - MU) * g**2
    step = g * np.sqrt((past.get("u", 0) + DELTA) / (past["g"] + DELTA))
    past["u"] = MU * past.get("u", 0) + (1 - MU) * step**2
    return rate * step


def adam(past: dict[str, Vector], g: Vector, rate: float, t: int) -> Vector:
    past["m"] = MU * past.get("m", 0) + (1 - MU) * g
    past["v"] = BETA2 * past.get("v", 0) + (1 - BETA2) * g**2
    return rate * np.sqrt(1 - BETA2**t) / (1 - MU**t) * past["m"] / (np.sqrt(past["v"]) + DELTA)


RULES: dict[str, tuple[Rule, str]] = {
    "SGD": (sgd, f"momentum: {MU}"),
    "Nesterov": (nesterov, f"momentum: {MU}"),
    "AdaGrad": (adagrad, f"delta: {DELTA}"),
    "RMSProp": (rmsprop, f"rms_decay: {MU} delta: {DELTA}"),
    "AdaDelta": (adadelta, f"momentum: {MU} delta: {DELTA}"),
    "Adam": (adam, f"momentum: {MU} momentum2: {BETA2} delta: {DELTA}"),
}


def test_there_is_a_rule_for_each_solver() -> None:
    from pycaffe_lite.solvers.registry import MODULES

    assert set(RULES) == set(MODULES) == set(TYPES)


def least_squares(folder: Path, generator: np.random.Generator, text: str, param: str = "") -> SGDSolver:
    """A solver for w in x w = y, with random x, y and first w; the loss is half the mean of the squares."""
    net = inputs(x=[ROWS, INPUTS], y=[ROWS, 1]) + inner_product("fc", "x", 1, param, "bias_term: false")
    solver = make_solver(folder, net + layer("loss", "EuclideanLoss", ["fc", "y"], ["loss"]), BASE + text)
    fill(solver.net, generator)
    return solver


def values(solver: SGDSolver) -> tuple[Vector, Vector, Vector]:
    net = solver.net
    arrays = (net.blobs["x"].data, net.blobs["y"].data[:, 0], net.params["fc"][0].data[0])
    return tuple(array.astype(np.float64) for array in arrays)  # type: ignore[return-value]


@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("decay", ["", "weight_decay: 0.1", 'weight_decay: 0.1 regularization_type: "L1"'])
@pytest.mark.parametrize("clip", [-1.0, 0.5])
@pytest.mark.parametrize(("lr_mult", "decay_mult"), [(1.0, 1.0), (0.5, 2.0)])
@pytest.mark.parametrize("iter_size", [1, 3])
def test_the_rule_step_by_step(
    tmp_path: Path,
    generator: np.random.Generator,
    kind: str,
    decay: str,
    clip: float,
    lr_mult: float,
    decay_mult: float,
    iter_size: int,
) -> None:
    rule, text = RULES[kind]
    param = f"param {{ lr_mult: {lr_mult} decay_mult: {decay_mult} }}"
    text = f'type: "{kind}" {text} {decay} clip_gradients: {clip} iter_size: {iter_size}'
    solver = least_squares(tmp_path, generator, text, param)
    x, y, w = values(solver)
    past: dict[str, Vector] = {}
    for update in range(1, 7):
        gradient = iter_size * x.T @ (x @ w - y) / ROWS
        norm = np.linalg.norm(gradient)
        if 0 <= clip < norm:
            gradient *= clip / norm
        gradient /= iter_size
        if decay:
            gradient += 0.1 * decay_mult * (np.sign(w) if "L1" in decay else w)
        w = w - rule(past, gradient, RATE * lr_mult, update)
        solver.step(1)
        np.testing.assert_allclose(values(solver)[2], w, rtol=2e-5, atol=2e-6)
    for blob, expected in zip(solver.history, past.values(), strict=True):
        np.testing.assert_allclose(blob.data[0], expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("field", ["momentum", "momentum2"])
@pytest.mark.parametrize("value", [-0.1, 1.0, 1.5])
def test_adam_refuses_averages_that_never_forget(
    tmp_path: Path, generator: np.random.Generator, field: str, value: float
) -> None:
    with pytest.raises(CaffeError, match=rf"expected {field} from 0 to below 1, got {value:g}\."):
        least_squares(tmp_path, generator, f'type: "Adam" {field}: {value}')


@pytest.mark.parametrize("kind", RULES)
def test_it_comes_to_the_least_squares_solution(tmp_path: Path, generator: np.random.Generator, kind: str) -> None:
    """RMSProp and Adam circle around it at a fixed rate, so the rate falls."""
    solver = least_squares(tmp_path, generator, f'type: "{kind}" {RULES[kind][1]}')
    solver.param.base_lr = {"AdaDelta": 10, "AdaGrad": 0.5}.get(kind, RATE)
    solver.param.lr_policy, solver.param.stepsize, solver.param.gamma = "step", 400, 0.1
    x, y, _ = values(solver)
    solver.step(1600)
    np.testing.assert_allclose(values(solver)[2], np.linalg.lstsq(x, y, rcond=None)[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", RULES)
def test_iter_size_times_a_small_batch_is_a_large_batch(
    tmp_path: Path, generator: np.random.Generator, kind: str
) -> None:
    text = f'type: "{kind}" {RULES[kind][1]} weight_decay: 0.01'
    small, large = iter_size_weights(tmp_path, generator, BASE + text)
    np.testing.assert_allclose(small, large, rtol=1e-4, atol=1e-6)
