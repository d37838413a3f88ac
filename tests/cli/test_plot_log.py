"""plot-log: which curves a chart has, and where they go."""

from __future__ import annotations

from pathlib import Path

import pytest

from pycaffe_lite.tools.training_log import read_log
from pycaffe_lite_cli.plot_log import _curves
from rigs.cli_rig import Command
from rigs.golden_logs import FOLDER

TRAIN, FINETUNE, OUTPUTS = (str(FOLDER / "logs" / f"{name}.log") for name in ("train", "finetune", "outputs"))


def curves(path: str, x: str, names: list[str], smooth: int = 1):
    with open(path, encoding="utf-8") as file:
        return {curve.label: list(curve.points) for curve in _curves(path, read_log(file), x, names, smooth)}


def test_a_name_is_looked_for_in_both_nets() -> None:
    found = curves(TRAIN, "iteration", ["loss"])
    assert list(found) == ["train loss", "test loss"]
    assert found["train loss"][:2] == [(0, 2.34889), (20, 0.823677)]
    assert found["test loss"][-1] == (200, 0.273897)
    assert list(curves(TRAIN, "iteration", ["train:loss", "test:accuracy", "lr"])) == [
        "train loss",
        "test accuracy",
        "lr",
    ]


def test_without_an_output_of_that_name_the_loss_is_that_of_the_solver() -> None:
    found = curves(OUTPUTS, "iteration", ["loss"])
    assert list(found) == ["train loss"]
    assert found["train loss"] == curves(OUTPUTS, "iteration", ["smoothed"])["train smoothed"]
    assert list(curves(OUTPUTS, "iteration", ["total"])) == [
        "train total",
        "test total (#0)",
        "test total (#1)",
    ]


@pytest.mark.parametrize(("x", "last"), [("seconds", 11.876461), ("lr", 0.01), ("SmoothedLoss", 2.34889)])
def test_the_other_axis(x: str, last: float) -> None:
    points = curves(TRAIN, x, ["train:loss"])["train loss"]
    assert points[-1][0] == last
    assert points == sorted(points)


def test_smoothing_takes_the_mean_of_the_last_values() -> None:
    plain, smooth = (curves(TRAIN, "iteration", ["train:loss"], n)["train loss"] for n in (1, 3))
    values = [y for _, y in plain]
    assert [y for _, y in smooth] == pytest.approx(
        [sum(values[max(0, i - 2) : i + 1]) / len(values[max(0, i - 2) : i + 1]) for i in range(len(values))]
    )


def test_several_logs_in_one_chart() -> None:
    lines = Command("plot-log", TRAIN, FINETUNE, "-y", "test:accuracy", "--log").output.splitlines()
    assert [line.split() for line in lines[-2:]] == [
        ["A", "train.log:", "test", "accuracy"],
        ["B", "finetune.log:", "test", "accuracy"],
    ]
    assert "accuracy" in lines[0]


@pytest.mark.parametrize("name", ["a.png", "a.svg", "a.txt"])
def test_files(name: str, here: Path) -> None:
    if not name.endswith("txt"):
        pytest.importorskip("matplotlib")
    command = Command("plot-log", TRAIN, "-y", "loss,accuracy", "-x", "lr", "-o", name)
    assert (command.status, command.output) == (0, "")
    data = (here / name).read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n" if name == "a.png" else b"test accuracy" in data or b"<svg" in data


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        ([], 2, "Missing argument 'LOG...'"),
        ([TRAIN, "-o", "a.gif"], 2, "-o needs a file name that ends in .png, .svg, .pdf, .txt; got a.gif."),
        ([TRAIN, TRAIN, "--follow"], 2, "--follow draws one log in the terminal; leave out -o and further logs."),
        ([TRAIN, "-y", ","], 2, "-y: expected a name or several, separated by commas, got none."),
        ([TRAIN, "-y", "Loss"], 1, "train.log: there is no Loss over iteration to draw; the outputs are iteration, "),
        ([TRAIN, "-x", "speed"], 1, "there is no loss over speed to draw"),
        (["first.log"], 1, "first.log: all there is of loss is at iteration 0; a chart needs a second point."),
        (["other.log"], 1, 'There is no log "other.log"'),
    ],
)
def test_wrong_uses(arguments: list[str], status: int, sentence: str, here: Path) -> None:
    (here / "first.log").write_text("Iteration 0, loss = 1\n")
    command = Command("plot-log", *arguments)
    assert command.status == status
    assert sentence in command.sentence()
