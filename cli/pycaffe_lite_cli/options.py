"""The options that several commands take, and how a command begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from pycaffe_lite import log

DATABASES = ("lmdb", "leveldb")
SOURCES = (*DATABASES, "idx", "npz", "csv")
"""What a Data layer reads: its backends."""

database_type = click.Choice(DATABASES)

backend_option = click.option(
    "--backend", type=database_type, default="lmdb", show_default=True, help="The kind of database to make."
)

quiet_option = click.option("--quiet", is_flag=True, help="Log warnings and errors alone.")

threads_option = click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    help="Threads to compute with; the results are the same for any number.  [default: one for each core]",
)


def _check_gpu(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value and value != "all" and not all(part.isdigit() for part in value.split(",")):
        raise click.BadParameter(f"expected device numbers, like 0 or 0,1, or all; got {value!r}.")
    return value


_gpu_option = click.option(
    "--gpu", metavar="IDS", callback=_check_gpu, help="Accepted for Caffe's sake; there is only the CPU."
)


def computing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --threads and --gpu."""
    return threads_option(_gpu_option(command))


def net_state_options(net: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds --level and --stage, which choose among the layers of a net.

    Args:
        net: what the help calls that net.
    """
    level = click.option("--level", type=int, default=0, show_default=True, help=f"The level of {net}'s state.")
    stage = click.option("--stage", default="", metavar="A,B", help=f"The stages of {net}'s state.")
    return lambda command: level(stage(command))


def start(gpu: str | None, threads: int | None, quiet: bool = False) -> None:
    """Sets log level and threads, and says that there is no GPU if one was asked for."""
    from pycaffe_lite import parallel

    log.set_level("W" if quiet else "I")
    if threads is not None:
        parallel.set_num_threads(threads)
    if gpu:
        log.warning(f"--gpu {gpu}: there is no GPU here; computing on the CPU.")
