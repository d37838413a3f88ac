"""Compares logs with those of Caffe's command line in golden/cli/, message by message."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "golden" / "cli"
HEAD = re.compile(r"^[IWEF]\d{4,8} \d\d:\d\d:\d\d\.\d{6} +\d+ [\w.]+:\d+\] ")
SPEED = re.compile(r"\([^()]* iter/s, [^()]*s/\d+ iters\)")
NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d.]*(?:e[-+]?\d+)?(?![\w.])")


def comparable(log: str) -> list[str]:
    """The lines of a log without heads, times, and what depends on where the data lies."""
    lines = [SPEED.sub("(speed)", HEAD.sub("", line)) for line in log.splitlines()]
    return list(_kept(lines))


def _kept(lines: list[str]) -> Iterator[str]:
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith(("Opened ", "Restarting data prefetching")):
            continue
        # Caffe announces the Softmax within a SoftmaxWithLoss, too, under the name of the loss.
        if line.startswith("Creating layer ") and not following.startswith(("Creating Layer ", "Opened ")):
            continue
        if line.strip().startswith(("source: ", "backend: ", "max_iter: ")):
            continue
        yield line


def same_log(ours: list[str], golden: list[str], rtol: float) -> None:
    """Fails at the first line that differs, but for numbers within a relative tolerance."""
    for i, (mine, theirs) in enumerate(zip(ours, golden, strict=False)):
        assert NUMBER.sub("#", mine) == NUMBER.sub("#", theirs), f"line {i}, after {golden[max(0, i - 1)]!r}"
        numbers = [[float(number) for number in NUMBER.findall(line)] for line in (mine, theirs)]
        np.testing.assert_allclose(numbers[0], numbers[1], rtol=rtol, err_msg=f"{mine!r} is not {theirs!r}")
    assert len(ours) == len(golden)
