"""The log: what readers of Caffe's logs find in it."""

from __future__ import annotations

import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

import pytest
from click.testing import CliRunner

from pycaffe_lite import log
from pycaffe_lite_cli import main
from rigs.golden_logs import FOLDER, HEAD
from rigs.lenet import mnist_sources

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
