"""The log: what readers of Caffe's logs find in it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

import pytest
from click.testing import CliRunner

from pycaffe_lite import log
from pycaffe_lite_cli import main
from rigs.golden_logs import FOLDER, HEAD
from rigs.lenet import mnist_sources
from rigs.net_rig import logged

LAST = 40


def run(args: list[str]) -> str:
    result = CliRunner().invoke(main, args, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def train_log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The log of Caffe's LeNet run, up to a little more than iteration 40."""
    folder = tmp_path_factory.mktemp("train")
    (folder / "lenet.prototxt").write_text(mnist_sources((FOLDER / "lenet.prototxt").read_text()))
    shutil.copy(FOLDER / "lenet_solver.prototxt", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        output = run(["train", "--solver=lenet_solver.prototxt", f"--iterations={LAST + 1}"])
    log.set_level("E")
    yield output


# -- what parse_log.py looks for ---------------------------------------------------------------------------

ITERATION = re.compile(r"Iteration (\d+)")
TRAIN_OUTPUT = re.compile(r"Train net output #(\d+): (\S+) = ([\.\deE+-]+)")
TEST_OUTPUT = re.compile(r"Test net output #(\d+): (\S+) = ([\.\deE+-]+)")
RATE = re.compile(r"lr = ([-+]?[0-9]*\.?[0-9]+([eE]?[-+]?[0-9]+)?)")


def test_parse_log_finds_every_rate_loss_and_accuracy(train_log: str) -> None:
    rates: dict[int, float] = {}
    found: dict[str, dict[int, dict[str, float]]] = {"train": defaultdict(dict), "test": defaultdict(dict)}
    iteration = -1
    for line in train_log.splitlines():
        if match := ITERATION.search(line):
            iteration = int(match[1])
        if iteration == -1:
            continue
        if match := RATE.search(line):
            rates[iteration] = float(match[1])
        for kind, pattern in (("train", TRAIN_OUTPUT), ("test", TEST_OUTPUT)):
            if match := pattern.search(line):
                found[kind][iteration][match[2]] = float(match[3])
    assert rates == {0: 0.01, 20: 0.00998503, 40: 0.00997011}
    assert {i: list(row) for i, row in found["train"].items()} == {0: ["loss"], 20: ["loss"], 40: ["loss"]}
    assert {i: list(row) for i, row in found["test"].items()} == {0: ["accuracy", "loss"]}
    assert found["test"][0]["accuracy"] == pytest.approx(0.0953)


# -- what people's own scripts look for ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def log_file(train_log: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("log") / "train.log"
    path.write_text(train_log)
    return str(path)


def found_by(command: str, log_file: str) -> list[str]:
    """The lines that a shell's command finds in the log."""
    result = subprocess.run(["sh", "-c", command, "sh", log_file], capture_output=True, text=True, check=True)
    return result.stdout.splitlines()


@pytest.mark.skipif(not shutil.which("awk"), reason="needs grep and awk")
def test_grep_finds_what_the_solver_says(log_file: str) -> None:
    losses = found_by("grep 'solver.cpp' $1 | grep ', loss = ' | sed 's/.*loss = //'", log_file)
    assert len(losses) == 3
    assert all(0 < float(loss) < 3 for loss in losses)
    assert len(found_by("grep 'solver.cpp:' $1 | grep 'Test net output'", log_file)) == 2
    assert found_by("grep 'sgd_solver.cpp:112' $1 | awk '{print $NF}'", log_file) == [
        "0.01",
        "0.00998503",
        "0.00997011",
    ]


@pytest.mark.skipif(not shutil.which("awk"), reason="needs grep and awk")
def test_awk_finds_what_the_train_net_puts_out(log_file: str) -> None:
    fields = found_by("awk '/Train net output/ {print $5, $8, $9, $11}' $1", log_file)
    assert [field.split()[:2] for field in fields] == [["Train", "#0:"]] * 3
    assert [field.split()[2] for field in fields] == ["loss"] * 3
    losses = [float(field.split()[3]) for field in fields]
    assert losses[0] == pytest.approx(2.3, abs=0.3)
    assert losses[2] < losses[0]


def test_an_expression_finds_iterations_and_rates(train_log: str) -> None:
    assert re.findall(r"\] Iteration (\d+), lr = (\S+)", train_log) == [
        ("0", "0.01"),
        ("20", "0.00998503"),
        ("40", "0.00997011"),
    ]


def test_a_line_of_our_own_carries_our_own_place() -> None:
    lines = logged()
    log.warning("ours")
    log.warning("Caffe's", "net.cpp:12")
    assert [HEAD.match(line)[2].split(":")[0] for line in lines] == ["test_log.py", "net.cpp"]  # type: ignore[index]


# -- what all lines are -------------------------------------------------------------------------------------


def test_date_and_time_stand_in_the_first_two_columns(train_log: str) -> None:
    def moment(line: str) -> datetime:
        date, clock = line.split()[:2]
        return datetime.strptime(f"2000{date[1:]} {clock}", "%Y%m%d %H:%M:%S.%f")

    lines = [line for line in train_log.splitlines() if HEAD.match(line)]
    times = [moment(line) for line in lines]
    assert times == sorted(times)
    assert {line[0] for line in lines} == {"I"}


def test_solving_comes_before_the_first_iteration(train_log: str) -> None:
    assert train_log.index("Solving LeNet") < train_log.index("Iteration 0")


def test_speeds_are_true_numbers(train_log: str) -> None:
    speeds = re.findall(r"Iteration (\d+) \(([\d.]+) iter/s, ([\d.]+)s/(\d+) iters\), loss = ", train_log)
    assert [(int(at), int(count)) for at, _, _, count in speeds] == [(0, 1), (20, 20), (40, 20)]
    for _, rate, seconds, count in speeds:
        assert float(rate) * float(seconds) == pytest.approx(float(count), rel=0.02)


def test_no_blank_lines(train_log: str) -> None:
    assert all(line.strip() for line in train_log.splitlines())
