"""The formulas of an update, stage by stage, in the names of Caffe's fields.

In them `diff` is the gradient as it stands, `weight` the parameter, `rate` the policy's rate and `local_rate` that
times lr_mult. An assignment says what a stage leaves in an array; a power is `^`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from pycaffe_lite.solvers import rates
from pycaffe_lite.solvers.sgd import DECOUPLED, SGDSolver

Numbers = dict[str, float]

RATES = {
    "fixed": "base_lr",
    "step": "base_lr * gamma ^ floor(iteration / stepsize)",
    "exp": "base_lr * gamma ^ iteration",
    "inv": "base_lr * (1 + gamma * iteration) ^ -power",
    "multistep": "base_lr * gamma ^ current_step",
    "poly": "base_lr * (1 - iteration / max_iter) ^ power",
    "sigmoid": "base_lr / (1 + exp(-gamma * (iteration - stepsize)))",
    "cosine": "min_lr + (base_lr - min_lr) * (1 + cos(pi * min(iteration / max_iter, 1))) / 2",
    "sgdr": "min_lr + (base_lr * lr_mult ^ cycle - min_lr) * (1 + cos(pi * (iteration - begin) / length)) / 2",
    "triangular": "base_lr + (max_lr - base_lr) * (1 - abs(iteration / stepsize - 2 * cycle - 1))",
    "plateau": "base_lr * gamma ^ current_step",
}
"""Each policy's rate."""

_WARM_UP = "warmup_start_lr + (base_lr - warmup_start_lr) * iteration / warmup_iter"


class Rule(NamedTuple):
    """What compute_update_value does.

    Attributes:
        histories: the names of what the rule remembers.
        lines: its assignments, in order. `NAME_before` is what NAME was before them; a name that is neither a history
            nor `diff` passes.
        numbers: the solver's fields that they read, besides the rate.
    """

    histories: tuple[str, ...]
    lines: tuple[str, ...]
    numbers: tuple[str, ...]


_BY_ROOT = "diff = diff / (sqrt(history) + delta) * local_rate"
RULES = {
    "SGD": Rule(
        ("history",),
        ("history = momentum * history + local_rate * diff", "diff = history"),
        ("momentum",),
    ),
    "Nesterov": Rule(
        ("history",),
        (
            "history = momentum * history + local_rate * diff",
            "diff = (1 + momentum) * history - momentum * history_before",
        ),
        ("momentum",),
    ),
    "AdaGrad": Rule(("history",), ("history = history + diff ^ 2", _BY_ROOT), ("delta",)),
    "RMSProp": Rule(
        ("history",),
        ("history = rms_decay * history + (1 - rms_decay) * diff ^ 2", _BY_ROOT),
        ("rms_decay", "delta"),
    ),
    "AdaDelta": Rule(
        ("gradients", "updates"),
        (
            "gradients = momentum * gradients + (1 - momentum) * diff ^ 2",
            "step = diff * sqrt((updates + delta) / (gradients + delta))",
            "updates = momentum * updates + (1 - momentum) * step ^ 2",
            "diff = local_rate * step",
        ),
        ("momentum", "delta"),
    ),
    "Adam": Rule(
        ("mean", "square"),
        (
            "mean = momentum * mean + (1 - momentum) * diff",
            "square = momentum2 * square + (1 - momentum2) * diff ^ 2",
            "diff = mean / (sqrt(square) + delta) * local_rate * sqrt(1 - momentum2 ^ t) / (1 - momentum ^ t)",
        ),
        ("momentum", "momentum2", "delta"),
    ),
}
"""Each solver type's rule."""


class Formula(NamedTuple):
    """A formula, and the numbers of the names in it that are no arrays."""

    text: str
    numbers: Numbers

    def filled(self) -> str:
        """The formula with its numbers put in."""
        return re.sub(r"[A-Za-z_]\w*", lambda name: _number(name[0], self.numbers), self.text)


def _number(name: str, numbers: Mapping[str, float]) -> str:
    if name not in numbers:
        return name
    text = number(numbers[name])
    return f"({text})" if text.startswith("-") else text


def number(value: float) -> str:
    """A number with the digits that tell it from all other float32, whole ones without a point."""
    rounded = np.float32(value)
    plain = value == 0 or 1e-5 <= abs(value) < 1e7
    return (np.format_float_positional if plain else np.format_float_scientific)(rounded, trim="-")


def rate_formula(solver: SGDSolver) -> Formula:
    """How the rate of the present iteration comes about; after `learning_rate` of that iteration."""
    param, iteration = solver.param, solver.iter
    numbers: Numbers = {"iteration": iteration, "current_step": solver.current_step}
    if param.lr_policy == "triangular":
        numbers["cycle"] = iteration // (2 * param.stepsize)
    text = RATES[param.lr_policy]
    if param.lr_policy == "sgdr" and param.period < 1:
        text = RATES["cosine"]
    elif param.lr_policy == "sgdr":
        cycle = rates.sgdr_cycle(param, iteration)
        numbers |= {
            "cycle": cycle,
            "begin": rates.sgdr_start(param, cycle),
            "length": param.period * param.p_mult**cycle,
        }
    if iteration < param.warmup_iter:
        text = _WARM_UP
    elif param.HasField("min_lr"):
        text = f"max({text}, min_lr)"
    for name in re.findall(r"[a-z]\w*", text):
        if name in param.DESCRIPTOR.fields_by_name and name not in numbers:
            numbers[name] = getattr(param, name)
    return Formula(text, {name: value for name, value in numbers.items() if re.search(rf"\b{name}\b", text)})


def regularize_formula(solver: SGDSolver, decay_mult: float) -> Formula:
    """The gradient with that of weight decay."""
    numbers = {"weight_decay": solver.param.weight_decay, "decay_mult": decay_mult}
    kind = solver.param.regularization_type
    if kind == DECOUPLED:
        return Formula("diff = diff", {})
    term = "sign(weight)" if kind == "L1" else "weight"
    return Formula(f"diff = diff + weight_decay * decay_mult * {term}", numbers)


def decay_formula(solver: SGDSolver, decay_mult: float, local_rate: float) -> Formula:
    """What is subtracted, with decoupled weight decay; all other decay is part of the gradient by then."""
    if solver.param.regularization_type != DECOUPLED:
        return Formula("diff = diff", {})
    numbers = {"local_rate": local_rate, "weight_decay": solver.param.weight_decay, "decay_mult": decay_mult}
    return Formula("diff = diff + local_rate * weight_decay * decay_mult * weight", numbers)


def rule_formulas(solver: SGDSolver, local_rate: float) -> list[Formula]:
    """The lines of compute_update_value, see `Rule`."""
    rule = RULES[solver.type]
    numbers: Numbers = {name: getattr(solver.param, name) for name in rule.numbers}
    numbers |= {"local_rate": local_rate, "t": solver.iter + 1}
    return [
        Formula(line, {name: value for name, value in numbers.items() if re.search(rf"\b{name}\b", line)})
        for line in rule.lines
    ]
