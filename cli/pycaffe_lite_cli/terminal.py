"""What the terminal shows: the characters that standard output has, and bars of progress on standard error."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from pycaffe_lite import log

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar("T")


def can_show(text: str) -> bool:
    """Whether the encoding of standard output has these characters."""
    try:
        text.encode(_encoding())
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def encodable(text: str) -> str:
    """The text with ? for what the encoding of standard output does not have."""
    return text.encode(_encoding(), "replace").decode(_encoding())


def _encoding() -> str:
    return getattr(sys.stdout, "encoding", None) or "ascii"


def wants_color() -> bool:
    """Whether standard output is a terminal whose user has not set NO_COLOR."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


@contextlib.contextmanager
def progress_bar(unit: str, total: int | None, quiet: bool = False, done: int = 0) -> Iterator[tqdm | None]:
    """Shows a bar while the context lasts, and log lines above it; gives None where there is no terminal.

    Args:
        unit: what it counts.
        total: how many there will be; None: not known.
        quiet: shows no bar.
        done: how many there are at the beginning.
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=total, initial=done, unit=f" {unit}", leave=False, dynamic_ncols=True) as bar:

        def write_above(line: str) -> None:
            with tqdm.external_write_mode(file=sys.stderr):
                log.stderr(line)

        log.set_sink(write_above)
        try:
            yield bar
        finally:
            log.set_sink(None)


@contextlib.contextmanager
def progress(unit: str, total: int | None, quiet: bool = False) -> Iterator[Callable[[Iterable[T]], Iterable[T]]]:
    """Gives a function that passes items through and counts them on a bar; see `progress_bar`."""
    with progress_bar(unit, total, quiet) as bar:
        yield iter if bar is None else partial(_counted, bar)


def _counted(bar: tqdm, items: Iterable[T]) -> Iterator[T]:
    for item in items:
        yield item
        bar.update()
