"""summary: the table of a net, in each of its forms."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from pycaffe_lite_cli import table
from rigs.cli_rig import Command
from rigs.model_zoo import ROOT, models

LENET = str(ROOT / "configs" / "lenet" / "train_test.prototxt")


def test_the_table() -> None:
    lines = Command("summary", LENET).output.splitlines()
    assert lines[0] == "LeNet, TRAIN, batch size 64"
    assert lines[2].split() == ["layer", "type", "top", "shape", "parameters", "multiply-adds", "activations"]
    assert lines[5].split() == ["conv1", "Convolution", "64x20x24x24", "520", "18,432,000", "5.6", "MiB"]
    assert "parameters: 431,080" in lines
    assert "multiply-adds: 146,752,000, 2,293,000 for each of 64" in lines
    assert [line.split(":")[0] for line in lines[-2:]] == ["memory in TRAIN", "memory in TEST"]


def test_json() -> None:
    found = json.loads(Command("summary", LENET, "--format", "json", "--phase", "TEST", "--batch", "2").output)
    assert (found["name"], found["phase"], found["batch"]) == ("LeNet", "TEST", 2)
    assert found["total"]["parameters"] == 431_080
    assert found["layers"][1]["tops"] == [[2, 20, 24, 24]]
    assert set(found["total"]["memory"]) == {"TRAIN", "TEST"}


def test_csv() -> None:
    rows = list(csv.DictReader(Command("summary", LENET, "--format", "csv").output.splitlines()))
    assert sum(int(row["parameters"]) for row in rows) == 431_080
    assert rows[0]["top_shape"] == "64x1x28x28, 64"


def test_markdown() -> None:
    lines = Command("summary", LENET, "--format", "markdown").output.splitlines()
    assert lines[2:4] == [
        "| layer | type | top shape | parameters | multiply-adds | activations |",
        "| --- | --- | --- | ---: | ---: | ---: |",
    ]
    assert "- parameters: 431,080" in lines


def test_a_tree_cut_at_a_depth(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(models.googlenet(1))
    lines = Command("summary", str(path), "--depth", "1").output.splitlines()
    row = next(line for line in lines if line.startswith("inception_3a"))
    assert row.split()[1:5] == ["14", "layers", "1x256x28x28", "163,696"]


def test_a_net_with_stages_shows_the_one_that_is_asked_for() -> None:
    path = str(ROOT / "configs" / "mnist_autoencoder" / "train_test.prototxt")
    assert "memory in TEST" not in Command("summary", path).output
    command = Command("summary", path, "--phase", "TEST", "--stage", "test-on-test")
    assert command.status == 0
    assert command.output.startswith("MNISTAutoencoder, TEST, batch size 100")


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["nowhere.prototxt"], 1, 'There is no file "nowhere.prototxt"'),
        ([LENET, "--batch", "0"], 2, "'--batch'"),
        ([LENET, "--batch", "2000000000"], 1, "A blob holds at most 2**31 - 1 elements"),
        ([], 2, "Missing argument 'NET'"),
    ],
)
def test_wrong_uses(arguments: list[str], status: int, sentence: str) -> None:
    command = Command("summary", *arguments)
    assert command.status == status
    assert sentence in command.sentence()


def test_a_table_that_is_too_wide_wraps_in_its_columns() -> None:
    text = table.to_text(
        ["name", "what it is"], [["one", "a long text of words"], ["two", "short"]], [False, False], 20
    )
    assert text.splitlines() == [
        "name  what it is",
        "----  --------------",
        "one   a long text of",
        "      words",
        "two   short",
    ]
    assert max(map(len, table.to_text(["a"], [["x" * 50]], [True], 20).splitlines())) == 20
