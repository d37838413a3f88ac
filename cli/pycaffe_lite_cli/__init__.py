"""The command line: one command a module or, with what it alone needs, a package; loaded when it is asked for.

spelling  Caffe's ways to write an option, turned into click's
options   the options that several commands take, and how a command begins
glog      the flags about the log that every command has
terminal  what the terminal can show, and bars of progress
streams   standard streams that fail without ending a run
failures  what is said when something goes wrong
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from typing import Any

import click

from pycaffe_lite import __version__
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.words import nearest
from pycaffe_lite_cli.failures import as_click
from pycaffe_lite_cli.glog import OF_CAFFE, with_flags
from pycaffe_lite_cli.spelling import canonical, normalise, spellings
from pycaffe_lite_cli.streams import ReaderGone, lasting

COMMANDS = {
    "train": "Train a net, from scratch, from weights or from a snapshot.",
    "test": "Score a model: the outputs of its TEST net, averaged.",
    "time": "Measure how long each layer takes.",
    "device_query": "Show the processor and the libraries in use.",
    "warm-up": "Compile the kernels of the extra fast, before they are needed.",
    "lr-plot": "Draw the learning rate of solvers, without training.",
    "explain": "Show an update of the weights, number by number.",
    "convert-imageset": "Put the image files of a list into a database.",
    "convert-mnist": "Put MNIST's images and labels into a database.",
    "convert-cifar": "Put CIFAR-10 or CIFAR-100 into databases, with the mean image.",
    "compute-image-mean": "Compute the mean image of a database.",
    "extract-features": "Put the values of a net's blobs into databases.",
    "summary": "Show a net's layers, shapes, parameters, multiply-adds, memory.",
    "draw": "Draw a net as a picture.",
    "check": "Tell all that is wrong with a solver or a net.",
    "parse-log": "Make tables of a training log.",
    "plot-log": "Draw what training logs show.",
    "deploy": "Make the net to run from the net to train.",
    "export-weights": "Write parameters as npz or safetensors.",
    "export-onnx": "Make an ONNX model of a net and its weights.",
    "data-info": "Show what is in a source of data.",
    "classify": "Say what images show.",
    "detect": "Find objects in images, or say what windows of images show.",
    "segment": "Say what each pixel of images shows, as a colour map.",
    "python": "Run a script written for Caffe: its import caffe finds this.",
    "python-path": "Print the folder for PYTHONPATH that lets import caffe find this.",
    "upgrade-net": "Write an older net, text or weights, in the present form.",
    "upgrade-solver": "Write an older solver in the present form.",
}
"""Each command's name, and what it does in a line; its function is that of its name, in the module of its name."""

ALIASES: dict[str, tuple[str, ...]] = {
    "convert-mnist-data": ("convert-mnist",),
    "convert-cifar-data": ("convert-cifar",),
    "upgrade-net-proto-text": ("upgrade-net", "--text"),
    "upgrade-net-proto-binary": ("upgrade-net", "--binary"),
    "upgrade-solver-proto-text": ("upgrade-solver",),
    "draw-net": ("draw",),
}
"""The names of Caffe's own tools where they differ: the command, and options that go with the name."""


class CaffeGroup(click.Group):
    """Commands imported only when invoked, options in all of Caffe's spellings, failures as one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = _known_command(cmd_name)
        if name is None:
            return None
        module = name.replace("-", "_")
        return with_flags(getattr(importlib.import_module(f"{__name__}.{module}"), module), name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0].startswith("-"):
            known = spellings(self, ctx)
            own = canonical(args[0]) in known
            args = [*normalise(args[:1], known), *args[1:]] if own else _command_first(args)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if _known_command(args[0]) is None and _known_command("-".join(args[:2])):
            args = ["-".join(args[:2]), *args[2:]]  # `data info` is `data-info`
        name = _known_command(args[0])
        command = self.get_command(ctx, args[0])
        if command is None:
            ctx.fail(_unknown_command(args[0]))
        if command.context_settings.get("ignore_unknown_options"):  # what follows is for another program
            return name, command, args[1:]
        implied = ALIASES.get(canonical(args[0]), ())[1:]
        return name, command, [*implied, *normalise(args[1:], spellings(command, ctx))]

    def main(self, *args: Any, **options: Any) -> Any:
        called = os.path.basename(sys.argv[0]).removesuffix(".exe")
        by_process = not args and options.get("args") is None
        if by_process and called not in OF_CAFFE and _known_command(called):  # a link by the name of a tool
            options = {"prog_name": "pycaffe-lite", **options, "args": [called, *sys.argv[1:]]}
        with lasting():
            try:
                return super().main(*args, **options)
            except ReaderGone:  # even of the sentence that says what is wrong
                sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:
        os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # what it would say of an image, we say in one sentence
        try:
            return super().invoke(ctx)
        except ReaderGone:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from None  # click ends quietly
        except (CaffeError, MemoryError, OSError) as problem:
            failure = as_click(problem)
            if failure is None:  # the reader of our output has gone; click ends quietly
                raise
            raise failure from None
        except KeyboardInterrupt:
            ctx.exit(130)


def _known_command(name: str) -> str | None:
    wanted = ALIASES.get(canonical(name), (name,))[0]
    return next((known for known in COMMANDS if canonical(known) == canonical(wanted)), None)


def _command_first(args: list[str]) -> list[str]:
    """Caffe takes options before the command, too: `--solver=x train`."""
    where = next((i for i, token in enumerate(args) if token[:1] != "-" and _known_command(token)), 0)
    return [args[where], *args[:where], *args[where + 1 :]]


def _unknown_command(name: str) -> str:
    close = nearest(canonical(name), [*COMMANDS, *ALIASES])
    hint = f"Did you mean {close}?" if close else f"The commands are {', '.join(COMMANDS)}."
    return f"No such command: {name}. {hint}"


@click.group(
    cls=CaffeGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="pycaffe-lite %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Train Caffe nets without building Caffe.

    The commands, options and files are Caffe's. Options may be written --solver FILE, --solver=FILE,
    -solver FILE or -solver=FILE.

    \b
    Examples:
      pycaffe-lite train --solver solver.prototxt
      pycaffe-lite test --model net.prototxt --weights net.caffemodel
      pycaffe-lite lr-plot solver.prototxt
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
