"""The smoothed loss that the log shows."""

from __future__ import annotations

from typing import Any


class SmoothedLoss:
    """The mean of the last losses, updated with each in the way Caffe does it.

    Args:
        window: of how many losses, `average_loss`, 1 or more.

    Attributes:
        value: the mean; 0 before the first loss.
    """

    def __init__(self, window: int) -> None:
        self.window = window
        self.restart()

    def restart(self) -> None:
        """Forgets all losses, as Caffe does when a run begins."""
        self.value = 0.0
        self._losses: list[float] = []
        self._count = 0

    def add(self, loss: float) -> None:
        if len(self._losses) < self.window:
            self._losses.append(loss)
            size = len(self._losses)
            self.value = (self.value * (size - 1) + loss) / size
        else:
            oldest = self._count % self.window
            self.value += (loss - self._losses[oldest]) / self.window
            self._losses[oldest] = loss
        self._count += 1

    def state(self) -> dict[str, Any]:
        """What `restore` needs."""
        return {"window": self.window, "losses": list(self._losses), "count": self._count, "value": self.value}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on where `state` was called; with another window it starts anew."""
        self.restart()
        if state["window"] == self.window:
            self._losses = [float(loss) for loss in state["losses"]][: self.window]
            self._count, self.value = int(state["count"]), float(state["value"])
