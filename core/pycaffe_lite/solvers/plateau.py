"""What the plateau policy has seen of the loss: the one policy whose rate has a memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pycaffe_lite.proto.caffe_pb2 import SolverParameter


@dataclass(frozen=True)
class Plateau:
    """What plateau has seen.

    The rate drops by gamma once the smoothed loss has found no new minimum for plateau_winsize iterations, counted
    from the last minimum or drop; each value of plateau_winsize serves for one drop.

    Attributes:
        step: the drops so far.
        minimum: the least smoothed loss so far.
        last_event: the iteration of the last minimum or drop.

    Source: the SSD fork of Caffe.
    """

    step: int = 0
    minimum: float = math.inf
    last_event: int = 0

    def after(self, param: SolverParameter, iteration: int, smoothed_loss: float) -> Plateau:
        """What it has seen once the loss of an iteration is known."""
        step, minimum, last_event = self.step, self.minimum, self.last_event
        if smoothed_loss < minimum:
            minimum, last_event = smoothed_loss, iteration
        if step < len(param.plateau_winsize) and iteration >= last_event + param.plateau_winsize[step]:
            step, last_event = step + 1, iteration
        return Plateau(step, minimum, last_event)

    def state(self) -> dict[str, Any]:
        return {"step": self.step, "minimum": self.minimum, "last_event": self.last_event}

    @classmethod
    def of(cls, state: dict[str, Any]) -> Plateau:
        """The one whose `state` that is."""
        return cls(int(state["step"]), float(state["minimum"]), int(state["last_event"]))
