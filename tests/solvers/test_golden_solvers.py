"""Solvers against what Caffe computed: weights, history, losses, rates, and what the log says of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.proto.read import read_solver
from rigs.golden_solvers import FOLDER, LOSS, GoldenCase, arrays, cases, fed_solver, read_case, same_state, same_texts
from rigs.net_rig import logged, messages

CASES = cases()
RESUMED = sorted(name for name, case in CASES.items() if "resume" in case)
AVERAGES = json.loads((FOLDER / "average_loss.json").read_text())


def test_all_cases_are_here() -> None:
    assert set(CASES) == set(json.loads((FOLDER / "cases.json").read_text()))
    assert (len(CASES), len(RESUMED)) == (48, 7)


@pytest.mark.parametrize("name", sorted(CASES))
def test_twenty_iterations(name: str) -> None:
    GoldenCase(name).check()


# -- resuming from Caffe's snapshots -----------------------------------------------------------------------


@pytest.fixture
def snapshots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the working folder one in which the states find their weights, in snap/."""
    shutil.copytree(FOLDER / "resume", tmp_path / "snap")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("snapshots")
@pytest.mark.parametrize("extension", ["", ".h5"])
@pytest.mark.parametrize("name", RESUMED)
def test_going_on_from_caffes_snapshot(name: str, extension: str) -> None:
    case = GoldenCase(name)
    solver = fed_solver(case.text, first=10 * case.text.param.iter_size)
    solver.restore(f"snap/{name}_iter_10.solverstate{extension}")
    assert solver.iter == 10
    same_state(solver, case.golden, 10)
    case.run(solver, 10)


@pytest.mark.usefixtures("snapshots")
@pytest.mark.parametrize("name", RESUMED)
def test_going_on_with_the_data_from_the_start(name: str) -> None:
    case, golden = GoldenCase(name), arrays(f"resume/{name}_row0.npz")
    solver = fed_solver(case.text)
    solver.restore(f"snap/{name}_iter_10.solverstate")
    losses = [report.loss for report in solver.steps(10)]
    np.testing.assert_allclose(losses, golden["loss"], rtol=LOSS)
    same_state(solver, golden, 20)


# -- the smoothed loss -------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", AVERAGES, ids=lambda entry: f"{entry['average_loss']}-{entry['display']}")
def test_the_losses_that_the_log_shows(tmp_path: Path, entry: dict) -> None:  # type: ignore[type-arg]
    options = [
        f'{key}: "{value}"' if isinstance(value, str) else f"{key}: {value}" for key, value in entry["options"].items()
    ]
    path = tmp_path / "solver.prototxt"
    path.write_text(
        "\n".join(options)
        + f'\nnet: "net.prototxt" max_iter: 20 display: {entry["display"]} average_loss: {entry["average_loss"]}'
        + "\nsnapshot_after_train: false"
    )
    lines = logged()
    fed_solver(read_case(path)).solve()
    shown = [line for line in messages(lines) if line.startswith("Iteration") and ", loss = " in line]
    ours = [f"{line.split()[1].rstrip(',')} {line.rsplit(' ', 1)[1]}" for line in shown]
    same_texts(ours, [f"{iteration} {loss}" for iteration, loss in entry["printed"]], LOSS)


def test_the_cases_are_read_as_written() -> None:
    """So that a case is about the solver it names."""
    for name, case in CASES.items():
        param = read_solver(str(FOLDER / case["solver"])).param
        for key, value in case["options"].items():
            assert getattr(param, key) == pytest.approx(value), (name, key)
