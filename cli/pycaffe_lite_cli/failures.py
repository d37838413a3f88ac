"""What a command says, and its exit status, when something goes wrong."""

from __future__ import annotations

import errno

import click

from pycaffe_lite.errors import CaffeError


class Failed(click.ClickException):
    """A sentence, and the exit status that goes with it."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.exit_code = status  # type: ignore[misc]


class Interrupted(Failed):
    """Ctrl-C: whoever has pressed it knows."""

    def __init__(self) -> None:
        super().__init__("", 130)


def as_click(problem: BaseException) -> click.ClickException | None:
    """The one sentence and the status for what has gone wrong; None for what nobody can be told in one."""
    if isinstance(problem, click.ClickException):
        return problem
    if isinstance(problem, CaffeError):
        return click.ClickException(str(problem))
    if isinstance(problem, MemoryError):
        return click.ClickException("Out of memory; a smaller batch_size needs less.")
    if isinstance(problem, OSError) and problem.errno != errno.EPIPE:
        return click.ClickException(_os_sentence(problem))
    return Interrupted() if isinstance(problem, KeyboardInterrupt) else None


def _os_sentence(problem: OSError) -> str:
    reason = problem.strerror or str(problem) or type(problem).__name__
    return f"{problem.filename}: {reason}." if problem.filename else f"{reason}."
