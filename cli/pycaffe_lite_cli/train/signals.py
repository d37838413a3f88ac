"""Signals during training: they ask the solver to stop or to take a snapshot, at the end of its iteration."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING

from pycaffe_lite import log

if TYPE_CHECKING:
    from pycaffe_lite.solvers.loop import Solver


@contextlib.contextmanager
def noted_hangups() -> Iterator[list[int]]:
    """Gives a list that receives the SIGHUPs that come while the context lasts, and does nothing else with them.

    A terminal may be closed while a net is built; there is no solver then that could be asked for anything.
    """
    noted: list[int] = []
    if not hasattr(signal, "SIGHUP"):
        yield noted
        return
    before = signal.signal(signal.SIGHUP, lambda number, frame: noted.append(number))
    try:
        yield noted
    finally:
        signal.signal(signal.SIGHUP, before)


@contextlib.contextmanager
def handled_signals(
    solver: Solver, sigint_effect: str, sighup_effect: str, earlier: Sequence[int] = ()
) -> Iterator[None]:
    """Turns SIGINT, SIGHUP and SIGTERM into requests for the solver, while the context lasts.

    SIGTERM stops with a snapshot, as `kill` and schedulers send it. A second SIGINT stops at once.

    Args:
        earlier: signals that have come before.
    """
    effects = {"SIGINT": sigint_effect, "SIGHUP": sighup_effect, "SIGTERM": "stop"}
    interrupts = 0

    def request(number: int, frame: FrameType | None) -> None:
        nonlocal interrupts
        name = signal.Signals(number).name
        if name == "SIGINT":
            interrupts += 1
            if interrupts > 1 and effects[name] == "stop":
                raise KeyboardInterrupt
        if effects[name] != "none":
            # A stop is never taken back by a later wish for a snapshot.
            solver.requested = solver.requested if solver.requested == "stop" else effects[name]
            if effects[name] == "stop":
                # The signal may have come in the midst of another line's output, which cannot be entered twice.
                with contextlib.suppress(RuntimeError):
                    log.info(f"{name} received: stopping after this iteration.")

    numbers = [getattr(signal, name) for name in effects if hasattr(signal, name)]
    before = {number: signal.signal(number, request) for number in numbers}
    try:
        for number in earlier:
            request(number, None)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
