"""What a training run tells the program that drives it, while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Output(NamedTuple):
    """One number that a net puts out: an element of an output blob, with its loss weight (0: no loss)."""

    name: str
    value: float
    loss_weight: float


@dataclass(frozen=True)
class IterationReport:
    """An iteration has been done.

    Attributes:
        iteration: its number, from 0; the loss is that of the weights before its update.
        rate: the learning rate it used.
        loss: its loss, the mean over iter_size passes.
        smoothed_loss: the mean of the last average_loss losses.
    """

    iteration: int
    rate: float
    loss: float
    smoothed_loss: float


@dataclass(frozen=True)
class TestReport:
    """A test net has been run.

    Attributes:
        iteration: the number of updates that the weights have had.
        net: the number of the test net.
        outputs: the means over its test_iter batches, in alphabetical order of the blobs.
        loss: the mean weighted loss, if test_compute_loss asks for it.
    """

    iteration: int
    net: int
    outputs: list[Output]
    loss: float | None = None

    __test__ = False  # not a class of tests


Report = IterationReport | TestReport
