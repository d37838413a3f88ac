"""Expectations of a training run: `accuracy>=0.97`."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from pycaffe_lite.errors import CaffeError

if TYPE_CHECKING:
    from pycaffe_lite.solvers.loop import Solver
    from pycaffe_lite.solvers.report import Report, TestReport

_COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_FORM = re.compile(r"\s*(?P<name>[^<>=\s]+)\s*(?P<sign>>=|<=|>|<)\s*(?P<value>\S+)\s*")


class _Expectation(NamedTuple):
    name: str
    sign: str
    value: float


class Expectations:
    """What the outputs of the last test should be.

    Args:
        texts: each `NAME>=VALUE`, or with <=, > or <.

    Raises:
        click.UsageError: a text of another form.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.wanted = [_read(text) for text in texts]
        self.last: dict[int, TestReport] = {}

    def check_names(self, solver: Solver) -> None:
        """Raises a CaffeError for a name that no test net puts out: said now, not after hours of training."""
        known = sorted({name for net in solver.test_nets for name in net.outputs})
        for wanted in self.wanted:
            if wanted.name not in known:
                have = f"the outputs are {', '.join(known)}" if known else "the solver has no test net"
                raise CaffeError(f'--expect: expected the name of a test output, got "{wanted.name}"; {have}.')

    def note(self, report: Report) -> None:
        """Remembers the last report of each test net."""
        from pycaffe_lite.solvers.report import TestReport

        if isinstance(report, TestReport):
            self.last[report.net] = report

    def outdated(self, solver: Solver) -> bool:
        """Whether the final weights have not been tested, though something is expected of them."""
        if not self.wanted or solver.stopped_early:
            return False
        return any(
            net not in self.last or self.last[net].iteration != solver.iter for net in range(len(solver.test_nets))
        )

    def problem(self) -> str:
        """A sentence for each expectation that is not met; nothing if all are."""
        return "\n".join(text for wanted in self.wanted for text in self._problems(wanted))

    def _problems(self, wanted: _Expectation) -> list[str]:
        outputs = [output for report in self.last.values() for output in report.outputs]
        values = [output.value for output in outputs if output.name == wanted.name]
        expected = f"Expected {wanted.name} {wanted.sign} {wanted.value:g} in the last test"
        if not values:
            return [f"{expected}, but no test has run; set test_iter to 1 or more."]
        meets = _COMPARE[wanted.sign]
        return [f"{expected}, got {value:g}." for value in values if not meets(value, wanted.value)]


def _read(text: str) -> _Expectation:
    match = _FORM.fullmatch(text)
    try:
        if match:
            return _Expectation(match["name"], match["sign"], float(match["value"]))
    except ValueError:
        pass
    raise click.UsageError(f"--expect: expected NAME>=VALUE, like 'accuracy>=0.97' (in quotes), got {text!r}.")
