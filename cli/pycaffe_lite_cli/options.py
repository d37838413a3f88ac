"""The options that several commands take, and how a command begins."""

from __future__ import annotations

import math
import os
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


def numbers(count: int | None, least: int) -> Callable[..., list[int] | None]:
    """What makes of an option's `256,256` a list of whole numbers, and of an empty text one of none.

    Args:
        count: how many there have to be; None for any number.
        least: the lowest that is allowed.
    """

    def parse(ctx: click.Context, param: click.Parameter, value: str | None) -> list[int] | None:
        if value is None:
            return None
        parts = [part.strip() for part in value.split(",")] if value.strip() else []
        wrong = not all(part.isdecimal() and len(part) < 10 and int(part) >= least for part in parts)
        if wrong or (count is not None and len(parts) != count):
            expected = "whole numbers" if count is None else f"{count} whole numbers"
            raise click.BadParameter(f"expected {expected} of {least} or more, with commas between; got {value!r}.")
        return [int(part) for part in parts]

    return parse


def values(ctx: click.Context, param: click.Parameter, value: str | None) -> list[float] | None:
    """Makes of an option's `104,117,123` a list of numbers."""
    try:
        values = [float(part) for part in value.split(",")] if value else None
    except ValueError:
        values = [math.nan]
    if values and not all(map(math.isfinite, values)):
        raise click.BadParameter(f"expected numbers with commas between, got {value!r}.")
    return values


IMAGENET_MEAN = "python/caffe/imagenet/ilsvrc_2012_mean.npy"
"""The mean that Caffe's classify.py and detect.py take, from Caffe's root folder."""


def imagenet_mean(ctx: click.Context, param: click.Parameter | None, value: str | None) -> str:
    """What --mean_file says, IMAGENET_MEAN if it was not given; an empty text is none."""
    if value is None and not os.path.exists(IMAGENET_MEAN):
        hint = f"there is no {IMAGENET_MEAN} here; give the net's own, or '' for none."
        raise click.BadParameter(hint, ctx, param, "'--mean_file'")
    return IMAGENET_MEAN if value is None else value


_FOLDER = "models/bvlc_reference_caffenet"
_IMAGE_NET_OPTIONS = (
    click.option("--model_def", metavar="FILE", default=f"{_FOLDER}/deploy.prototxt", show_default=True,
                 help="The net, a prototxt with an Input layer."),
    click.option("--pretrained_model", metavar="FILE", default=f"{_FOLDER}/bvlc_reference_caffenet.caffemodel",
                 show_default=True, help="Its weights."),
    click.option("--input_scale", type=float, help="Multiply by this after the mean."),
    click.option("--raw_scale", type=float, default=255.0, show_default=True,
                 help="Multiply by this before the mean, pixels of 0 to 1."),
    click.option("--channel_swap", metavar="I,J,K", callback=numbers(None, 0),
                 help="The order of the input's channels from RGB; '' for none.  [default: 2,1,0 for three channels]"),
    click.option("--gpu", is_flag=True, help="Accepted for Caffe's sake; there is only the CPU."),
)  # fmt: skip


def image_net_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds what says which net images go into and how, as Caffe's classify.py and detect.py have it."""
    for option in reversed(_IMAGE_NET_OPTIONS):
        command = option(command)
    return command


def mean_file_option(default: str, callback: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """Adds --mean_file, None if it is not given.

    Args:
        default: what the help says happens then.
        callback: click's, that makes something else of it.
    """
    text = f"Subtract each channel's mean of this image, .npy or .binaryproto; '' for none.  [default: {default}]"
    return click.option("--mean_file", metavar="FILE", callback=callback, help=text)


mean_value_option = click.option(
    "--mean-value", metavar="A,B,C", callback=values,
    help="Subtract these, in the order of the input's channels, instead of --mean_file.",
)  # fmt: skip


def batch_option(what: str) -> Callable[..., Any]:
    """Adds --batch."""
    return click.option("--batch", type=click.IntRange(1), help=f"{what} in a pass.  [default: as the net has it]")


def start(gpu: str | None, threads: int | None, quiet: bool = False) -> None:
    """Sets log level and threads, and says that there is no GPU if one was asked for."""
    from pycaffe_lite import parallel

    log.set_level("W" if quiet else "I")
    if threads is not None:
        parallel.set_num_threads(threads)
    if gpu:
        log.warning(f"--gpu {gpu}: there is no GPU here; computing on the CPU.")
