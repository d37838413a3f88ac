"""SGD against closed forms: least squares, momentum, decay, clipping, multipliers, iter_size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers import contract as base
from pycaffe_lite.layers.loss_base import LossLayer
from pycaffe_lite.solvers.sgd import SGDSolver
from rigs.net_rig import fill, inner_product, inputs, iter_size_weights, layer, make_solver, softmax_loss

ROWS, INPUTS = 8, 3
FIXED = 'lr_policy: "fixed" snapshot_after_train: false max_iter: 100 '


class HalfSquares(LossLayer):
    """Half the mean of the squared differences of two bottoms."""

    type = "HalfSquares"

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.difference = bottom[0].data - bottom[1].data
        top[0].data[...] = np.square(self.difference).sum() / 2 / len(self.difference)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        bottom[0].diff[...] = self.difference / len(self.difference) * top[0].diff


@pytest.fixture(autouse=True)
def half_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(base.registered(), "HalfSquares", HalfSquares)


def least_squares(folder: Path, generator: np.random.Generator, text: str, more: str = "") -> SGDSolver:
    """A solver for w in x w = y, with random x, y and first w."""
    net = inputs(x=[ROWS, INPUTS], y=[ROWS, 1]) + inner_product("fc", "x", 1, more, "bias_term: false")
    solver = make_solver(folder, net + layer("loss", "HalfSquares", ["fc", "y"], ["loss"]), FIXED + text)
    fill(solver.net, generator)
    return solver


def state(solver: SGDSolver) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y and w, in double precision."""
    net = solver.net
    values = (net.blobs["x"].data, net.blobs["y"].data[:, 0], net.params["fc"][0].data[0])
    return tuple(array.astype(np.float64) for array in values)  # type: ignore[return-value]


def test_gradient_descent_in_closed_form(tmp_path: Path, generator: np.random.Generator) -> None:
    """w after k steps lies at w* + (1 - rate H)^k (w0 - w*), for w* the least squares solution, H = x'x / rows."""
    rate, steps = 0.2, 10
    solver = least_squares(tmp_path, generator, f"base_lr: {rate}")
    x, y, start = state(solver)
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    shrink = np.linalg.matrix_power(np.eye(INPUTS) - rate * x.T @ x / ROWS, steps)
    solver.step(steps)
    np.testing.assert_allclose(state(solver)[2], best + shrink @ (start - best), rtol=1e-5, atol=1e-6)


def test_it_finds_the_least_squares_solution(tmp_path: Path, generator: np.random.Generator) -> None:
    solver = least_squares(tmp_path, generator, "base_lr: 0.3 momentum: 0.5 display: 0")
    x, y, _ = state(solver)
    solver.step(300)
    np.testing.assert_allclose(state(solver)[2], np.linalg.lstsq(x, y, rcond=None)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("decay", ["", "weight_decay: 0.1", 'weight_decay: 0.1 regularization_type: "L1"'])
@pytest.mark.parametrize("clip", [-1.0, 0.5, 1000.0])
@pytest.mark.parametrize(("lr_mult", "decay_mult"), [(1.0, 1.0), (0.5, 2.0)])
@pytest.mark.parametrize("iter_size", [1, 3])
def test_the_rule_step_by_step(
    tmp_path: Path,
    generator: np.random.Generator,
    momentum: float,
    decay: str,
    clip: float,
    lr_mult: float,
    decay_mult: float,
    iter_size: int,
) -> None:
    rate = 0.1
    solver = least_squares(
        tmp_path,
        generator,
        f"base_lr: {rate} momentum: {momentum} clip_gradients: {clip} iter_size: {iter_size} {decay}",
        f"param {{ lr_mult: {lr_mult} decay_mult: {decay_mult} }}",
    )
    x, y, w = state(solver)
    velocity = np.zeros(INPUTS)
    for _ in range(5):
        gradient = iter_size * x.T @ (x @ w - y) / ROWS
        norm = np.linalg.norm(gradient)
        if 0 <= clip < norm:
            gradient *= clip / norm
        gradient /= iter_size
        if decay:
            gradient += 0.1 * decay_mult * (np.sign(w) if "L1" in decay else w)
        velocity = momentum * velocity + rate * lr_mult * gradient
        w = w - velocity
        solver.step(1)
        np.testing.assert_allclose(state(solver)[2], w, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(solver.history[0].data[0], velocity, rtol=1e-4, atol=1e-6)


def test_clipping_looks_at_all_parameters_together(tmp_path: Path, generator: np.random.Generator) -> None:
    net = (
        inputs(x=[4, 3], label=[4])
        + inner_product("a", "x", 5)
        + inner_product("frozen", "a", 5, "param { lr_mult: 0 } param { lr_mult: 0 }")
        + inner_product("b", "frozen", 3)
        + softmax_loss("b")
    )
    solver = make_solver(tmp_path, net, FIXED + "base_lr: 1 clip_gradients: 0.01")
    fill(solver.net, generator, label=3)
    before = [blob.data.copy() for blob in solver.parameters.blobs]
    solver.step(1)
    changes = [blob.data - old for blob, old in zip(solver.parameters.blobs, before, strict=True)]
    assert np.sqrt(sum(np.square(change).sum() for change in changes)) == pytest.approx(0.01, rel=1e-4)
    assert [bool(change.any()) for change in changes] == [True, True, False, False, True, True]


def test_lr_mult_0_keeps_a_parameter_even_from_decay(tmp_path: Path, generator: np.random.Generator) -> None:
    solver = least_squares(tmp_path, generator, "base_lr: 0.1 weight_decay: 0.5 momentum: 0.9", "param { lr_mult: 0 }")
    _, _, before = state(solver)
    solver.step(3)
    np.testing.assert_array_equal(state(solver)[2], before)


@pytest.mark.parametrize("momentum", [0, 0.9])
def test_iter_size_times_a_small_batch_is_a_large_batch(
    tmp_path: Path, generator: np.random.Generator, momentum: float
) -> None:
    text = f"base_lr: 0.1 momentum: {momentum} weight_decay: 0.01"
    small, large = iter_size_weights(tmp_path, generator, FIXED + text)
    np.testing.assert_allclose(small, large, rtol=1e-4, atol=1e-6)


def test_the_loss_is_the_mean_over_iter_size_passes(tmp_path: Path, generator: np.random.Generator) -> None:
    solver = least_squares(tmp_path, generator, "base_lr: 0.1 iter_size: 3")
    x, y, w = state(solver)
    (report,) = solver.steps(1)
    assert report.loss == pytest.approx(np.square(x @ w - y).sum() / 2 / ROWS, rel=1e-5)  # type: ignore[union-attr]


def test_the_rate_enters_the_history(tmp_path: Path, generator: np.random.Generator) -> None:
    """After the rate has fallen to 0 the weights go on by momentum alone."""
    solver = least_squares(tmp_path, generator, "base_lr: 0.1 momentum: 0.5")
    solver.step(1)
    velocity = solver.history[0].data.copy()
    _, _, before = state(solver)
    solver.param.base_lr = 0
    solver.step(2)
    np.testing.assert_allclose(state(solver)[2], before - (0.5 + 0.25) * velocity[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("more", ["", "clip_gradients: 1", "weight_decay: 1e38"])
def test_a_diverging_run_computes_infinities_without_a_word(
    tmp_path: Path, generator: np.random.Generator, more: str
) -> None:
    solver = least_squares(tmp_path, generator, f"base_lr: 1e38 momentum: 0.9 {more}")
    solver.check_finite = False
    solver.step(5)
    assert not np.isfinite(state(solver)[2]).any()
