"""explain: its numbers are the run's own, and enough to do the next update by hand, to the bit."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite import parallel
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.solvers import rates
from pycaffe_lite.solvers.registry import MODULES, get_solver
from pycaffe_lite.solvers.sgd import PIECE, SGDSolver
from pycaffe_lite.tools.explain import Observer, Parameter, explain, record
from pycaffe_lite.tools.update_formulas import RATES, RULES, number, rate_formula
from rigs import ROOT
from rigs.cli_rig import Command
from rigs.net_rig import inner_product, inputs, layer, make_solver
from rigs.random_run import TYPES, new_solver, write_random_run

Found = dict[str, Any]
CASES = {
    **{kind: (f'type: "{kind}" {needs} ', kind) for kind, needs in TYPES.items()},
    "L1": ('momentum: 0.9 regularization_type: "L1" ', "SGD"),
    "clip": ("momentum: 0.9 clip_gradients: 0.3 ", "SGD"),
    "not clipped": ("momentum: 0.9 clip_gradients: 1e4 ", "SGD"),
    "iter_size": ("momentum: 0.9 iter_size: 2 ", "SGD"),
    "all": ('momentum: 0.9 regularization_type: "L1" clip_gradients: 0.3 iter_size: 2 ', "SGD"),
    "decoupled": ('type: "Adam" momentum: 0.9 momentum2: 0.99 regularization_type: "decoupled" ', "Adam"),
}
ELEMENTS = [(0, 0, 0, 0), (2, 0, 1, 2), (1, 0, 2, 0)]


def next_weights(kind: str, rows: list[Found], kind_of_decay: str) -> np.ndarray:
    """One update by hand, from what explain says of the state before it: float32 arrays and Python's numbers."""
    n = {name: value for row in rows for name, value in row["numbers"].items()}
    before = {r["name"]: np.array(r["elements"], np.float32) for r in rows if r["stage"] == "before"}
    w, g = before["weight"], np.array(next(r for r in rows if r["stage"] == "gradient")["elements"], np.float32)
    a, f32 = n["local_rate"], np.float32
    if n.get("norm", 0) > n["clip_gradients"] >= 0:
        g = g * (n["clip_gradients"] / n["norm"])
    g = g * (1 / n["iter_size"])
    if kind_of_decay != "decoupled":
        g = g + (np.sign(w) if kind_of_decay == "L1" else w) * (n["weight_decay"] * n["decay_mult"])
    if kind in ("SGD", "Nesterov"):
        v = n["momentum"] * before["history"] + a * g
        d = v if kind == "SGD" else v * (1 + n["momentum"]) - n["momentum"] * before["history"]
    elif kind in ("AdaGrad", "RMSProp"):
        keep, add = (1, 1) if kind == "AdaGrad" else (n["rms_decay"], float(1 - f32(n["rms_decay"])))
        d = g / (np.sqrt(keep * before["history"] + g**2 * add) + n["delta"]) * a
    else:
        m, new = n["momentum"], float(1 - f32(n["momentum"]))
        if kind == "AdaDelta":
            d = a * (
                g * np.sqrt((before["updates"] + n["delta"]) / (m * before["gradients"] + g**2 * new + n["delta"]))
            )
        else:
            m2, t = n["momentum2"], n["t"]
            square = m2 * before["square"] + g**2 * float(1 - f32(m2))
            rate = a * float((1 - m2**t) ** 0.5 / (1 - m**t))
            d = (m * before["mean"] + new * g) / (np.sqrt(square) + n["delta"]) * rate
    if kind_of_decay == "decoupled":
        d = d + w * (a * n["weight_decay"] * n["decay_mult"])
    return w - d


def told(path: Path, iterations: int, elements: Sequence[Sequence[int]]) -> tuple[Found, list[list[Found]]]:
    arguments = [f"--element={','.join(map(str, element))}" for element in elements]
    command = Command(
        "explain", f"--solver={path}", "--param=conv", f"--iterations={iterations}", "--format=json", *arguments
    )
    assert command.status == 0, command.output
    found = json.loads(command.output)
    return found, [each["stages"] for each in found["iterations"]]


@pytest.mark.parametrize("case", CASES)
def test_its_numbers_give_the_next_weights_to_the_bit(case: str, here: Path) -> None:
    text, kind = CASES[case]
    path = write_random_run(here, text)
    decay = next((name for name in ("L1", "decoupled") if f'"{name}"' in text), "L2")
    found, iterations = told(path, 6, ELEMENTS)
    assert (found["type"], found["param"], found["elements"]) == (kind, "conv/0", [list(e) for e in ELEMENTS])
    for i, rows in enumerate(iterations):
        after = np.array(rows[-1]["elements"], np.float32)
        assert (rows[-1]["stage"], rows[-1]["name"]) == ("update", "weight")
        np.testing.assert_array_equal(next_weights(kind, rows, decay), after)
        assert np.any(after != np.array(rows[0]["elements"], np.float32))
        if i + 1 < len(iterations):
            assert iterations[i + 1][0]["elements"] == rows[-1]["elements"]
    solver = new_solver(path)
    solver.step(6)
    solver.close()
    weights = solver.net.params["conv"][0].data
    assert [float(weights[e]) for e in ELEMENTS] == iterations[-1][-1]["elements"]
    norms = [row["norm"] for row in iterations[-1] if row["name"] == "weight"]
    assert norms[-1] == pytest.approx(np.linalg.norm(weights.astype(np.float64)), rel=1e-12)


def evaluated(text: str, names: dict[str, Any]) -> Any:
    functions = {name: getattr(np, name) for name in ("sqrt", "sign", "exp", "floor", "cos", "pi", "abs")}
    return eval(text.replace("^", "**"), {"__builtins__": {}}, {"min": min, "max": max, **functions, **names})


@pytest.mark.parametrize("case", CASES)
def test_the_formulas_say_what_the_code_does(case: str, here: Path) -> None:
    _, iterations = told(write_random_run(here, CASES[case][0]), 3, ELEMENTS)
    for rows in iterations:
        arrays: dict[str, Any] = {}
        for row in rows:
            name, _, right = row["formula"].partition(" = ")
            values = np.array(row.get("elements", row.get("value")), np.float64) if "norm" in row else row.get("value")
            if row["stage"] == "before":
                arrays |= {row["name"]: values, f"{row['name']}_before": values}
                continue
            if right and "," not in right and row["stage"] != "gradient":
                assert name == row["name"]
                got = evaluated(right, {**arrays, **row["numbers"]})
                if values is not None:
                    np.testing.assert_allclose(got, values, rtol=2e-5, atol=1e-8)
                else:
                    values = got
            arrays[row["name"]] = values


def test_each_rule_and_each_policy_has_its_formula() -> None:
    assert set(RULES) == set(MODULES)
    assert set(RATES) == set(rates.POLICIES)


POLICIES = {
    "fixed": "",
    "step": "gamma: 0.5 stepsize: 2",
    "exp": "gamma: 0.9",
    "inv": "gamma: 0.1 power: 0.75",
    "multistep": "gamma: 0.5 stepvalue: 1 stepvalue: 4",
    "poly": "power: 2",
    "sigmoid": "gamma: 0.5 stepsize: 3",
    "cosine": "min_lr: 0.001",
    "sgdr": "period: 2 lr_mult: 0.5 min_lr: 0.001",
    "triangular": "stepsize: 2 max_lr: 0.1",
    "plateau": "gamma: 0.1 plateau_winsize: 2 plateau_winsize: 2",
    "exp with warm-up": "gamma: 0.9 warmup_iter: 3 warmup_start_lr: 0.001",
    "exp with min_lr": "gamma: 0.5 min_lr: 0.002",
    "sgdr of one cycle": "period: -1",
}


@pytest.mark.parametrize("case", POLICIES)
def test_a_rate_is_its_formula_with_its_numbers(case: str, here: Path) -> None:
    net = (
        inputs(x=[2, 3], y=[2, 1])
        + inner_product("fc", "x", 1, "param { lr_mult: 0 } param { lr_mult: 0 }")
        + layer("loss", "EuclideanLoss", ["fc", "y"], ["l"])
    )
    policy = case.partition(" ")[0]
    solver = make_solver(here, net, f'base_lr: 0.01 lr_policy: "{policy}" max_iter: 8 {POLICIES[case]}')
    seen = set()
    for update in explain(solver, Parameter(solver, "fc"), 7):
        row = next(row for row in update.rows if row.name == "rate")
        seen.add(row.value)
        assert evaluated(row.formula.text, row.formula.numbers) == pytest.approx(row.value, rel=1e-6)
        assert evaluated(row.formula.filled(), {}) == pytest.approx(row.value, rel=1e-6)
    assert len(seen) > 1 or case == "fixed"


def test_a_parameter_in_several_pieces_on_several_threads(here: Path) -> None:
    parallel.set_num_threads(3)
    net = inputs(x=[2, 900], y=[2, 300]) + inner_product("fc", "x", 300)
    solver = make_solver(
        here,
        net + layer("loss", "EuclideanLoss", ["fc", "y"], ["l"]),
        'base_lr: 0.1 lr_policy: "fixed" momentum: 0.9 random_seed: 1',
    )
    solver.net.blobs["x"].data[...] = 1
    solver.net.blobs["y"].data[...] = np.arange(300)
    assert solver.parameters.blobs[0].count > 2 * PIECE
    elements = [(0, 0), (150, 17), (299, 899)]
    blob = solver.net.params["fc"][0]
    (update,) = explain(solver, Parameter(solver, "fc", elements), 1)
    assert update.rows[-1].elements == tuple(float(blob.data[e]) for e in elements)
    assert update.rows[-1].norm == pytest.approx(float(np.linalg.norm(blob.data.astype(np.float64))), rel=1e-12)
    assert len(set(update.rows[-1].elements)) == 3


def test_channels_last_weights_are_read_by_their_logical_indices() -> None:
    solver = get_solver(str(ROOT / "configs" / "lenet" / "smoke_solver.prototxt"))
    assert isinstance(solver, SGDSolver)
    try:
        (update,) = explain(solver, Parameter(solver, "conv2", [(7, 3, 1, 4)]), 1)
        assert update.rows[-1].elements == (float(solver.net.params["conv2"][0].data[7, 3, 1, 4]),)
    finally:
        solver.close()


def test_a_solver_is_as_it_was_when_nobody_watches(here: Path) -> None:
    solver = new_solver(write_random_run(here, "momentum: 0.9"))
    before = set(vars(solver))
    with Observer(solver, Parameter(solver, "conv")).watching():
        assert set(vars(solver)) > before
    assert set(vars(solver)) == before
    solver.close()


SHARED = """
layer { name: "one" type: "InnerProduct" bottom: "x" top: "one" param { name: "w" } inner_product_param {
  num_output: 3 bias_term: false weight_filler { type: "xavier" } } }
layer { name: "two" type: "InnerProduct" bottom: "one" top: "two" param { name: "w" } inner_product_param {
  num_output: 3 bias_term: false } }
layer { name: "loss" type: "EuclideanLoss" bottom: "two" bottom: "y" top: "loss" }
"""


def test_names_of_parameters(here: Path) -> None:
    solver = make_solver(here, inputs(x=[2, 3], y=[2, 3]) + SHARED, 'base_lr: 0.1 lr_policy: "fixed"')
    for name in ("one", "one/0", "two", "two/0"):
        assert Parameter(solver, name).name == "one/0"
    assert Parameter(solver, "one").elements == [(0, 0)]
    for name, said in (("onee", 'did you mean "one"'), ("x/9", "it has one/0."), ("", "it has one/0.")):
        with pytest.raises(CaffeError, match=said):
            Parameter(solver, name)
    for element in ((0,), (0, 0, 0), (3, 0)):
        with pytest.raises(CaffeError, match="one/0 has the shape 3x3: an element has 2 indices"):
            Parameter(solver, "one", [element])


def test_numbers_that_are_not_finite_are_null(here: Path) -> None:
    net = inputs(x=[2, 3], y=[2, 1]) + inner_product("fc", "x", 1) + layer("loss", "EuclideanLoss", ["fc", "y"], ["l"])
    solver = make_solver(here, net, 'base_lr: 1 lr_policy: "poly" power: 0.5 max_iter: 1')
    *_, last = explain(solver, Parameter(solver, "fc"), 3)
    rows = json.loads(json.dumps(record(last), allow_nan=False))["stages"]
    assert next(row for row in rows if row["name"] == "rate")["value"] is None
    assert rate_formula(solver).filled() == "1 * (1 - 3 / 1) ^ 0.5"


@pytest.mark.parametrize(
    ("value", "text"), [(0.1, "0.1"), (1.0, "1"), (1e-4, "0.0001"), (2e-7, "2e-07"), (-0.0, "-0"), (3e9, "3e+09")]
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text
    assert re.fullmatch(r"-?[\de.+-]+", text)
