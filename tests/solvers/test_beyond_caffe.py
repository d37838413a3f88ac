"""What solvers have beyond Caffe, off unless asked for: policies of forks, warm-up, min_lr, decoupled weight decay."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.formats.solverstate import read_state
from pycaffe_lite.proto.caffe_pb2 import SolverParameter
from pycaffe_lite.solvers import rates
from pycaffe_lite.solvers.plateau import Plateau
from pycaffe_lite.solvers.sgd import SGDSolver
from rigs.cli_rig import Command
from rigs.net_rig import fill, inner_product, inputs, layer, logged, make_solver, messages
from rigs.random_run import run, same_bits, write_random_run


def solver(policy: str, **fields: Any) -> SolverParameter:
    param = SolverParameter(lr_policy=policy, **{"base_lr": 0.5, "max_iter": 100, **fields})
    rates.check(param)
    return param


def first_rates(param: SolverParameter, count: int) -> list[float]:
    return [rates.rate(param, iteration) for iteration in range(count)]


# -- policies ----------------------------------------------------------------------------------------------


def test_cosine() -> None:
    param = solver("cosine", min_lr=0.1)
    got = first_rates(param, 151)
    assert got[0] == 0.5
    assert got[25] == pytest.approx(0.1 + 0.4 * (1 + math.sqrt(0.5)) / 2)
    assert got[50] == pytest.approx(0.3)
    assert got[100:] == [pytest.approx(0.1)] * 51
    assert all(a >= b for a, b in pairwise(got))


def test_triangular() -> None:
    got = first_rates(solver("triangular", max_lr=1.5, stepsize=4), 17)
    up = [0.5, 0.75, 1.0, 1.25, 1.5, 1.25, 1.0, 0.75]
    assert got == pytest.approx([*up, *up, 0.5])


def test_sgdr_with_growing_cycles() -> None:
    param = solver("sgdr", period=4, p_mult=2, lr_mult=0.5)
    starts = [0, 4, 12, 28, 60]
    for cycle, begin in enumerate(starts):
        assert rates.rate(param, begin) == pytest.approx(0.5 * 0.5**cycle)
        assert rates.rate(param, begin + 2**cycle * 2) == pytest.approx(0.25 * 0.5**cycle)
    assert rates.changes(param, 61) == starts[1:]


@pytest.mark.parametrize(("period", "p_mult"), [(3, 1), (1, 1.0001), (7, 1.5), (1, 3), (5, 100)])
def test_sgdr_finds_its_cycle(period: int, p_mult: float) -> None:
    """As one who counts the cycles through does."""
    param = solver("sgdr", period=period, p_mult=p_mult)
    ratio = param.p_mult
    begin, length, cycle = 0.0, float(period), 0
    for iteration in range(2000):
        while iteration >= rates.sgdr_start(param, cycle + 1):
            cycle += 1
            begin, length = begin + length, length * ratio
        assert rates.sgdr_cycle(param, iteration) == cycle
        assert begin == pytest.approx(rates.sgdr_start(param, cycle), rel=1e-9)
        assert 0 <= rates.rate(param, iteration) <= 0.5


def test_sgdr_with_one_cycle_is_cosine() -> None:
    assert first_rates(solver("sgdr"), 120) == first_rates(solver("cosine"), 120)


def test_sgdr_is_quick_however_far_it_has_got() -> None:
    param = solver("sgdr", period=1, p_mult=1.0000001)
    assert 0 <= rates.rate(param, 2**31 - 1) <= 0.5


def plateau_steps(windows: list[int], losses: list[float]) -> list[int]:
    param = solver("plateau", gamma=0.1, plateau_winsize=windows)
    seen, steps = Plateau(), []
    for iteration, loss in enumerate(losses):
        seen = seen.after(param, iteration, loss)
        steps.append(seen.step)
    return steps


def test_plateau_drops_after_a_window_without_a_minimum() -> None:
    assert plateau_steps([3, 2], [5, 4, 4, 4, 4, 4, 4, 4, 4]) == [0, 0, 0, 0, 1, 1, 2, 2, 2]
    assert plateau_steps([3], [9, 8, 7, 6, 5, 4]) == [0] * 6
    assert plateau_steps([3], [5, 6, 6, 4, 6, 6, 3, 6, 6, 6]) == [0] * 9 + [1]
    assert plateau_steps([2], [5, math.nan, math.nan, math.nan]) == [0, 0, 1, 1]


def test_plateau_without_training_is_drawn_at_its_earliest() -> None:
    param = solver("plateau", gamma=0.5, plateau_winsize=[3, 2])
    assert first_rates(param, 7) == [0.5, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]
    assert rates.changes(param, 7) == [3, 5]


@pytest.mark.parametrize("policy", ["fixed", "cosine", "step"])
def test_warm_up_goes_in_a_line_to_the_base_rate(policy: str) -> None:
    param = solver(policy, warmup_iter=5, warmup_start_lr=0.1, stepsize=3, gamma=0.5)
    cold = solver(policy, stepsize=3, gamma=0.5)
    got = first_rates(param, 20)
    assert got[:5] == pytest.approx([0.1, 0.18, 0.26, 0.34, 0.42])
    assert got[5:] == first_rates(cold, 20)[5:]


def test_min_lr_is_the_least_after_warm_up() -> None:
    param = solver("step", min_lr=0.2, warmup_iter=2, stepsize=3, gamma=0.5)
    assert first_rates(param, 9) == pytest.approx([0, 0.25, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2])


def test_a_negative_rate_without_min_lr_stays() -> None:
    assert rates.rate(solver("fixed", base_lr=-1), 3) == -1


def test_changes_within_the_warm_up_are_none() -> None:
    param = solver("step", stepsize=3, gamma=0.5, warmup_iter=7)
    assert rates.changes(param, 13) == [9, 12]
    assert {6, 7} <= set(rates.sample(param, 1000, 3))


@pytest.mark.parametrize(
    ("policy", "fields", "sentence"),
    [
        ("cosine", {"max_iter": 0}, "needs max_iter > 0, got 0"),
        ("cosine", {"min_lr": math.nan}, "needs a finite min_lr, got nan"),
        ("fixed", {"warmup_iter": -1}, "needs warmup_iter >= 0, got -1"),
        ("fixed", {"warmup_start_lr": math.inf}, "needs a finite warmup_start_lr, got inf"),
        ("triangular", {"max_lr": 1}, "needs stepsize > 0, got 0"),
        ("triangular", {"max_lr": math.inf, "stepsize": 1}, "needs a finite max_lr, got inf"),
        ("sgdr", {"period": 0}, "needs period > 0, or -1 with max_iter > 0, got 0"),
        ("sgdr", {"max_iter": 0}, "needs period > 0, or -1 with max_iter > 0, got -1"),
        ("sgdr", {"p_mult": 0.5, "period": 2}, "needs a finite p_mult >= 1, got 0.5"),
        ("sgdr", {"lr_mult": -1, "period": 2}, "needs a finite lr_mult >= 0, got -1"),
        ("plateau", {}, r"needs plateau_winsize > 0, once or more, got \[\]"),
        ("plateau", {"plateau_winsize": [3, 0]}, r"needs plateau_winsize > 0, once or more, got \[3, 0\]"),
        ("plateau", {"plateau_winsize": [3], "gamma": -1}, "needs gamma >= 0, got -1"),
    ],
)
def test_what_is_refused(policy: str, fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CaffeError, match=sentence):
        solver(policy, **fields)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["cosine", "--min-lr=0.001"], "cosine from 0.01 to 0.001"),
        (["sgdr", "--period=10", "--max-iter=31"], "sgdr from 0.01 to 0.0064, steps at 10, 30"),
        (["triangular", "--max-lr=1", "--stepsize=5", "--max-iter=11"], "triangular from 0.01 to 0.01"),
        (
            ["plateau", "--gamma=.1", "--plateau-winsize=5", "--plateau-winsize=9", "--max-iter=20"],
            "plateau from 0.01 to 0.0001, steps at 5, 14, if the loss never falls",
        ),
        (["fixed", "--warmup-iter=5", "--warmup-start-lr=0.001"], "fixed from 0.001 to 0.01"),
    ],
)
def test_lr_plot_draws_them(options: list[str], text: str) -> None:
    command = Command("lr-plot", "--policy", *options)
    assert command.status == 0
    assert text in command.output


# -- training ----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


PLATEAU = 'momentum: 0.9 snapshot: 1 lr_policy: "plateau" plateau_winsize: 2 plateau_winsize: 3 '


def plateau_run(folder: Path) -> Path:
    path = write_random_run(folder)
    text = path.read_text().replace('lr_policy: "multistep"', PLATEAU).replace("average_loss: 4", "average_loss: 1")
    path.write_text(text)
    return path


def test_plateau_in_training_and_after_a_resume(folder: Path) -> None:
    path = plateau_run(folder)
    lines = logged()
    reports, straight = run(path)
    steps = [line for line in messages(lines) if line.startswith("Plateau Status")]
    assert len(steps) == straight.current_step == 2
    for at in range(1, 12):
        resumed, solver = run(path, f"s_iter_{at}.solverstate")
        assert resumed == [report for report in reports if report.iteration >= at]
        same_bits(solver, straight)


def test_plateau_keeps_its_step_without_the_resume_file(folder: Path) -> None:
    path = plateau_run(folder)
    run(path)
    assert read_state("s_iter_11.solverstate").current_step == 2
    Path("s_iter_11.resume").unlink()
    resumed, _ = run(path, "s_iter_11.solverstate")
    assert resumed[0].rate == pytest.approx(0.01 * 0.5**2)  # type: ignore[union-attr]


def quadratic(folder: Path, generator: np.random.Generator, text: str, param: str = "") -> SGDSolver:
    """A solver for w in x w = y."""
    net = inputs(x=[8, 4], y=[8, 1]) + inner_product("fc", "x", 1, param, "bias_term: false")
    base = 'lr_policy: "fixed" base_lr: 0.05 snapshot_after_train: false weight_decay: 0.2 random_seed: 1 '
    made = make_solver(folder, net + layer("loss", "EuclideanLoss", ["fc", "y"], ["loss"]), base + text)
    fill(made.net, generator)
    return made


def test_decoupled_decay_with_adam_is_adamw(folder: Path, generator: np.random.Generator) -> None:
    text = 'type: "Adam" momentum: 0.9 momentum2: 0.99 delta: 1e-4 regularization_type: "decoupled"'
    solver = quadratic(folder, generator, text, "param { lr_mult: 0.5 decay_mult: 2 }")
    net = solver.net
    x, y, w = (
        a.astype(np.float64) for a in (net.blobs["x"].data, net.blobs["y"].data[:, 0], net.params["fc"][0].data[0])
    )
    m = v = np.zeros(4)
    rate = 0.05 * 0.5
    for t in range(1, 8):
        gradient = x.T @ (x @ w - y) / 8
        m, v = 0.9 * m + 0.1 * gradient, 0.99 * v + 0.01 * gradient**2
        step = np.sqrt(1 - 0.99**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-4)
        w = w - rate * step - rate * 0.2 * 2 * w
        solver.step(1)
        np.testing.assert_allclose(net.params["fc"][0].data[0], w, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(solver.history[0].data[0], m, rtol=1e-4, atol=1e-7)


def test_for_plain_gradient_descent_decoupled_decay_is_l2(folder: Path, generator: np.random.Generator) -> None:
    results = []
    for kind in ("L2", "decoupled"):
        solver = quadratic(folder, np.random.default_rng(4), f'regularization_type: "{kind}"')
        solver.step(9)
        results.append(solver.net.params["fc"][0].data.copy())
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5, atol=1e-7)


def test_decoupled_decay_does_not_enter_the_history(folder: Path) -> None:
    histories = []
    for decay in (0.2, 0):
        solver = quadratic(folder, np.random.default_rng(4), 'momentum: 0.9 regularization_type: "decoupled"')
        solver.param.weight_decay = decay
        solver.step(1)
        histories.append(solver.history[0].data.copy())
    np.testing.assert_array_equal(histories[0], histories[1])
