"""The command explain."""

from __future__ import annotations

from pathlib import Path

import pytest

from rigs.cli_rig import Command
from rigs.random_run import new_solver, write_random_run

ORDER = ["before", "rate", "gradient", "clip_gradients", "normalize", "regularize", "compute_update_value", "update"]


def test_the_stages_in_the_order_of_apply_update(here: Path) -> None:
    path = write_random_run(here, "momentum: 0.9 snapshot: 1")
    command = Command("explain", f"--solver={path}", "--param", "conv", "--iterations=2", "--element", "2,0,1,2")
    assert command.status == 0, command.output
    lines = command.output.splitlines()
    assert lines[0] == "conv/0, 3x1x3x3: lr_mult 1, decay_mult 1; SGD, lr_policy multistep"
    assert [line for line in lines if line.startswith("Iteration")] == [
        f"Iteration {i}, loss = {line.split(' = ')[1]}" for i, line in enumerate(lines[2::16])
    ]
    stages = [line.split()[0] for line in lines if line and line[0] not in " -" and not line.startswith("Iteration")]
    assert stages[1:] == ["stage", *ORDER, "stage", *ORDER]
    assert "rate = 0.01 * 0.5 ^ 0" in command.output
    assert "diff = diff + 0.01 * 1 * weight" in command.output
    assert not list(here.glob("s_iter*"))


def test_the_bias(here: Path) -> None:
    path = write_random_run(here, "")
    assert Command("explain", "--solver", str(path), "--param=conv/1").output.startswith("conv/1, 3: ")


def test_from_a_snapshot(here: Path) -> None:
    path = write_random_run(here, "momentum: 0.9")
    solver = new_solver(path)
    solver.step(5)
    solver.snapshot()
    solver.close()
    command = Command("explain", f"--solver={path}", "--param=conv", "--snapshot=s_iter_5.solverstate")
    assert "Iteration 5, loss" in command.output
    assert "0.01 * 0.5 ^ 1" in command.output


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["--param=conv", "--element=1,2"], 1, "conv/0 has the shape 3x1x3x3: an element has 4 indices"),
        (["--param=conv", "--element=1,x"], 2, "expected whole numbers of 0 or more"),
        (["--param=conv", "--element="], 2, "expected whole numbers of 0 or more"),
        (["--param=con"], 1, 'the net has no parameter "con"; did you mean "conv"?'),
        (["--param=conv", "--iterations=0"], 2, "'--iterations'"),
        (["--param=conv", "--snapshot=none"], 1, "none"),
        ([], 2, "Missing option '--param'"),
    ],
)
def test_wrong_uses(arguments: list[str], status: int, sentence: str, here: Path) -> None:
    command = Command("explain", f"--solver={write_random_run(here)}", *arguments)
    assert command.status == status
    assert sentence in command.sentence()


def test_no_solver() -> None:
    assert 'no file "nowhere"' in Command("explain", "--solver=nowhere", "--param=x").sentence()
