"""Several ranks of one training: who speaks, and that all of them end when one does."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import click

from pycaffe_lite import log, parallel
from pycaffe_lite.errors import MissingExtra
from pycaffe_lite.ranks import Ranks, announced, host, join, wait_for_turn
from pycaffe_lite_cli.failures import Failed, Interrupted, as_click


@contextlib.contextmanager
def together(wanted: bool | None, threads: int | None) -> Iterator[Ranks]:
    """The ranks that train one net, while the context lasts; an error of one of them ends them all, with one message.

    All but rank 0 are silent. Without `threads`, the ranks of a machine share its processors.

    Args:
        wanted: see `join`.
        threads: those that the user wants.
    """
    ranks = _join(wanted)
    if ranks.size == 1:
        yield ranks
        return
    try:
        if not ranks.is_root:
            log.set_sink(lambda line: None)
            log.set_routes(None)
        if threads is None:
            parallel.set_num_threads(ranks.fair_threads())
        yield ranks
        ranks.largest(0)  # none leaves before all have come here
    except click.exceptions.Exit as ending:
        ranks.abort(ending.exit_code)
    except BaseException as problem:
        _end_all(ranks, problem)


def describe(ranks: Ranks) -> str:
    """The ranks and their machines, in a line; for all of them to call."""
    hosts = ranks.hosts()
    counts = ", ".join(f"{hosts.count(name)} on {name}" for name in dict.fromkeys(hosts))
    threads = parallel.num_threads()
    return f"{ranks.size} ranks train one net together: {counts}; rank 0 computes with {threads} thread(s)."


def _join(wanted: bool | None) -> Ranks:
    try:
        return join(wanted)
    except MissingExtra:
        if (announced() or (0, 0))[0] == 0:
            raise
        time.sleep(1)  # some launchers end the others with the first, who should have spoken by then
        raise click.exceptions.Exit(1) from None


def _end_all(ranks: Ranks, problem: BaseException) -> None:
    wait_for_turn(ranks)
    failure = as_click(problem)
    if isinstance(failure, Interrupted):
        ranks.abort(failure.exit_code)
    if failure is None:
        import traceback

        traceback.print_exception(problem)
        ranks.abort(1)
        return
    if not ranks.is_root:
        failure = Failed(f"Rank {ranks.rank} of {ranks.size}, on {host()}: {failure.message}", failure.exit_code)
    failure.show()
    ranks.abort(failure.exit_code)
