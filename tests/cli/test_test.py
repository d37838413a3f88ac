"""`pycaffe-lite test`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rigs.cli_rig import NET, Command, values, write_run
from rigs.net_rig import inner_product, layer


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a net and its weights."""
    write_run(tmp_path)
    monkeypatch.chdir(tmp_path)
    Command("train", "--solver=solver.prototxt")
    return tmp_path


WEIGHTS = "--weights=s_iter_4.caffemodel"


def test_a_score() -> None:
    command = Command("test", "--model=net.prototxt", WEIGHTS, "--iterations=2")
    assert (command.status, command.output, command.warned) == (0, "", [])
    (loss,) = (float(line.split()[1]) for line in command.said if line.startswith("Loss: "))
    assert command.said[0] == "Use CPU."
    assert command.said[-8:] == [
        "Running for 2 iterations.",
        "Batch 0, accuracy = 1",
        f"Batch 0, loss = {loss:g}",
        "Batch 1, accuracy = 1",
        f"Batch 1, loss = {loss:g}",
        f"Loss: {loss:g}",
        "accuracy = 1",
        f"loss = {loss:g} (* 1 = {loss:g} loss)",
    ]


def test_the_mean_over_batches_and_elements(folder: Path) -> None:
    random = 'dummy_data_param { shape { dim: 2 dim: 1 } data_filler { type: "gaussian" } }'
    (folder / "net.prototxt").write_text(
        layer("data", "DummyData", top=["x"], more=random) + inner_product("fc", "x", 1, "loss_weight: 2")
    )
    said = Command("test", "--model=net.prototxt", "--weights=empty.caffemodel").sentence()
    assert "empty.caffemodel" in said
    Command("train", "--solver=solver.prototxt", "--set=test_iter=[]", "--set=test_interval=0", "--iterations=0")
    command = Command("test", "--model=net.prototxt", "--weights=s_iter_0.caffemodel", "--iterations=5")
    batches = np.array(values(command.said, "Batch")).reshape(5, 2)
    assert len(np.unique(batches)) == 10
    np.testing.assert_allclose(values(command.said, "fc = "), batches.mean(axis=0), rtol=1e-5)
    (loss,) = (float(line.split()[1]) for line in command.said if line.startswith("Loss: "))
    assert loss == pytest.approx(2 * batches.sum() / 5, rel=1e-5)


def test_the_net_is_that_of_the_test_phase_with_level_and_stages(folder: Path) -> None:
    rules = 'include { phase: TEST stage: "b" min_level: 2 }'
    (folder / "net.prototxt").write_text(NET + layer("more", "Silence", ["fc"], more=rules))
    options = ["test", "--model=net.prototxt", WEIGHTS, "--iterations=1"]
    assert "Creating Layer more" not in Command(*options).said
    assert "Creating Layer more" in Command(*options, "--stage=a,b", "--level=2").said


def test_several_files_of_weights() -> None:
    Path("other.caffemodel").write_bytes(Path("s_iter_4.caffemodel").read_bytes())
    command = Command("test", "--model=net.prototxt", WEIGHTS + ",other.caffemodel", "--iterations=1")
    assert command.status == 0


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ([], "Give the net to score: --model net.prototxt."),
        ([WEIGHTS], "Give the net to score: --model net.prototxt."),
        (["--model=net.prototxt"], "Give its weights: --weights net.caffemodel."),
        (["--model=net.prototxt", WEIGHTS, "--iterations=0"], "--iterations"),
        (["--model=net.prototxt", WEIGHTS, "--iterations=ten"], "'ten' is not a valid integer"),
    ],
)
def test_wrong_usage(args: list[str], sentence: str) -> None:
    command = Command("test", *args)
    assert command.status == 2
    assert sentence in command.sentence()


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--model=missing.prototxt", WEIGHTS], 'There is no file "missing.prototxt"'),
        (["--model=net.prototxt", "--weights=missing.caffemodel"], 'There is no file "missing.caffemodel"'),
        (["--model=s_iter_4.caffemodel", WEIGHTS], "is a binary file; expected the text (prototxt) of a net"),
        (["--model=net.prototxt", "--weights=net.prototxt"], "it holds text"),
        (["--model=net.prototxt", "--weights=s_iter_4.solverstate"], "looks like a solver's state"),
        (["--model=solver.prototxt", WEIGHTS], 'solver.prototxt:1:1: NetParameter has no field "net"'),
    ],
)
def test_files_that_are_missing_or_wrong(args: list[str], sentence: str) -> None:
    command = Command("test", *args)
    assert command.status == 1
    assert sentence in command.sentence()


def test_quiet() -> None:
    command = Command("test", "--model=net.prototxt", WEIGHTS, "--quiet", "--gpu=0")
    assert (command.status, command.said) == (0, [])
    assert command.warned == ["--gpu 0: there is no GPU here; computing on the CPU."]
