"""Running commands, and a small training run for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from click.testing import CliRunner, Result

from pycaffe_lite import log
from pycaffe_lite_cli import main
from rigs.net_rig import inner_product, layer, messages, softmax_loss

DATA = """dummy_data_param {
  shape { dim: 4 dim: 3 } shape { dim: 4 }
  data_filler { type: "constant" value: 1 } data_filler { type: "constant" value: 1 } }"""
NET = (
    'name: "tiny"\n'
    + layer("data", "DummyData", top=["x", "label"], more=DATA)
    + inner_product("fc", "x", 3)
    + layer("accuracy", "Accuracy", ["fc", "label"], ["accuracy"], "include { phase: TEST }")
    + softmax_loss("fc")
)
SOLVER = (
    'net: "net.prototxt"\nbase_lr: 0.1\nlr_policy: "fixed"\nmomentum: 0.9\nrandom_seed: 1\nmax_iter: 4\n'
    'display: 2\ntest_iter: 1\ntest_interval: 2\nsnapshot_prefix: "s"\n'
)


def write_run(folder: Path, net: str = NET, solver: str = SOLVER) -> None:
    """Writes net.prototxt and solver.prototxt."""
    (folder / "net.prototxt").write_text(net)
    (folder / "solver.prototxt").write_text(solver)


class Command:
    """A command that has been run in this process.

    Attributes:
        status: its exit status.
        log: its log lines.
        output: everything else it printed, on either stream.
        result: click's own view of it.
    """

    def __init__(self, *args: str) -> None:
        self.log: list[str] = []
        log.set_sink(self.log.append)
        try:
            self.result: Result = CliRunner().invoke(main, list(args))
        finally:
            log.set_sink(None)
            log.set_level("E")
        self.status, self.output = self.result.exit_code, self.result.output
        problem = self.result.exception
        if problem is not None and not isinstance(problem, SystemExit):
            raise problem

    @property
    def said(self) -> list[str]:
        """The messages of the log lines of level I."""
        return messages([line for line in self.log if line.startswith("I")])

    @property
    def warned(self) -> list[str]:
        """The messages of the log lines of the levels W and E."""
        return messages([line for line in self.log if not line.startswith("I")])

    def sentence(self) -> str:
        """The one sentence by which the command failed, without click's usage lines and a parser's marks."""
        lines = [line for line in self.output.splitlines() if line and not line.startswith(("Usage: ", "Try ", " "))]
        assert len(lines) == 1, self.output
        return lines[0].removeprefix("Error: ")


def values(said: Sequence[str], start: str) -> list[float]:
    """The numbers after ` = ` in the lines that begin so."""
    return [float(line.split(" = ")[1].split()[0]) for line in said if line.startswith(start)]
