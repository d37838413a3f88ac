"""Caffe's ways to spell an option, turned into click's.

Caffe takes `--solver x`, `--solver=x`, `-solver x` and `-solver=x`; here, `_` and `-` within a name are the
same, too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import click

Spellings = dict[str, tuple[str, int]]

_TRUE = {"true", "t", "yes", "y", "1"}
_FALSE = {"false", "f", "no", "n", "0"}


def canonical(name: str) -> str:
    """A command's or an option's name without leading dashes, and with - for _."""
    return name.lstrip("-").replace("_", "-")


def spellings(command: click.Command, ctx: click.Context) -> Spellings:
    """For each canonical name of an option: its declared spelling, and how many arguments it takes."""
    options = [param for param in command.get_params(ctx) if isinstance(param, click.Option)]
    return {
        canonical(name): (name, _values(option))
        for option in options
        for name in (*option.opts, *option.secondary_opts)
    }


def _values(option: click.Option) -> int:
    # An option whose value may be left out (click's flag_value) is not known to own what follows it.
    may_stand_alone = option.is_flag or option.count or getattr(option, "_flag_needs_value", False)
    return 0 if may_stand_alone else option.nargs


def normalise(args: Iterable[str], known: Spellings) -> list[str]:
    """Rewrites the options among a command's arguments into the spelling in which the command declares them.

    What follows an option that takes a value is that value, whatever it looks like. What follows `--` is left
    alone, as are numbers below zero and short options with their value (`-o x`, `-ox`). Flags may be written
    as Caffe's are, `--gray=true`, `--gray=false` and `--nogray`.
    """
    rest = deque(args)
    result: list[str] = []
    while rest and rest[0] != "--":
        token = rest.popleft()
        name, equals, value = token.partition("=")
        if not _is_option(token):
            result.append(token)
        elif (switch := _switch(name, equals, value.lower(), known)) is not None:
            result += switch
        elif canonical(name) not in known:
            short = known.get(token[1], ("", 0))[0] == token[:2]
            result.append(token if short else f"--{token.lstrip('-')}")
        else:
            spelling, values = known[canonical(name)]
            result += _with_value(spelling, value) if equals else [spelling]
            result += [rest.popleft() for _ in range(min(0 if equals else values, len(rest)))]
    return result + list(rest)


def _switch(name: str, equals: str, value: str, known: Spellings) -> list[str] | None:
    """What stands for a flag that is set as gflags has it; None if it is not one."""
    flag, no_flag = canonical(name), ("", 1)
    if equals:
        spelling, values = known.get(flag, no_flag)
        if values or value not in _TRUE | _FALSE:
            return None
        return [spelling] if value in _TRUE else _off(flag, known)
    negated = flag.startswith("no") and flag not in known and not known.get(flag[2:].lstrip("-"), no_flag)[1]
    return _off(flag[2:].lstrip("-"), known) if negated else None


def _off(flag: str, known: Spellings) -> list[str]:
    """What turns a flag off: its own opposite, if it has one; else to leave it away."""
    return [known[opposite][0] for opposite in (f"no{flag}", f"no-{flag}") if opposite in known]


def _with_value(spelling: str, value: str) -> list[str]:
    return [f"{spelling}={value}"] if spelling.startswith("--") else [spelling, value]


def _is_option(token: str) -> bool:
    """Whether it is an option, and not a value, a number below zero, or the `-` of standard input."""
    return len(token) > 1 and token[0] == "-" and (token[1] == "-" or token[1].isalpha())
