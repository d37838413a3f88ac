"""The command export-weights, and its wrong uses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST
from rigs.cli_rig import Command
from rigs.net_rig import inner_product, inputs, net_param


@pytest.fixture
def weights(here: Path) -> Net:
    net = Net(net_param(inputs(x=[1, 3]) + inner_product("fc", "x", 2)), TEST)
    net.save("w.caffemodel")
    return net


def test_it_says_what_it_wrote(weights: Net) -> None:
    command = Command("export-weights", "--weights", "w.caffemodel", "-o", "w.npz")
    assert (command.status, command.output) == (0, "Wrote 2 parameters to w.npz\n")
    with np.load("w.npz") as file:
        np.testing.assert_array_equal(file["fc/0"], weights.params["fc"][0].data)
    assert Command("export-weights", "--weights", "w.caffemodel", "-o", "w.safetensors", "--quiet").output == ""
    assert Path("w.safetensors").stat().st_size > 32


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        ([], 2, "Give the parameters: --weights net.caffemodel."),
        (["--weights", "w.caffemodel"], 2, "-o needs a file name that ends in .npz or .safetensors; got none."),
        (["--weights", "w.caffemodel", "-o", "w.pt"], 2, "ends in .npz or .safetensors; got w.pt."),
        (["--weights", "gone", "-o", "w.npz"], 1, "gone"),
        (["--weights", "w.caffemodel", "-o", "no/w.npz"], 1, 'Cannot write "no/w.npz": there is no folder'),
        (["--weights", "w.caffemodel", "--model", "gone", "-o", "w.npz"], 1, 'There is no file "gone"'),
    ],
)
def test_wrong_uses(arguments: list[str], status: int, sentence: str, weights: Net) -> None:
    command = Command("export-weights", *arguments)
    assert command.status == status
    assert sentence in command.sentence()
    assert not Path("w.npz").exists()
