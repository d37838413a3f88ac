"""The best score that the tests have given so far, and when to give up waiting for a better one."""

from __future__ import annotations

import math
from typing import Any

from pycaffe_lite import log
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net
from pycaffe_lite.solvers.detections import evaluations
from pycaffe_lite.solvers.report import TestReport


class BestScore:
    """Follows one output of the tests.

    Args:
        name: the output. Of a loss, which is an output with a loss weight or with "loss" in its name, lower values
            are better; of any other output, higher ones.
        patience: after how many tests without a better score the training ends; None: never.
        test_nets: the nets that are tested; the first one that has the output counts.

    Attributes:
        score, iteration: the best value, and how many updates the weights had had; None before the first test.
        waited: tests since then.

    Raises:
        CaffeError: no test net has such an output of one number.
    """

    def __init__(self, name: str, patience: int | None, test_nets: list[Net]) -> None:
        having = [number for number, net in enumerate(test_nets) if name in net.outputs]
        if not having:
            known = sorted({output for net in test_nets for output in net.outputs})
            have = f"the outputs are {', '.join(known)}" if known else "the solver has no test net"
            raise CaffeError(f'--keep-best: expected the name of a test output, got "{name}"; {have}.')
        self.net = having[0]
        net = test_nets[self.net]
        if net.blobs[name].count != 1 and name not in evaluations(net.nodes):
            raise CaffeError(f'--keep-best: expected an output of one number, "{name}" has {net.blobs[name].count}.')
        self.name, self.patience = name, patience
        self.lower_is_better = bool(net.loss_weight(name)) or "loss" in name.lower()
        self.score: float | None = None
        self.iteration: int | None = None
        self.waited = 0

    @property
    def exhausted(self) -> bool:
        """Whether the patience is at its end."""
        return self.patience is not None and self.waited >= self.patience

    def note(self, report: TestReport) -> bool:
        """Takes a test in; returns whether its score is the best so far. Not a number is never."""
        if report.net != self.net:
            return False
        value = next((output.value for output in report.outputs if output.name == self.name), math.nan)
        if self._better(value):
            self.score, self.iteration, self.waited = value, report.iteration, 0
            return True
        self.waited += 1
        return False

    def _better(self, value: float) -> bool:
        if self.score is None:
            return not math.isnan(value)
        return value < self.score if self.lower_is_better else value > self.score

    def text(self) -> str:
        """`accuracy = 0.99 at iteration 500`, the best so far."""
        if self.score is None:
            return f"no {self.name} so far"
        return f"{self.name} = {log.number(self.score)} at iteration {self.iteration}"

    def state(self) -> dict[str, Any]:
        """What `restore` needs."""
        return {"name": self.name, "score": self.score, "iteration": self.iteration, "waited": self.waited}

    def restore(self, state: dict[str, Any] | None) -> None:
        """Goes on where `state` was called, if that was for the same output."""
        if state and state["name"] == self.name:
            seen = state["score"] is not None
            self.score, self.iteration = (float(state["score"]), int(state["iteration"])) if seen else (None, None)
            self.waited = int(state["waited"])
