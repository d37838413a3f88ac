"""The command deploy: where its text goes, and wrong uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST
from rigs.cli_rig import Command
from rigs.model_zoo import ROOT

LENET = str(ROOT / "configs" / "lenet" / "train_test.prototxt")
AUTOENCODER = str(ROOT / "configs" / "mnist_autoencoder" / "train_test.prototxt")


def test_it_writes_or_prints(here: Path) -> None:
    command = Command("deploy", LENET, "-o", "deploy.prototxt", "--batch", "5")
    assert (command.status, command.said) == (0, ["Wrote deploy.prototxt"])
    assert Net("deploy.prototxt", TEST).blobs["prob"].shape == (5, 10)
    assert Command("deploy", LENET, "--batch", "5").output == (here / "deploy.prototxt").read_text()


def test_stages() -> None:
    assert 'name: "decode1neuron"' in Command("deploy", AUTOENCODER, "--stage", "test-on-test").output


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["nowhere.prototxt"], 1, 'There is no file "nowhere.prototxt"'),
        ([LENET, "-o", "nowhere/deploy.prototxt"], 1, 'Cannot write "nowhere/deploy.prototxt": there is no folder'),
        ([AUTOENCODER], 1, "but the phase, level or stage in its include or exclude rules leaves it out here."),
        ([LENET, "--batch", "0"], 2, "--batch"),
    ],
)
def test_wrong_uses(arguments: list[str], status: int, sentence: str, here: Path) -> None:
    command = Command("deploy", *arguments)
    assert command.status == status
    assert sentence in command.sentence()
    assert not list(here.iterdir())
