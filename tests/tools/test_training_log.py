"""Reading training logs: Caffe's own, those of its forks, and runs that were interrupted and resumed."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path

import pytest

from pycaffe_lite.tools.training_log import LogReader, Row, Run, cell, columns, read_log
from rigs.golden_logs import FOLDER

LOGS = sorted((FOLDER / "logs").glob("*.log"))
TRAINED = [path for path in LOGS if not path.stem.startswith(("test", "time"))]


def one(text: str) -> Run:
    runs = read_log(text.strip().splitlines())
    assert len(runs) == 1
    return runs[0]


def table(rows: list[Row]) -> list[list[float | None]]:
    return [[cell(row, name) for name in columns(rows)] for row in rows]


@pytest.mark.parametrize("path", TRAINED, ids=lambda path: path.stem)
def test_caffes_own_logs_lose_no_number(path: Path) -> None:
    """What simple expressions find in the whole text is what the tables hold."""
    text = path.read_text()
    runs = read_log(text.splitlines())
    for net, tables in (
        ("Train", [run.train for run in runs]),
        ("Test", [rows for run in runs for rows in run.tests.values()]),
    ):
        found = [float(number) for number in re.findall(rf"{net} net output #\d+: \S+ = (\S+)", text)]
        held = [
            value
            for rows in tables
            for row in rows
            for name, value in row.values.items()
            if name not in ("SmoothedLoss", "TestLoss")
        ]
        assert sorted(held) == sorted(found)
    rates = re.findall(r"Iteration (\d+), lr = (\S+)", text)
    rows = {row.iteration: row.rate for run in runs for row in run.train}
    assert {int(iteration): float(rate) for iteration, rate in rates}.items() <= rows.items()


def test_a_run_of_caffe() -> None:
    run = one((FOLDER / "logs" / "train.log").read_text())
    assert (run.name, run.ended) == ("LeNet", True)
    assert [row.iteration for row in run.train] == list(range(0, 201, 20))
    assert columns(run.train) == ["NumIters", "Seconds", "LearningRate", "loss", "SmoothedLoss"]
    assert columns(run.tests[0]) == ["NumIters", "Seconds", "LearningRate", "accuracy", "loss"]
    assert table(run.train)[1] == [20, 2.366867, 0.00998503, 0.823677, 0.823677]
    # The rate of a test is that of its iteration; of one that is not displayed, the last before.
    assert [row.rate for row in run.tests[0]] == [0.01, 0.00997011, 0.00992565, 0.00989627, 0.00986709]


def test_several_nets_and_outputs_of_one_name() -> None:
    run = one((FOLDER / "logs" / "outputs.log").read_text())
    assert list(run.tests) == [0, 1]
    assert columns(run.train)[3:] == [*(f"aside[{i}]" for i in range(8)), "near", "total", "SmoothedLoss"]
    assert columns(run.tests[1])[3:] == [*(f"aside[{i}]" for i in range(8)), "total"]


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_the_heads_of_older_glog(path: Path) -> None:
    """Without the year everything else is the same."""
    text = path.read_text()
    assert read_log(re.sub(r"(?m)^([IWEF])2026", r"\1", text).splitlines()) == read_log(text.splitlines())


def test_no_heads_at_all() -> None:
    text = (FOLDER / "logs" / "train.log").read_text()
    bare = one(re.sub(r"(?m)^[IWEF]\d+ [^]]*\] ?", "", text))
    assert {row.seconds for row in bare.train} == {None}
    for row in bare.train:
        row.seconds = 0
    expected = one(text).train
    assert [row.values for row in bare.train] == [row.values for row in expected]


def test_what_forks_write() -> None:
    run = one("""
        w1 | I0329 06:59:54.100000     1 solver.cpp:200] Solving LeNet
        w1 | I0329 06:59:55.182549     1 solver.cpp:334] Iteration 100 (497.3 iter/s, 0.197s/98 iter), loss = 2.18689
        w1 | I0329 06:59:55.182579     1 solver.cpp:356] Train net output #0: top 5 = 2.1 (* 1 = 2.1 loss)
        w1 | I0329 06:59:55.182588     1 sgd_solver.cpp:161] Iteration 100, lr = 9.9e-05, m = 0.9, wd = 0.0005, gs = 1
        w1 | I0329 06:59:55.282588     1 solver.cpp:161] Iteration 150 (241.076/s), lr = 0.5
        w1 | I0329 06:59:55.300000     1 sgd_solver.cpp:50] MultiStep Status: Iteration 151, step = 1
        w1 | I0329 06:59:56.182588     1 solver.cpp:400] Iteration 200, Testing net (#0)
        w1 | I0329 06:59:56.182588     1 solver.cpp:400]     Test score #0: 0.75
    """)
    assert columns(run.train)[3:] == ["top 5", "m", "wd", "gs", "SmoothedLoss"]
    assert table(run.train) == [
        [100, pytest.approx(1.082549), 9.9e-05, 2.1, 0.9, 0.0005, 1, 2.18689],
        [150, pytest.approx(1.182588), 0.5, None, None, None, None, None],
    ]
    assert [row.iteration for row in run.tests[0]] == [200]
    assert run.tests[0][0].values == {"score0": 0.75}


@pytest.mark.parametrize(
    ("text", "value"),
    [("nan", math.nan), ("-nan", math.nan), ("inf", math.inf), ("-1.5e+20", -1.5e20), ("1e-45", 1e-45), ("7", 7)],
)
def test_numbers(text: str, value: float) -> None:
    run = one(f"Iteration 3, loss = {text}\n    Train net output #0: loss = {text} (* 1 = {text} loss)")
    assert list(run.train[0].values.values()) == pytest.approx([value, value], nan_ok=True)


DISPLAY = """I{date} solver.cpp:1] Iteration {i}, loss = {i}.5
I{date} solver.cpp:2]     Train net output #0: loss = {i}.5 (* 1 = {i}.5 loss)
I{date} solver.cpp:3] Iteration {i}, lr = 0.{i}
"""


def display(iteration: int, date: str) -> str:
    return DISPLAY.format(i=iteration, date=f"{date} 77")


def solving(date: str, resuming: bool = False, name: str = "net", after: bool = False) -> str:
    lines = [f"I{date} 77 solver.cpp:1] Solving {name}\n"]
    if resuming:
        lines.insert(
            1 if after else 0,
            f"I{date} 77 caffe.cpp:1] {'Restoring previous solver status from' if after else 'Resuming from'} s\n",
        )
    return "".join(lines)


@pytest.mark.parametrize("after", [False, True])
def test_a_resumed_run_goes_on_where_its_snapshot_was(after: bool) -> None:
    """It was killed at 30, its snapshot is of 20, and it went on an hour later."""
    first = solving("0101 10:00:00") + "".join(display(i, f"0101 10:00:{i}") for i in (10, 20, 30))
    second = solving("0101 11:00:00", True, after=after) + "".join(
        display(i, f"0101 11:00:{i - 10}") for i in (20, 30, 40)
    )
    run = one(first + second)
    assert [row.iteration for row in run.train] == [10, 20, 30, 40]
    # 10 s until the row that is left, then 10, 20 and 30 s.
    assert [row.seconds for row in run.train] == [10, 20, 30, 40]
    assert [row.rate for row in run.train] == [0.10, 0.20, 0.30, 0.40]


def test_a_new_run_is_a_run_of_its_own() -> None:
    text = solving("0101 10:00:00") + display(10, "0101 10:00:10")
    runs = read_log((text + text.replace(" 10:", " 12:")).splitlines())
    assert [[row.seconds for row in run.train] for run in runs] == [[10], [10]]
    other = solving("0101 11:00:00", True, "other") + display(10, "0101 11:00:10")
    assert [run.name for run in read_log((text + other).splitlines())] == ["net", "other"]


def test_an_interrupted_run_keeps_what_it_has() -> None:
    text = (FOLDER / "logs" / "outputs.log").read_text()
    cut = text.index("Train net output #2", text.index("Iteration 2 "))
    run = one(text[:cut])
    assert not run.ended
    assert columns(run.train) == columns(one(text).train)
    assert run.train[-1].values.keys() == {"SmoothedLoss", "aside[0]", "aside[1]"}


def test_a_row_that_breaks_off_in_the_first_of_several_outputs() -> None:
    text = (FOLDER / "logs" / "outputs.log").read_text()
    run = one(text[: text.index("Train net output #1", text.index("Iteration 2 "))])
    assert run.train[-1].values.keys() == {"SmoothedLoss", "aside[0]"}


def test_new_years_eve_without_a_year() -> None:
    run = one(solving("1231 23:59:50") + display(1, "1231 23:59:59") + display(2, "0101 00:00:05"))
    assert [row.seconds for row in run.train] == [9, 15]
    leap = one(solving("0228 23:59:50") + display(1, "0229 00:00:00"))
    assert [row.seconds for row in leap.train] == [10]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no log\n",
        "Iteration\n",
        "Iteration 99999999999999999999\n",
        "Train net output #0: loss = 1\n",
        "I9999 99:99:99 1 a:1] x\n",
    ],
)
def test_what_is_no_log_has_no_runs(text: str) -> None:
    assert read_log(text.splitlines()) == []


def test_an_endless_line_is_soon_over() -> None:
    """As in a file that is no log: the expressions that look for outputs must not meet all of it at every place."""
    begin = time.perf_counter()
    assert [row.iteration for row in one("Iteration 1, loss = 2\n" + "Train net output #0: " * 200_000).train] == [1]
    assert time.perf_counter() - begin < 5


def test_damaged_lines_do_no_harm() -> None:
    text = "I1399 25:61:61.5 7 a.cpp:1] Iteration 5, loss = 1.2.3\nIteration 6, loss = \nIteration 7, loss = 0.25\n"
    run = one(text)
    assert [row.iteration for row in run.train] == [5, 7]
    assert math.isnan(run.train[0].values["SmoothedLoss"])


def test_a_reader_knows_when_the_run_is_over() -> None:
    reader = LogReader()
    ended = []
    for line in (FOLDER / "logs" / "train.log").read_text().splitlines():
        reader.feed(line)
        ended.append(reader.ended)
    assert ended[-1]
    assert not any(ended[:-3])
