"""Learning-rate policies: pure functions of the solver's parameters and the iteration.

A rate has no memory, so a resumed run needs none, and any policy can be drawn without training. (Plateau alone looks
at the loss; what it remembers is a value of its own, see `plateau`.)

The numbers are Caffe's own: its solver computes in float32, except that a float raised to an integer is
raised in double precision. Every value below is therefore rounded to float32 where Caffe rounds it, and the
rates come out equal to the last bit, but for one float32 power in fifteen hundred, whose last bit differs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.proto.caffe_pb2 import SolverParameter
from pycaffe_lite.proto.schema import float32
from pycaffe_lite.words import did_you_mean


def _pow(base: float, exponent: float) -> float:
    """C's pow: infinity and nan where Python raises."""
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.inf if base == 0 else math.nan


def _exp(value: float) -> float:
    """C's expf: infinity where Python raises."""
    try:
        return float32(math.exp(value))
    except OverflowError:
        return math.inf


def fixed(param: SolverParameter, iteration: int) -> float:
    """base_lr"""
    return float32(param.base_lr)


def step(param: SolverParameter, iteration: int) -> float:
    """base_lr * gamma ^ floor(iteration / stepsize)"""
    return float32(param.base_lr * _pow(param.gamma, iteration // param.stepsize))


def exp(param: SolverParameter, iteration: int) -> float:
    """base_lr * gamma ^ iteration"""
    return float32(param.base_lr * _pow(param.gamma, iteration))


def inv(param: SolverParameter, iteration: int) -> float:
    """base_lr * (1 + gamma * iteration) ^ -power"""
    base = float32(1 + float32(param.gamma * float32(iteration)))
    return float32(param.base_lr * float32(_pow(base, -param.power)))


def multistep(param: SolverParameter, iteration: int) -> float:
    """base_lr * gamma ^ (how many of the stepvalues have been reached, see `multistep_step`)"""
    return float32(param.base_lr * _pow(param.gamma, multistep_step(param, iteration)))


def poly(param: SolverParameter, iteration: int) -> float:
    """base_lr * (1 - iteration / max_iter) ^ power; nan after max_iter unless power is whole"""
    base = float32(1 - float32(float32(iteration) / float32(param.max_iter)))
    return float32(param.base_lr * float32(_pow(base, param.power)))


def sigmoid(param: SolverParameter, iteration: int) -> float:
    """base_lr / (1 + exp(-gamma * (iteration - stepsize))); it rises, for gamma must not be negative"""
    distance = float32(float32(iteration) - float32(param.stepsize))
    logistic = float32(1 / float32(1 + _exp(float32(-param.gamma * distance))))
    return float32(param.base_lr * logistic)


# -- policies of Caffe's forks, used only where the solver asks for them --------------------------------------


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


# -- the table ------------------------------------------------------------------------------------------------

Policy = Callable[[SolverParameter, int], float]

POLICIES: dict[str, Policy] = {
    "fixed": fixed,
    "step": step,
    "exp": exp,
    "inv": inv,
    "multistep": multistep,
    "poly": poly,
    "sigmoid": sigmoid,
    "cosine": cosine,
    "sgdr": sgdr,
    "triangular": triangular,
    "plateau": plateau,
}

_READS: dict[str, tuple[str, ...]] = {
    "fixed": (),
    "step": ("gamma", "stepsize"),
    "exp": ("gamma",),
    "inv": ("gamma", "power"),
    "multistep": ("gamma",),
    "poly": ("power", "max_iter"),
    "sigmoid": ("gamma", "stepsize"),
    "cosine": ("max_iter",),
    "sgdr": ("p_mult", "lr_mult", "period"),
    "triangular": ("stepsize", "max_lr"),
    "plateau": ("gamma", "plateau_winsize"),
}


def rate(param: SolverParameter, iteration: int) -> float:
    """The learning rate of an iteration, counted from 0, before any lr_mult.

    Args:
        param: the solver's parameters; see `check` for what makes them valid.
        iteration: 0 or more.

    Raises:
        CaffeError: if the policy is unknown.
    """
    policy = POLICIES.get(param.lr_policy)
    if policy is None:
        raise CaffeError(_unknown(param.lr_policy))
    return adjusted(param, iteration, policy(param, iteration))


def adjusted(param: SolverParameter, iteration: int, rate: float) -> float:
    """A policy's rate, as float32, after warm-up and min_lr, which Caffe itself does not have, have had their say.

    For warmup_iter iterations it goes in a straight line from warmup_start_lr to base_lr, whatever the policy; after
    them no policy's rate goes below min_lr.
    """
    if iteration < param.warmup_iter:
        rate = param.warmup_start_lr + (param.base_lr - param.warmup_start_lr) * iteration / param.warmup_iter
    elif param.HasField("min_lr"):
        rate = max(rate, param.min_lr)
    return float32(rate)


def check(param: SolverParameter, location: Callable[[str], str] = lambda field: "") -> None:
    """Refuses what Caffe refuses at its first rate, and numbers that cannot give one.

    Args:
        param: the solver's parameters.
        location: gives, for a field, what its error begins with, as `SolverText.location` does.

    Raises:
        CaffeError: for an unknown policy; gamma below 0 (step, exp, inv, multistep, sigmoid); stepsize
            below 1 (step, sigmoid); max_iter below 1 (poly); a base_lr, gamma or power that is not finite; and the
            like for the policies of forks.
    """
    if param.lr_policy not in POLICIES:
        raise CaffeError(location("lr_policy") + _unknown(param.lr_policy))
    for field, expected in _problems(param):
        got = _text(getattr(param, field))
        raise CaffeError(f'{location(field)}lr_policy "{param.lr_policy}" needs {expected}, got {got}.')


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else str(list(value))


def _problems(param: SolverParameter) -> Iterator[tuple[str, str]]:
    """The fields that the rate depends on and that cannot be used, each with what it needs instead."""
    fields = {"base_lr", "min_lr", "warmup_start_lr", *_READS[param.lr_policy]}
    for field in sorted(fields & {"base_lr", "gamma", "power", "min_lr", "warmup_start_lr", "max_lr"}):
        if not math.isfinite(getattr(param, field)):
            yield field, f"a finite {field}"
    if "gamma" in fields and param.gamma < 0:
        yield "gamma", "gamma >= 0"
    for field in sorted(fields & {"stepsize", "max_iter"}):
        if getattr(param, field) < 1:
            yield field, f"{field} > 0"
    if param.warmup_iter < 0:
        yield "warmup_iter", "warmup_iter >= 0"
    yield from _problems_of_forks(param, fields)


def _problems_of_forks(param: SolverParameter, fields: set[str]) -> Iterator[tuple[str, str]]:
    if "p_mult" in fields and not 1 <= param.p_mult < math.inf:
        yield "p_mult", "a finite p_mult >= 1"
    if "lr_mult" in fields and not 0 <= param.lr_mult < math.inf:
        yield "lr_mult", "a finite lr_mult >= 0"
    if "period" in fields and param.period < 1 and (param.period != -1 or param.max_iter < 1):
        yield "period", "period > 0, or -1 with max_iter > 0"
    if "plateau_winsize" in fields and min(param.plateau_winsize, default=0) < 1:
        yield "plateau_winsize", "plateau_winsize > 0, once or more"


def _unknown(policy: str) -> str:
    known = ", ".join(POLICIES)
    if not policy:
        return f"the solver needs an lr_policy, one of {known}; got none."
    return f'lr_policy must be one of {known}; got "{policy[:64]}"{did_you_mean(policy, POLICIES)}'


# -- where a rate jumps -------------------------------------------------------------------------------------


def multistep_step(param: SolverParameter, iteration: int) -> int:
    """How many steps multistep has taken in an iteration: Caffe's `current_step` of a run from iteration 0.

    Caffe looks at one stepvalue an iteration. So a step is taken in the iteration its value names, or in the
    one after the step before it, whichever is later; repeated and unsorted values take effect one by one.
    """
    return len(_multistep_changes(param, iteration + 1))


def _multistep_changes(param: SolverParameter, until: int) -> list[int]:
    """The iterations below `until` in which multistep takes a step."""
    taken: list[int] = []
    latest = -1
    for value in param.stepvalue:
        latest = max(value, latest + 1)
        if latest >= until:
            break
        taken.append(latest)
    return taken


def changes(param: SolverParameter, until: int) -> Sequence[int]:
    """The iterations from 1 to below `until` in which the policy makes the rate jump; those of a warm-up left out."""
    steps = _changes(param, until)
    return [step for step in steps if step >= param.warmup_iter] if param.warmup_iter > 0 else steps


def _changes(param: SolverParameter, until: int) -> Sequence[int]:
    if param.lr_policy == "step":
        return range(param.stepsize, until, param.stepsize)
    if param.lr_policy == "multistep":
        return [iteration for iteration in _multistep_changes(param, until) if iteration > 0]
    if param.lr_policy == "plateau":
        return [end for end in plateau_ends(param) if 0 < end < until]
    if param.lr_policy == "sgdr" and param.period >= 1:
        cycles = range(1, sgdr_cycle(param, until - 1) + 1)
        return sorted({math.ceil(sgdr_start(param, cycle)) for cycle in cycles})
    return ()


def sample(param: SolverParameter, until: int, points: int) -> list[int]:
    """Iterations of 0 … until - 1 from which the rate can be drawn, in order.

    `points` of them are spread evenly. With them come the two on either side of each change, unless there are
    more changes than points.
    """
    last = max(until - 1, 0)
    intervals = max(points - 1, 1)
    chosen = {last * i // intervals for i in range(points)}
    steps = changes(param, until)
    if len(steps) <= points:
        chosen.update(steps)
        chosen.update(iteration - 1 for iteration in steps)
    chosen.update(at for at in (param.warmup_iter - 1, param.warmup_iter) if 0 <= at <= last and param.warmup_iter > 0)
    return sorted(chosen)
