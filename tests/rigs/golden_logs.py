"""Compares logs with those of Caffe's command line in golden/cli/, line by line."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from rigs import GOLDEN

FOLDER = GOLDEN / "cli"
HEAD = re.compile(r"^([IWEF])\d{4,8} \d\d:\d\d:\d\d\.\d{6} +\d+ ([\w.]+:\d+)\] ")
SPEED = re.compile(r"\([^()]* iter/s, [^()]*s/\d+ iters\)")
TIME = re.compile(r"[-+.\de]+ ms\.$")
SAID = re.compile(r"^[IWEF] [\w.]+:\d+\] ")
NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d.]*(?:e[-+]?\d+)?(?![\w.])")

# What we say and Caffe does not: what loading weights has done, what a signal was taken for, how to go on.
OURS = (
    "Weights of ",
    "Nothing was copied from ",
    "    not in the file ",
    "    left out ",
    "There is no ",
    "SIGINT received: ",
    "SIGTERM received: ",
    "To go on from the last snapshot: ",
)
# What Caffe says at a moment of its reading thread's choosing, and what only its HDF5 library has to say.
CAFFES = ("Restarting data prefetching", "Datatype class: ")


def comparable(log: str) -> list[str]:
    """The lines of a log as level, file:line and message, without times and without what only one of the two says."""
    return list(_kept(log.splitlines()))


def _kept(lines: list[str]) -> Iterator[str]:
    for whole in lines:
        if whole.startswith("*** Aborted at "):
            break
        if not HEAD.sub("", whole).startswith(OURS + CAFFES):
            yield TIME.sub("(time)", SPEED.sub("(speed)", HEAD.sub(r"\1 \2] ", whole)))


def same_log(ours: list[str], golden: list[str], rtol: float, atol: float = 0.0) -> None:
    """Fails at the first line that differs, but for numbers within the tolerances."""
    for i, (mine, theirs) in enumerate(zip(ours, golden, strict=False)):
        assert SAID.findall(mine) == SAID.findall(theirs), f"line {i} is {mine!r}, not {theirs!r}"
        assert NUMBER.sub("#", mine) == NUMBER.sub("#", theirs), f"line {i}, after {golden[max(0, i - 1)]!r}"
        numbers = [[float(number) for number in NUMBER.findall(line)] for line in (mine, theirs)]
        message = f"{mine!r} is not {theirs!r}"
        np.testing.assert_allclose(numbers[0], numbers[1], rtol=rtol, atol=atol, err_msg=message)
    assert len(ours) == len(golden)
