"""`pycaffe-lite train`."""

from __future__ import annotations

import contextlib
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.formats.caffemodel import read_weights
from pycaffe_lite.formats.solverstate import read_state
from rigs.cli_rig import NET, SOLVER, Command, values, write_run
from rigs.golden_logs import HEAD
from rigs.net_rig import inner_product, layer


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a small run in it."""
    write_run(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def weights(path: str) -> np.ndarray:
    return next(saved.blobs[0] for saved in read_weights(path) if saved.name == "fc")


def test_a_run() -> None:
    command = Command("train", "--solver", "solver.prototxt")
    assert (command.status, command.output, command.warned) == (0, "", [])
    assert command.said[0] == "Use CPU."
    assert command.said[-2:] == ["Optimization Done.", "Optimization Done."]
    assert "Starting Optimization" in command.said
    files = ["s_iter_4.caffemodel", "s_iter_4.resume", "s_iter_4.solverstate"]
    assert sorted(path.name for path in Path().glob("s_*")) == files
    losses = values(command.said, "    Train net output #0: loss")
    assert losses[1] < losses[0]


def test_the_parameters_that_the_log_shows() -> None:
    (dump,) = [
        text for text in Command("train", "--solver=solver.prototxt").said if text.startswith("Initializing solver")
    ]
    assert dump.splitlines() == [
        "Initializing solver from parameters: ",
        "test_iter: 1",
        "test_interval: 2",
        "base_lr: 0.1",
        "display: 2",
        "max_iter: 4",
        'lr_policy: "fixed"',
        "momentum: 0.9",
        'snapshot_prefix: "s"',
        "random_seed: 1",
        'net: "net.prototxt"',
        "train_state {",
        "  level: 0",
        '  stage: ""',
        "}",
    ]


def test_iterations_set_max_iter() -> None:
    Command("train", "--solver=solver.prototxt", "--iterations=7")
    assert read_state("s_iter_7.solverstate").iter == 7


def test_a_run_from_another_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert Command("train", "--solver=../solver.prototxt").status == 0
    assert Path("s_iter_4.caffemodel").is_file()


def test_resuming() -> None:
    Command("train", "--solver=solver.prototxt", "--set=snapshot=2")
    whole = Path("s_iter_4.caffemodel").read_bytes()
    Path("s_iter_4.caffemodel").unlink()
    command = Command("train", "--solver=solver.prototxt", "--snapshot=s_iter_2.solverstate")
    assert command.status == 0
    at = command.said.index("Resuming from s_iter_2.solverstate")
    assert command.said[at - 1 : at + 6] == [
        "Solver scaffolding done.",
        "Resuming from s_iter_2.solverstate",
        "SGDSolver: restoring history",
        "Solver settings changed since the snapshot: snapshot: 2 -> 0",
        "Data, random numbers and smoothed loss go on exactly where s_iter_2.resume says.",
        "Starting Optimization",
        "Solving tiny",
    ]
    assert command.said[at + 7] == "Iteration 2, Testing net (#0)"
    assert Path("s_iter_4.caffemodel").read_bytes() == whole


def test_finetuning() -> None:
    Command("train", "--solver=solver.prototxt")
    Path("s_iter_4.caffemodel").rename("a.caffemodel")
    for given in ("a.caffemodel", "other.caffemodel,a.caffemodel"):
        Path("other.caffemodel").write_bytes(Path("a.caffemodel").read_bytes())
        command = Command("train", "--solver=solver.prototxt", f"--weights={given}", "--iterations=0")
        assert command.status == 0
        count = len(given.split(","))
        assert [line for line in command.said if line.startswith("Finetuning")] == 2 * [
            f"Finetuning from {name}" for name in given.split(",")
        ]
        np.testing.assert_array_equal(weights("s_iter_0.caffemodel"), weights("a.caffemodel"))
        assert count == given.count(",") + 1


def test_level_and_stage_choose_layers_of_the_train_net(folder: Path) -> None:
    write_run(folder, NET + layer("more", "Silence", ["fc"], more='include { stage: "b" min_level: 2 }'))
    options = ["train", "--solver=solver.prototxt", "--iterations=0"]
    assert "Creating Layer more" not in Command(*options).said
    said = Command(*options, "--stage=a,b", "--level=2").said
    assert said.count("Creating Layer more") == 1


@pytest.mark.parametrize(
    ("args", "solver", "warning"),
    [
        (["--gpu=0"], SOLVER, "--gpu 0: there is no GPU here; computing on the CPU."),
        (["--gpu", "all"], SOLVER, "--gpu all: there is no GPU here; computing on the CPU."),
        ([], SOLVER + "solver_mode: GPU\n", "solver_mode: GPU: there is no GPU here; training goes on the CPU."),
    ],
)
def test_without_a_gpu_there_is_one_warning(folder: Path, args: list[str], solver: str, warning: str) -> None:
    write_run(folder, solver=solver)
    command = Command("train", "--solver=solver.prototxt", *args)
    assert (command.status, command.warned) == (0, [warning])


def test_a_solver_that_says_nothing_of_its_mode_is_not_warned_about() -> None:
    assert Command("train", "--solver=solver.prototxt").warned == []


def test_quiet() -> None:
    command = Command("train", "--solver=solver.prototxt", "--quiet", "--gpu=0")
    assert (command.status, command.output, command.said, len(command.warned)) == (0, "", [], 1)


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ([], "Give the solver: --solver solver.prototxt."),
        (["--solver="], "Give the solver: --solver solver.prototxt."),
        (
            ["--solver=solver.prototxt", "--snapshot=a", "--weights=b"],
            "Give --snapshot to resume or --weights to finetune, not both.",
        ),
        (["--solver=solver.prototxt", "--iterations=-1"], "--iterations"),
        (["--solver=solver.prototxt", "--threads=0"], "--threads"),
        (["--solver=solver.prototxt", "--sigint_effect=pause"], "'stop', 'snapshot', 'none'"),
        (["--solver=solver.prototxt", "--gpu=first"], "expected device numbers, like 0 or 0,1, or all; got 'first'"),
        (["solver.prototxt"], "solver.prototxt"),
    ],
)
def test_wrong_usage(args: list[str], sentence: str) -> None:
    command = Command("train", *args)
    assert command.status == 2
    assert sentence in command.sentence()


# -- expectations ------------------------------------------------------------------------------------------


def test_an_expectation_that_is_met() -> None:
    command = Command("train", "--solver=solver.prototxt", "--expect=loss<100", "--expect", "accuracy >= 0")
    assert (command.status, command.output) == (0, "")


def test_an_expectation_that_is_not_met() -> None:
    command = Command("train", "--solver=solver.prototxt", "--expect=loss<0", "--expect=accuracy<=1", "--expect=loss>9")
    assert command.status == 3
    assert re.fullmatch(
        r"Expected loss < 0 in the last test, got [\d.]+\.\nExpected loss > 9 in the last test, got [\d.]+\.\n",
        command.output,
    )


def test_an_expectation_is_of_the_final_weights() -> None:
    command = Command("train", "--solver=solver.prototxt", "--iterations=5", "--expect=loss<100")
    assert [line for line in command.said if "Testing" in line][-1] == "Iteration 5, Testing net (#0)"


def test_an_expectation_of_a_name_that_there_is_not_is_said_before_training() -> None:
    command = Command("train", "--solver=solver.prototxt", "--expect=acuracy>=0.9")
    assert command.status == 1
    assert command.sentence() == (
        '--expect: expected the name of a test output, got "acuracy"; the outputs are accuracy, loss.'
    )
    assert "Starting Optimization" not in command.said


# -- the terminal ------------------------------------------------------------------------------------------


COMMAND = [sys.executable, "-m", "pycaffe_lite_cli", "train", "--solver=solver.prototxt"]


def test_no_progress_bar_in_a_file() -> None:
    result = subprocess.run(COMMAND, capture_output=True, text=True, check=True, timeout=60)
    assert "\r" not in result.stderr
    assert all(HEAD.match(line) for line in result.stderr.splitlines() if "teration" in line)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo-terminals")
def test_on_a_terminal_the_bar_is_never_mixed_into_log_lines() -> None:
    text = on_terminal([*COMMAND, "--iterations=20", "--set=display=1"])
    lines = [line.replace("\x1b[A", "").strip() for line in re.split(r"[\r\n]+", text)]
    shown = [line for line in lines if re.search(r"Iteration \d+, lr = ", line)]
    assert len(shown) == 20
    assert all(HEAD.match(line) for line in shown), shown
    assert any("/20 [" in line and not HEAD.match(line) for line in lines)


def on_terminal(command: list[str]) -> str:
    """What a command writes to standard error when that is a terminal."""
    import fcntl
    import termios

    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    with subprocess.Popen(command, stderr=slave) as process:
        os.close(slave)
        text = b""
        with contextlib.suppress(OSError):  # what Linux says when the other side has closed
            while chunk := os.read(master, 65536):
                text += chunk
        os.close(master)
        assert process.wait(60) == 0
    return text.decode()


def test_weights_of_another_net_are_refused(folder: Path) -> None:
    Command("train", "--solver=solver.prototxt")
    write_run(folder, NET.replace(inner_product("fc", "x", 3), inner_product("fc", "x", 5)))
    command = Command("train", "--solver=solver.prototxt", "--weights=s_iter_4.caffemodel")
    assert command.status == 1
    assert command.sentence().startswith('net.prototxt:5: layer "fc" (InnerProduct): expected parameter 0 in s_iter_4')
