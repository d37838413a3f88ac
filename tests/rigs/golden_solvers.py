"""Runs a case of golden/solvers/ and compares it with what Caffe computed; its README.md tells how."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pycaffe_lite.net import Net
from pycaffe_lite.proto.read import SolverText, read_solver
from pycaffe_lite.solvers.registry import get_solver
from pycaffe_lite.solvers.sgd import SGDSolver
from rigs import GOLDEN
from rigs.net_rig import logged, messages

FOLDER = GOLDEN / "solvers"
NUMBER = re.compile(r"[-+]?\d[\d.]*(?:e[-+]?\d+)?")

LOSS, RATE = 2e-5, 5e-7
TOLERANCE = {"params": 1e-4, "history": 5e-5}
"""Relative tolerances; those of parameters and history are of the blob's largest value."""

NEAR_TIE = {"params": 1e-3, "history": 1e-2}
"""Those of conv1 after 20 updates. It lies below a max pooling, where equal values but for the last bits may win
either way: under the OpenBLAS kernels Haswell and Zen, sgd_decay_l2 then differs by 2e-4 and 3e-3, and by under 1e-6
in all else."""


def cases() -> dict[str, dict[str, Any]]:
    """The cases whose files are here, by name."""
    table = json.loads((FOLDER / "cases.json").read_text())
    return {name: case for name, case in table.items() if (FOLDER / case["arrays"]).is_file()}


def arrays(path: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / path) as file:
        return dict(file)


def read_case(path: Path, net: str = "") -> SolverText:
    """A solver whose net is a file of the folder."""
    text = read_solver(str(path))
    text.param.net = str(FOLDER / (net or text.param.net))
    return text


def fed_solver(text: SolverText, first: int = 0) -> SGDSolver:
    """A solver with the golden first weights, whose k-th forward pass takes batch first + k."""
    solver = get_solver(text)
    assert isinstance(solver, SGDSolver)
    solver.net.copy_from(str(FOLDER / "init.caffemodel"))
    _feed(solver.net, first)
    return solver


def _feed(net: Net, batch: int) -> None:
    data = arrays("golden.npz")
    forward: Callable[[], float] = net.forward_loss

    def forward_next() -> float:
        nonlocal batch
        for name in ("data", "label"):
            net.blobs[name].data[...] = data[name][batch % len(data[name])]
        batch += 1
        return forward()

    net.forward_loss = forward_next  # type: ignore[method-assign]


def same_blob(ours: np.ndarray, golden: np.ndarray, tolerance: float, what: str) -> None:
    assert ours.shape == golden.shape, what
    worst = np.abs(ours - golden).max()
    assert worst <= tolerance * np.abs(golden).max(), f"{what}: differs by {worst:g}"


def same_state(solver: SGDSolver, golden: dict[str, np.ndarray], updates: int) -> None:
    """Compares parameters, history and step with those after that many updates, if they were kept."""
    parameters, history = solver.parameters, solver.history
    ours = {f"params/{updates}/{name}": blob for name, blob in zip(parameters.names, parameters.blobs, strict=True)}
    ours |= {f"history/{updates}/{i}": blob for i, blob in enumerate(history)}
    layers = [name.split("/")[0] for name in parameters.names]
    of_layer = dict(zip(ours, [*layers, *layers * (len(history) // len(layers))], strict=True))
    kept = {key for key in golden if key.startswith((f"params/{updates}/", f"history/{updates}/"))}
    assert kept in (set(), set(ours))
    for key in kept:
        kind = key.split("/")[0]
        near_tie = updates == 20 and of_layer[key] == "conv1"
        same_blob(ours[key].data, golden[key], (NEAR_TIE if near_tie else TOLERANCE)[kind], key)
    step = golden.get(f"current_step/{updates}")
    assert step is None or solver.current_step == step


class GoldenCase:
    """A case, run for 20 iterations."""

    def __init__(self, name: str) -> None:
        self.case = cases()[name]
        self.golden = arrays(self.case["arrays"])
        self.text = read_case(FOLDER / self.case["solver"])
        self.lines: list[str] = []

    def check(self) -> None:
        self.lines = logged()
        solver = fed_solver(self.text)
        self.run(solver, 0)
        assert len(solver.history) == sum(key.startswith("history/20/") for key in self.golden)
        self.check_log()

    def run(self, solver: SGDSolver, first: int) -> None:
        """Trains to iteration 20, comparing on the way."""
        for report in solver.steps(20 - first):
            i = report.iteration
            np.testing.assert_allclose(report.loss, self.golden["loss"][i], rtol=LOSS, err_msg=f"loss {i}")
            np.testing.assert_allclose(report.rate, self.golden["lr"][i], rtol=RATE, err_msg=f"rate {i}")
            same_state(solver, self.golden, i + 1)
        assert solver.iter == 20

    def check_log(self) -> None:
        said = messages(self.lines)
        rates = [line for line in said if ", lr = " in line]
        same_texts(rates, [f"Iteration {i}, lr = {rate}" for i, rate in enumerate(self.case["log_lr"])], 2e-6)
        same_texts([line for line in said if "clipping" in line], self.case["clip_log"], 2e-5)
        same_texts([line for line in said if "MultiStep" in line], self.case["multistep_log"], 0)
        at = [i for i, line in enumerate(said) if "clipping" in line]
        iterations = [int(said[i - 1].split()[1].rstrip(",")) for i in at]  # the line before tells the rate
        assert iterations == self.case["clip_iterations"]


def same_texts(ours: list[str], golden: list[str], rtol: float) -> None:
    """Compares lines word by word, their numbers within a relative tolerance."""
    assert [NUMBER.sub("#", line) for line in ours] == [NUMBER.sub("#", line) for line in golden]
    for mine, theirs in zip(ours, golden, strict=True):
        numbers = [[float(number) for number in NUMBER.findall(line)] for line in (mine, theirs)]
        np.testing.assert_allclose(numbers[0], numbers[1], rtol=rtol, err_msg=f"{mine} / {theirs}")
