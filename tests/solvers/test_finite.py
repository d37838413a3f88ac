"""Runs that come to numbers that are not finite: told where, and never saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import Diverged
from pycaffe_lite.layers.inner_product import InnerProduct
from pycaffe_lite.net.watch import is_finite
from pycaffe_lite.solvers.sgd import SGDSolver
from rigs.cli_rig import NET as TINY
from rigs.cli_rig import SOLVER, Command, write_run
from rigs.net_rig import fill, inner_product, inputs, layer, make_solver, softmax_loss
from rigs.random_run import TYPES

NET = (
    inputs(x=[4, 3], label=[4])
    + inner_product("a", "x", 5)
    + layer("relu", "ReLU", ["a"], ["a"])
    + inner_product("b", "a", 3)
    + softmax_loss("b")
)
BASE = 'base_lr: 0.1 lr_policy: "fixed" random_seed: 1 max_iter: 9 snapshot_prefix: "s" snapshot: 1 '


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(folder: Path, generator: np.random.Generator, more: str = "") -> SGDSolver:
    solver = make_solver(folder, NET, BASE + more)
    fill(solver.net, generator, label=3)
    return solver


def saved() -> list[str]:
    return sorted(path.name for path in Path().glob("s_*"))


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_loss_names_the_first_blob(folder: Path, generator: np.random.Generator, number: float) -> None:
    solver = made(folder, generator)
    solver.step(2)
    solver.net.blobs["x"].data[1, 1] = number
    kind = "nan" if np.isnan(number) else "inf"
    with pytest.raises(
        Diverged, match=rf'Iteration 2: the loss is nan; the first {kind} is in blob "x", a top of layer "in" \(Input\)'
    ):
        solver.step(1)
    assert solver.iter == 2


def test_a_loss_names_the_first_parameter(folder: Path, generator: np.random.Generator) -> None:
    solver = made(folder, generator)
    solver.net.params["b"][1].data[0] = np.nan
    with pytest.raises(
        Diverged, match=r'the loss is nan; the first nan is in parameter 1 of layer "b" \(InnerProduct\)'
    ):
        solver.step(1)


@pytest.mark.parametrize("kind", TYPES)
def test_a_gradient_names_where_it_began(
    folder: Path, generator: np.random.Generator, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    solver = made(folder, generator, f'type: "{kind}" {TYPES[kind]}')
    solver.step(1)
    backward = InnerProduct.backward

    def broken(layer: InnerProduct, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        backward(layer, top, propagate_down, bottom)
        if layer.name == "b":
            bottom[0].diff[0, 0] = np.inf

    monkeypatch.setattr(InnerProduct, "backward", broken)
    solver.net.blobs["a"].data[...] = 1
    with pytest.raises(
        Diverged,
        match=r'Iteration 1: a gradient is not finite; the first inf is in the diff of blob "a", a bottom of layer "b"',
    ):
        solver.step(1)


def test_a_gradient_of_a_parameter_alone(
    folder: Path, generator: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    solver = made(folder, generator)
    backward = InnerProduct.backward

    def broken(layer: InnerProduct, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        backward(layer, top, propagate_down, bottom)
        if layer.name == "a":
            layer.blobs[1].diff[2] = np.nan

    monkeypatch.setattr(InnerProduct, "backward", broken)
    with pytest.raises(Diverged, match=r"the first nan is in the diff of parameter 1 of layer \"a\""):
        solver.step(1)


def test_an_update_that_overflows_is_not_saved(folder: Path, generator: np.random.Generator) -> None:
    solver = made(folder, generator)
    solver.step(3)
    before = {name: Path(name).read_bytes() for name in saved()}
    solver.param.base_lr = 3e38
    with pytest.raises(Diverged, match=r"Iteration 4: the update made parameter . of layer .* (nan|inf)"):
        for _ in range(3):
            for blob in solver.net.parameters.blobs:
                blob.diff[...] = 3e38
            solver.apply_update()
        solver.iter += 1
        solver.snapshot()
    assert {name: Path(name).read_bytes() for name in saved()} == before


def test_the_end_looks_at_the_parameters_even_without_a_snapshot(folder: Path, generator: np.random.Generator) -> None:
    solver = made(folder, generator, "snapshot_after_train: false")
    solver.param.snapshot = 0
    solver.param.max_iter = 1
    for _ in solver.run():
        break
    solver.net.params["a"][0].data[0, 0] = np.inf
    with pytest.raises(Diverged, match='Iteration 1: the update made parameter 0 of layer "a"'):
        for report in solver.run():
            del report


def test_history_counts(folder: Path, generator: np.random.Generator) -> None:
    solver = made(folder, generator)
    solver.step(1)
    solver.history[1].data[0] = np.inf
    with pytest.raises(Diverged, match="Iteration 1: history blob 1 of the solver holds inf"):
        solver.snapshot()


def test_a_norm_that_overflows_is_finite_all_the_same() -> None:
    assert is_finite(np.full(5, 1e38, np.float32))
    assert is_finite(np.full((5, 5), 1e38, np.float32).T)
    assert is_finite(np.zeros(0, np.float32))
    for number in (np.nan, np.inf, -np.inf):
        values = np.full(5, 1e38, np.float32)
        values[3] = number
        assert not is_finite(values)


def test_the_first_of_several_passes_counts(folder: Path, generator: np.random.Generator) -> None:
    solver = made(folder, generator, "iter_size: 3")
    passes = []
    forward = solver.net.forward_loss

    def second_is_bad() -> float:
        passes.append(1)
        solver.net.blobs["x"].data[0, 0] = np.nan if len(passes) == 2 else 1
        return forward()

    solver.net.forward_loss = second_is_bad  # type: ignore[method-assign]
    with pytest.raises(Diverged, match='the first nan is in blob "x"'):
        solver.step(1)
    assert len(passes) == 2


# -- the command -------------------------------------------------------------------------------------------


@pytest.fixture
def diverging(folder: Path) -> None:
    write_run(
        folder,
        TINY,
        SOLVER.replace("base_lr: 0.1", "base_lr: 3e38").replace("max_iter: 4", "max_iter: 9") + "snapshot: 1\n",
    )


@pytest.mark.usefixtures("diverging")
def test_the_command_ends_with_status_4() -> None:
    command = Command("train", "--solver=solver.prototxt")
    assert command.status == 4
    last = max(int(name.split("_")[2].split(".")[0]) for name in saved())
    assert command.sentence().startswith("Iteration ")
    assert command.sentence().endswith(f" To go on from the last snapshot: --snapshot s_iter_{last}.solverstate")
    assert len(saved()) == 3 * last
    for name in Path().glob("*.caffemodel"):
        assert Command("test", "--model=net.prototxt", f"--weights={name}", "--iterations=1").status == 0


@pytest.mark.usefixtures("diverging")
def test_the_command_goes_on_if_told_to() -> None:
    command = Command("train", "--solver=solver.prototxt", "--no-check-finite")
    assert command.status == 0
    assert "s_iter_9.caffemodel" in saved()
    assert any("loss = nan" in line for line in command.said)


def test_without_a_snapshot_it_says_so(folder: Path) -> None:
    write_run(folder, TINY, SOLVER.replace("base_lr: 0.1", "base_lr: 3e38"))
    command = Command("train", "--solver=solver.prototxt")
    assert command.status == 4
    assert command.sentence().endswith(" There is no snapshot to go on from.")
