"""Bars of progress, on a terminal only; log lines scroll above them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any


@contextlib.contextmanager
def progress(unit: str, total: int | None, quiet: bool = False) -> Iterator[Callable[[Iterable[Any]], Iterable[Any]]]:
    """Gives a function that passes items through and counts them on a bar.

    Args:
        unit: what an item is called.
        total: how many there will be; None: not known.
        quiet: shows no bar.
    """
    if quiet or not sys.stderr.isatty():
        yield iter
        return
    from tqdm import tqdm

    from pycaffe_lite import log

    bars: list[Any] = []

    def track(items: Iterable[Any]) -> Iterable[Any]:
        bars.append(tqdm(items, total=total, unit=f" {unit}", leave=False, dynamic_ncols=True))
        return bars[-1]

    log.set_sink(lambda line: tqdm.write(line, file=sys.stderr))
    try:
        yield track
    finally:
        for bar in bars:
            bar.close()
        log.set_sink(None)
