"""`pycaffe-lite time`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rigs.cli_rig import NET, Command, write_run
from rigs.net_rig import inputs, layer, make_net


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_run(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_table() -> None:
    command = Command("time", "--model=net.prototxt", "--iterations=3")
    assert (command.status, command.output, command.warned) == (0, "", [])
    said = command.said[command.said.index("Network initialization done.") + 1 :]
    number = r"[-+.e\d]+"
    patterns = [
        "Performing Forward",
        f"Initial loss: {number}",
        "Performing Backward",
        r"\*\*\* Benchmark begins \*\*\*",
        r"Testing for 3 iterations\.",
        *(rf"Iteration: {i} forward-backward time: {number} ms\." for i in (1, 2, 3)),
        "Average time per layer: ",
        *(rf" *{name}\t{way}: {number} ms\." for name in ("data", "fc", "loss") for way in ("forward", "backward")),
        rf"Average Forward pass: {number} ms\.",
        rf"Average Backward pass: {number} ms\.",
        rf"Average Forward-Backward: {number} ms\.",
        rf"Total Time: {number} ms\.",
        r"\*\*\* Benchmark ends \*\*\*",
    ]
    assert len(said) == len(patterns)
    for line, pattern in zip(said, patterns, strict=True):
        assert re.fullmatch(pattern, line), (line, pattern)


def test_the_times_add_up() -> None:
    said = Command("time", "--model=net.prototxt", "--iterations=20").said

    def milliseconds(pattern: str) -> list[float]:
        return [float(match[1]) for line in said if (match := re.search(pattern, line))]

    for way, name in (("forward", "Forward pass"), ("backward", "Backward pass")):
        (mean,) = milliseconds(rf"Average {name}: (\S+) ms")
        assert sum(milliseconds(rf"\t{way}: (\S+) ms")) == pytest.approx(mean, rel=1e-3)
    (total,), (mean,) = milliseconds(r"Total Time: (\S+) ms"), milliseconds(r"Forward-Backward: (\S+) ms")
    assert total == pytest.approx(20 * mean, rel=1e-4)
    assert sum(milliseconds(r"^Iteration: .* time: (\S+) ms")) <= total * 1.001


def test_layers_that_run_as_one_are_measured_as_one() -> None:
    rule = "scale_param { bias_term: true }"
    conv = "convolution_param { num_output: 3 kernel_size: 3 }"
    text = inputs(x=[3, 2, 8, 8]) + layer("ip", "Convolution", ["x"], ["y"], conv)
    text += layer("bn", "BatchNorm", ["y"], ["y"]) + layer("s", "Scale", ["y"], ["y"], rule)
    text += layer("r", "ReLU", ["y"], ["y"])
    text += layer("sum", "Reduction", ["y"], ["sum"], "loss_weight: 1")
    Path("chain.prototxt").write_text(text)
    said = Command("time", "--model=chain.prototxt", "--iterations=2").said
    assert [line.split("\t")[0].strip() for line in said if "\tforward: " in line] == ["in", "ip", "bn+s+r", "sum"]


def test_weights(folder: Path) -> None:
    """The weights are 0 after the second file, so that each of the 3 classes has a third."""
    net = make_net(NET)
    net.save("random.caffemodel")
    for blob in net.params["fc"]:
        blob.data[...] = 0
    net.save("zero.caffemodel")
    command = Command("time", "--model=net.prototxt", "--weights=random.caffemodel,zero.caffemodel", "--iterations=1")
    assert command.status == 0
    assert "Weights of zero.caffemodel: copied 2 parameters of 1 layer." in command.said
    assert "Initial loss: 1.09861" in command.said
    assert Command("time", "--model=net.prototxt", "--weights=none.caffemodel").status == 1


@pytest.mark.parametrize(("phase", "there"), [("TRAIN", False), ("TEST", True)])
def test_the_phase(phase: str, there: bool) -> None:
    said = Command("time", "--model=net.prototxt", f"--phase={phase}", "--iterations=1").said
    assert ("Creating Layer accuracy" in said) is there


def test_level_and_stage(folder: Path) -> None:
    (folder / "net.prototxt").write_text(
        NET + layer("more", "Silence", ["fc"], more='include { stage: "b" min_level: 2 }')
    )
    said = Command("time", "--model=net.prototxt", "--stage=b", "--level=2", "--iterations=1").said
    assert any(line.strip().startswith("more\tforward") for line in said)


@pytest.mark.parametrize(
    ("args", "status", "sentence"),
    [
        ([], 2, "Give the net to measure: --model net.prototxt."),
        (["--model=net.prototxt", "--phase=VALIDATE"], 2, "'TRAIN', 'TEST'"),
        (["--model=missing.prototxt"], 1, 'There is no file "missing.prototxt"'),
    ],
)
def test_what_cannot_be(args: list[str], status: int, sentence: str) -> None:
    command = Command("time", *args)
    assert command.status == status
    assert sentence in command.sentence()
