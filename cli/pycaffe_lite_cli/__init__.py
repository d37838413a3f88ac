"""The command line: one command a file, loaded when it is asked for."""

from __future__ import annotations

import errno
import importlib
import os
from typing import Any

import click

from pycaffe_lite import __version__
from pycaffe_lite.errors import CaffeError
from pycaffe_lite_cli.options import canonical, normalise, spellings

COMMANDS = {
    "train": ("pycaffe_lite_cli.train.command:train", "Train a net, from scratch, from weights or from a snapshot."),
    "test": ("pycaffe_lite_cli.test:test", "Score a model: the outputs of its TEST net, averaged."),
    "time": ("pycaffe_lite_cli.time:time", "Measure how long each layer takes."),
    "device_query": (
        "pycaffe_lite_cli.device_query:device_query",
        "Show the processor and the libraries in use.",
    ),
    "lr-plot": ("pycaffe_lite_cli.lr_plot.command:lr_plot", "Draw the learning rate of solvers, without training."),
    "convert-imageset": (
        "pycaffe_lite_cli.convert_imageset:convert_imageset",
        "Put the image files of a list into a database.",
    ),
    "convert-mnist": (
        "pycaffe_lite_cli.convert_mnist:convert_mnist",
        "Put MNIST's images and labels into a database.",
    ),
    "convert-cifar": (
        "pycaffe_lite_cli.convert_cifar:convert_cifar",
        "Put CIFAR-10 or CIFAR-100 into databases, with the mean image.",
    ),
    "compute-image-mean": (
        "pycaffe_lite_cli.compute_image_mean:compute_image_mean",
        "Compute the mean image of a database.",
    ),
    "extract-features": (
        "pycaffe_lite_cli.extract_features:extract_features",
        "Put the values of a net's blobs into databases.",
    ),
    "summary": ("pycaffe_lite_cli.summary:summary", "Show a net's layers, shapes, parameters, multiply-adds, memory."),
    "parse-log": ("pycaffe_lite_cli.parse_log:parse_log", "Make tables of a training log."),
    "plot-log": ("pycaffe_lite_cli.plot_log:plot_log", "Draw what training logs show."),
    "deploy": ("pycaffe_lite_cli.deploy:deploy", "Make the net to run from the net to train."),
    "check": ("pycaffe_lite_cli.check:check", "Tell all that is wrong with a solver or a net."),
    "export-weights": ("pycaffe_lite_cli.export_weights:export_weights", "Write parameters as npz or safetensors."),
    "export-onnx": ("pycaffe_lite_cli.export_onnx:export_onnx", "Make an ONNX model of a net and its weights."),
    "data-info": ("pycaffe_lite_cli.data_info:data_info", "Show what is in a source of data."),
    "upgrade-net": (
        "pycaffe_lite_cli.upgrade_net:upgrade_net",
        "Write an older net, text or weights, in the present form.",
    ),
    "upgrade-solver": (
        "pycaffe_lite_cli.upgrade_solver:upgrade_solver",
        "Write an older solver in the present form.",
    ),
}
"""Each command's name: where its function is, and what it does in a line."""

ALIASES: dict[str, tuple[str, ...]] = {
    "convert-mnist-data": ("convert-mnist",),
    "convert-cifar-data": ("convert-cifar",),
    "upgrade-net-proto-text": ("upgrade-net", "--text"),
    "upgrade-net-proto-binary": ("upgrade-net", "--binary"),
    "upgrade-solver-proto-text": ("upgrade-solver",),
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
        module, attribute = COMMANDS[name][0].split(":")
        return getattr(importlib.import_module(module), attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, short_help) for name, (_, short_help) in COMMANDS.items()])

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
        implied = ALIASES.get(canonical(args[0]), ())[1:]
        return name, command, [*implied, *normalise(args[1:], spellings(command, ctx))]

    def invoke(self, ctx: click.Context) -> Any:
        os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # what it would say of an image, we say in one sentence
        try:
            return super().invoke(ctx)
        except CaffeError as problem:
            raise click.ClickException(str(problem)) from None
        except MemoryError:
            raise click.ClickException("Out of memory; a smaller batch_size needs less.") from None
        except OSError as problem:
            if problem.errno == errno.EPIPE:  # the reader of our output has gone; click ends quietly
                raise
            raise click.ClickException(_os_sentence(problem)) from None
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
    from difflib import get_close_matches

    nearest = get_close_matches(canonical(name), [*COMMANDS, *ALIASES], n=1)
    hint = f"Did you mean {nearest[0]}?" if nearest else f"The commands are {', '.join(COMMANDS)}."
    return f"No such command: {name}. {hint}"


def _os_sentence(problem: OSError) -> str:
    reason = problem.strerror or str(problem) or type(problem).__name__
    return f"{problem.filename}: {reason}." if problem.filename else f"{reason}."


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
