"""The rates are Caffe's, policy by policy; what Caffe refuses is refused."""

from __future__ import annotations

import json
import math
import struct

import pytest

from pycaffe_lite import log
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.proto.caffe_pb2 import SolverParameter
from pycaffe_lite.solvers import rates
from rigs import GOLDEN

CASES = json.loads((GOLDEN / "solvers/lr_policies.json").read_text())["cases"]


def solver(policy: str = "", **fields) -> SolverParameter:
    return SolverParameter(lr_policy=policy, **fields)


def float32(value: float) -> float:
    return struct.unpack("f", struct.pack("f", value))[0]


def test_golden_cases_cover_every_policy():
    of_forks = {"cosine", "sgdr", "triangular", "plateau"}
    assert {case["solver"]["lr_policy"] for case in CASES.values()} == set(rates.POLICIES) - of_forks


@pytest.mark.parametrize("name", CASES)
def test_rates_are_those_of_caffe(name):
    case = CASES[name]
    param = SolverParameter(**case["solver"])
    rates.check(param)
    given = [rates.rate(param, iteration) for iteration in range(len(case["lr"]))]
    assert given == pytest.approx(case["lr"], rel=5e-7, abs=0)
    assert [log.number(rate) for rate in given] == case["log_lr"]


@pytest.mark.parametrize("name", CASES)
def test_rates_are_float32(name):
    param = SolverParameter(**CASES[name]["solver"])
    for iteration in range(20):
        rate = rates.rate(param, iteration)
        assert rate == float32(rate)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case["multistep_log"]])
def test_multistep_steps_when_caffe_says_so(name):
    param = SolverParameter(**CASES[name]["solver"])
    lines, before = [], 0
    for iteration in range(20):
        now = rates.multistep_step(param, iteration)
        if now != before:
            lines.append(f"MultiStep Status: Iteration {iteration}, step = {now}")
        before = now
    assert lines == CASES[name]["multistep_log"]


def current_step_one_by_one(stepvalue: list[int], iteration: int) -> int:
    """The state machine that the closed form replaces: one comparison an iteration."""
    current = 0
    for now in range(iteration + 1):
        if current < len(stepvalue) and now >= stepvalue[current]:
            current += 1
    return current


@pytest.mark.parametrize("stepvalue", [[], [3], [0, 0, 0], [5, 2, 9], [2, 3, 3, 3, 4], [-4, -4, 1], [100]])
def test_multistep_step_agrees_with_stepping(stepvalue):
    param = solver("multistep", stepvalue=stepvalue)
    for iteration in range(15):
        assert rates.multistep_step(param, iteration) == current_step_one_by_one(stepvalue, iteration)


@pytest.mark.parametrize(
    ("fields", "iteration", "expected"),
    [
        ({"policy": "exp", "base_lr": 0.1, "gamma": 10}, 1000, math.inf),
        ({"policy": "exp", "base_lr": 0.1, "gamma": 0.5}, 10_000_000, 0),
        ({"policy": "exp", "base_lr": 1, "gamma": 10}, 39, math.inf),
        ({"policy": "step", "base_lr": 0.5, "gamma": 0, "stepsize": 5}, 4, 0.5),
        ({"policy": "step", "base_lr": 0.5, "gamma": 0, "stepsize": 5}, 5, 0),
        ({"policy": "poly", "base_lr": 1, "power": 1.5, "max_iter": 10}, 10, 0),
        ({"policy": "poly", "base_lr": 1, "power": -1, "max_iter": 10}, 10, math.inf),
        ({"policy": "poly", "base_lr": 1, "power": 2, "max_iter": 10}, 20, 1),
        ({"policy": "sigmoid", "base_lr": 1, "gamma": 100, "stepsize": 1000}, 0, 0),
        ({"policy": "sigmoid", "base_lr": 1, "gamma": 100, "stepsize": 10}, 100_000, 1),
        ({"policy": "inv", "base_lr": 0.25, "gamma": 1e30, "power": -5}, 2**31 - 1, math.inf),
    ],
)
def test_extremes_are_numbers_as_in_c(fields, iteration, expected):
    assert rates.rate(solver(**fields), iteration) == expected


def test_poly_after_max_iter_is_nan_for_a_broken_power():
    assert math.isnan(rates.rate(solver("poly", base_lr=1, power=0.5, max_iter=10), 11))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {},
            "needs an lr_policy, one of fixed, step, exp, inv, .*, cosine, sgdr, triangular, plateau; got none",
        ),
        ({"policy": "polka"}, r'one of fixed, .*; got "polka"\.$'),
        ({"policy": "multi_step"}, r'got "multi_step"; did you mean "multistep"\?'),
        ({"policy": "step"}, "needs stepsize > 0, got 0"),
        ({"policy": "step", "stepsize": -3}, "needs stepsize > 0, got -3"),
        ({"policy": "step", "stepsize": 3, "gamma": -1}, "needs gamma >= 0, got -1"),
        ({"policy": "exp", "gamma": -0.1}, "needs gamma >= 0, got -0.1"),
        ({"policy": "exp", "gamma": math.nan}, "needs a finite gamma, got nan"),
        ({"policy": "inv", "gamma": -1}, "needs gamma >= 0"),
        ({"policy": "inv", "power": math.inf}, "needs a finite power, got inf"),
        ({"policy": "multistep", "gamma": -1}, "needs gamma >= 0"),
        ({"policy": "sigmoid", "gamma": -1, "stepsize": 5}, "needs gamma >= 0"),
        ({"policy": "sigmoid", "gamma": 1}, "needs stepsize > 0"),
        ({"policy": "poly"}, "needs max_iter > 0, got 0"),
        ({"policy": "fixed", "base_lr": math.nan}, "needs a finite base_lr, got nan"),
    ],
)
def test_check_refuses(fields, sentence):
    with pytest.raises(CaffeError, match=sentence):
        rates.check(solver(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"policy": "fixed", "gamma": -1, "stepsize": -1},
        {"policy": "poly", "gamma": -1, "max_iter": 1},
        {"policy": "multistep"},
        {"policy": "exp"},
    ],
)
def test_check_leaves_alone_what_the_policy_does_not_read(fields):
    rates.check(solver(**fields))


@pytest.mark.parametrize(("policy", "field"), [("polka", "lr_policy"), ("step", "stepsize")])
def test_check_says_where(policy, field):
    with pytest.raises(CaffeError, match=f"^a.prototxt, {field}: lr_policy "):
        rates.check(solver(policy), lambda name: f"a.prototxt, {name}: ")


def test_rate_of_an_unknown_policy_is_refused():
    with pytest.raises(CaffeError, match='"polka"'):
        rates.rate(solver("polka"), 0)


@pytest.mark.parametrize(
    ("fields", "until", "expected"),
    [
        ({"policy": "step", "stepsize": 4}, 12, [4, 8]),
        ({"policy": "step", "stepsize": 4}, 13, [4, 8, 12]),
        ({"policy": "multistep", "stepvalue": [0, 5, 5, 6, 12]}, 20, [5, 6, 7, 12]),
        ({"policy": "multistep", "stepvalue": [0, 5, 5, 6, 12]}, 12, [5, 6, 7]),
        ({"policy": "exp", "stepsize": 4}, 20, []),
    ],
)
def test_changes(fields, until, expected):
    assert list(rates.changes(solver(**fields), until)) == expected


def test_a_sample_has_both_sides_of_each_change():
    param = solver("multistep", stepvalue=[3_333_333, 7_777_777])
    chosen = rates.sample(param, 10_000_000, 5)
    assert chosen == [0, 2499999, 3333332, 3333333, 4999999, 7499999, 7777776, 7777777, 9999999]


@pytest.mark.parametrize(("until", "points", "expected"), [(1, 10, [0]), (4, 10, [0, 1, 2, 3]), (9, 3, [0, 4, 8])])
def test_a_sample_holds_no_iteration_twice(until, points, expected):
    assert rates.sample(solver("fixed"), until, points) == expected


def test_a_sample_of_ten_million_changes_stays_small():
    assert len(rates.sample(solver("step", stepsize=1), 10_000_000, 100)) == 100
