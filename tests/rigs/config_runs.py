"""Short runs of the solvers under configs/."""

from __future__ import annotations

import re
from pathlib import Path

from rigs.cli_rig import Command


def losses(path: Path, iterations: int, output: str = "loss", *more: str) -> list[float]:
    """What the log shows of an output of the train net in a short run without tests, every ten iterations.

    Args:
        path: the solver.
        more: options of `train` besides.
    """
    settings = ("test_interval=1000", "test_initialization=false", "snapshot_after_train=false", "display=10")
    options = [f"--set={setting}" for setting in settings]
    command = Command("train", "--solver", str(path), "--iterations", str(iterations), *options, *more)
    assert command.status == 0, command.output
    found = [line for line in command.said if re.match(rf" *Train net output #\d: {output} = ", line)]
    assert len(found) == iterations // 10
    return [float(line.split(" = ")[1].split()[0]) for line in found]
