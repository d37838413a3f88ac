"""Learning-rate policies of Caffe's forks, and warm-up: used only where the solver asks for them.

Like those of lr_policy they are functions of the solver's parameters and the iteration; plateau alone looks at the
loss, and what it remembers is a value of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pycaffe_lite.proto.caffe_pb2 import SolverParameter

Policy = Callable[["SolverParameter", int], float]


def cosine(param: SolverParameter, iteration: int) -> float:
    """min_lr + (base_lr - min_lr) * (1 + cos(pi * iteration / max_iter)) / 2; min_lr after max_iter"""
    return _anneal(param.base_lr, param.min_lr, min(iteration / param.max_iter, 1))


def sgdr(param: SolverParameter, iteration: int) -> float:
    """cosine over cycles: the first of `period` iterations from base_lr, each next one p_mult times as long, from
    lr_mult times the rate; a period of -1 is one cycle up to max_iter

    Source: Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts (2017).
    """
    if param.period < 1:
        return cosine(param, iteration)
    cycle = sgdr_cycle(param, iteration)
    begin, length = sgdr_start(param, cycle), param.period * param.p_mult**cycle
    return _anneal(param.base_lr * param.lr_mult**cycle, param.min_lr, (iteration - begin) / length)


def sgdr_start(param: SolverParameter, cycle: int) -> float:
    """Where a cycle begins, in iterations; the first iteration not before that is its first one."""
    ratio = param.p_mult
    if ratio == 1:
        return float(param.period * cycle)
    return float(param.period * (ratio**cycle - 1) / (ratio - 1))


def sgdr_cycle(param: SolverParameter, iteration: int) -> int:
    """The cycle that an iteration is in, from 0."""
    ratio = param.p_mult
    if ratio == 1:
        return iteration // param.period
    cycle = int(math.log1p(iteration / param.period * (ratio - 1)) / math.log(ratio))
    while sgdr_start(param, cycle + 1) <= iteration:
        cycle += 1
    while cycle and sgdr_start(param, cycle) > iteration:
        cycle -= 1
    return cycle


def _anneal(high: float, low: float, share: float) -> float:
    return low + (high - low) * (1 + math.cos(math.pi * share)) / 2


def triangular(param: SolverParameter, iteration: int) -> float:
    """up from base_lr to max_lr in stepsize iterations, and down again in as many, and so on

    Source: Smith, Cyclical Learning Rates for Training Neural Networks (2017).
    """
    cycle = iteration // (2 * param.stepsize)
    distance = abs(iteration / param.stepsize - 2 * cycle - 1)
    return param.base_lr + (param.max_lr - param.base_lr) * (1 - distance)


def plateau(param: SolverParameter, iteration: int) -> float:
    """base_lr * gamma ^ step, see `Plateau`; this is the rate if the loss never gets better"""
    return plateau_rate(param, sum(end <= iteration for end in plateau_ends(param)))


def plateau_rate(param: SolverParameter, step: int) -> float:
    """base_lr * gamma ^ step"""
    return float(param.base_lr * param.gamma**step)


def plateau_ends(param: SolverParameter) -> Iterator[int]:
    """The iterations in which the windows of plateau end if the loss never gets better."""
    end = 0
    for window in param.plateau_winsize:
        end += window
        yield end


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


POLICIES: dict[str, Policy] = {
    "cosine": cosine,
    "sgdr": sgdr,
    "triangular": triangular,
    "plateau": plateau,
}

READS: dict[str, tuple[str, ...]] = {
    "cosine": ("max_iter",),
    "sgdr": ("p_mult", "lr_mult", "period"),
    "triangular": ("stepsize", "max_lr"),
    "plateau": ("gamma", "plateau_winsize"),
}


def changes(param: SolverParameter, until: int) -> list[int] | None:
    """The iterations from 1 to below `until` in which the policy jumps; None for policies of other modules."""
    if param.lr_policy == "plateau":
        return [end for end in plateau_ends(param) if 0 < end < until]
    if param.lr_policy == "sgdr" and param.period >= 1:
        cycles = range(1, sgdr_cycle(param, until - 1) + 1)
        return sorted({math.ceil(sgdr_start(param, cycle)) for cycle in cycles})
    return [] if param.lr_policy in POLICIES else None


def warmed_up(param: SolverParameter, iteration: int, rate: float) -> float:
    """The rate after warm-up and min_lr have had their say.

    For warmup_iter iterations it goes in a straight line from warmup_start_lr to base_lr, whatever the policy; after
    them no policy's rate goes below min_lr.
    """
    if iteration < param.warmup_iter:
        return param.warmup_start_lr + (param.base_lr - param.warmup_start_lr) * iteration / param.warmup_iter
    return max(rate, param.min_lr) if param.HasField("min_lr") else rate
