"""parse-log and plot-log: the tables and charts of Caffe's logs and of ours."""

from __future__ import annotations

import csv
import json
import shutil
import threading
import time
from pathlib import Path

import pytest

from rigs.cli_rig import Command
from rigs.golden_logs import FOLDER

TRAIN = str(FOLDER / "logs" / "train.log")


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))


def test_both_tables_are_written(here: Path) -> None:
    command = Command("parse-log", TRAIN, ".", "--verbose")
    assert command.output == "Wrote ./train.log.train\nWrote ./train.log.test\n"
    assert rows_of((here / "train.log.test").read_text())[1] == {
        "NumIters": "50",
        "Seconds": "4.909867",
        "LearningRate": "0.00997011",
        "accuracy": "0.8753",
        "loss": "0.392262",
    }
    assert len(rows_of((here / "train.log.train").read_text())) == 11


def test_one_table_is_printed() -> None:
    assert rows_of(Command("parse-log", TRAIN).output)[2]["loss"] == "0.333584"
    assert rows_of(Command("parse-log", TRAIN, "--show", "test").output)[-1]["accuracy"] == "0.913"
    found = json.loads(Command("parse-log", TRAIN, "--format", "json").output)
    assert found[-1] == {
        "NumIters": 200, "Seconds": 12.383947, "LearningRate": 0.00986709, "loss": None, "SmoothedLoss": 0.167051
    }  # fmt: skip
    assert ";loss;" in Command("parse-log", TRAIN, "--delimiter", ";").output


def test_a_second_test_net_and_a_second_run_have_files_of_their_own(here: Path) -> None:
    text = (FOLDER / "logs" / "outputs.log").read_text()
    (here / "two.log").write_text(text + text)
    Command("parse-log", "two.log", ".")
    assert {path.name for path in here.iterdir()} == {
        "two.log", *(f"two.log{run}.{table}" for run in ("", ".run1") for table in ("train", "test", "test1"))
    }  # fmt: skip


@pytest.mark.parametrize("name", ["outputs", "debug_info"])
def test_our_log_gives_caffes_table(name: str, here: Path) -> None:
    """But for the times, and the last digits of numbers."""
    for path in FOLDER.glob("outputs*.prototxt"):
        shutil.copy(path, here)
    solver = "outputs_solver.prototxt" if name == "outputs" else "debug_solver.prototxt"
    shutil.copy(FOLDER / solver, here)
    (here / "ours.log").write_text("\n".join(Command("train", "--solver", solver).log))
    for table in ("train", "test"):
        ours, caffes = (
            rows_of(Command("parse-log", path, "--show", table).output)
            for path in ("ours.log", str(FOLDER / "logs" / f"{name}.log"))
        )
        assert len(ours) == len(caffes) > 0
        for mine, theirs in zip(ours, caffes, strict=True):
            assert mine.pop("Seconds")
            assert theirs.pop("Seconds")
            assert list(mine) == list(theirs)
            numbers = [[float(value or "nan") for value in row.values()] for row in (mine, theirs)]
            assert numbers[0] == pytest.approx(numbers[1], rel=1e-4, nan_ok=True)


@pytest.mark.parametrize("command", [["parse-log", "--follow"], ["plot-log", "--follow"]])
def test_a_log_that_grows_is_followed_to_its_end(command: list[str], here: Path) -> None:
    text = Path(TRAIN).read_text()
    middle = text.index("loss = 0.333584")  # within a line
    log = here / "growing.log"
    log.write_text(text[:middle])

    def write_the_rest() -> None:
        time.sleep(0.5)
        with log.open("a") as file:
            file.write(text[middle:])

    writer = threading.Thread(target=write_the_rest)
    writer.start()
    followed = Command(*command, "growing.log")
    writer.join()
    whole = Command(command[0], TRAIN)
    if command[0] == "parse-log":
        assert followed.output == whole.output
    else:
        first, second = followed.output.split("  B test loss\n")[:2]
        assert " 20\n" in first  # as far as the axis goes
        assert " 200\n" in second
        assert second + "  B test loss\n" == whole.output


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["nowhere.log"], 1, 'There is no log "nowhere.log"'),
        (["."], 1, "Cannot read .: it is a folder, not a file."),
        (["empty"], 1, 'empty: expected the log of a training run, got no line that begins with "Iteration N".'),
        ([TRAIN, "nowhere"], 1, 'There is no folder "nowhere" to write the tables to'),
        ([TRAIN, "--delimiter", "ab"], 2, "--delimiter: expected one character, got 'ab'."),
        ([TRAIN, ".", "--follow"], 2, "--follow prints one CSV table; leave out OUTPUT_DIR and --format json."),
    ],
)
def test_wrong_uses(arguments: list[str], status: int, sentence: str, here: Path) -> None:
    (here / "empty").write_bytes(b"\xff\x00")
    command = Command("parse-log", *arguments)
    assert command.status == status
    assert sentence in command.sentence()
