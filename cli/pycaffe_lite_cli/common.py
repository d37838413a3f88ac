"""What several commands share: the options for computing, and how a command begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

threads_option = click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    help="Threads to compute with; the results are the same for any number.  [default: one for each core]",
)

backend_option = click.option(
    "--backend",
    type=click.Choice(["lmdb", "leveldb"]),
    default="lmdb",
    show_default=True,
    help="The kind of database to make.",
)


def computing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --threads and --gpu."""
    command = click.option(
        "--gpu", metavar="IDS", callback=_check_gpu, help="Accepted for Caffe's sake; there is only the CPU."
    )(command)
    return threads_option(command)


def _check_gpu(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value and value != "all" and not all(part.isdigit() for part in value.split(",")):
        raise click.BadParameter(f"expected device numbers, like 0 or 0,1, or all; got {value!r}.")
    return value


quiet_option = click.option("--quiet", is_flag=True, help="Log warnings and errors alone.")


def start(gpu: str | None, threads: int | None, quiet: bool = False) -> None:
    """Sets log level and threads, and says that there is no GPU if one was asked for."""
    from pycaffe_lite import log, parallel

    log.set_level("W" if quiet else "I")
    if threads is not None:
        parallel.set_num_threads(threads)
    if gpu:
        log.warning(f"--gpu {gpu}: there is no GPU here; computing on the CPU.")
