"""The command line around the commands: finding them, Caffe's spellings, and how failures end."""

from __future__ import annotations

import json
import subprocess
import sys
import types

import click
import pytest

import pycaffe_lite_cli as cli
from pycaffe_lite import __version__
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.proto.caffe_pb2 import DataParameter
from pycaffe_lite_cli.options import DATABASES, SOURCES


@click.command()
@click.argument("files", nargs=-1)
@click.option("--solver")
@click.option("--sigint_effect")
@click.option("--base-lr", type=float)
@click.option("--log", is_flag=True)
@click.option("-o", "--output")
def probe(**values):
    """Prints what it was given."""
    click.echo(json.dumps({name: value for name, value in values.items() if value}))


@pytest.fixture
def probing(monkeypatch):
    """The group with the command `pro-be`, which prints its arguments."""
    module = types.ModuleType("pycaffe_lite_cli.pro_be")
    module.pro_be = probe
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(cli.COMMANDS, "pro-be", "Prints what it was given.")
    return module


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--solver", "x"], {"solver": "x"}),
        (["--solver=x"], {"solver": "x"}),
        (["-solver", "x"], {"solver": "x"}),
        (["-solver=x"], {"solver": "x"}),
        (["-solver=a=b"], {"solver": "a=b"}),
        (["--solver", "-log"], {"solver": "-log"}),
        (["-solver="], {}),
        (["--sigint-effect", "stop"], {"sigint_effect": "stop"}),
        (["-sigint_effect=stop"], {"sigint_effect": "stop"}),
        (["-base_lr", "-.5"], {"base_lr": -0.5}),
        (["-base_lr=-5", "-log"], {"base_lr": -5, "log": True}),
        (["--base-lr", "-inf"], {"base_lr": -float("inf")}),
        (["-o", "x"], {"output": "x"}),
        (["-ox"], {"output": "x"}),
        (["-o=x"], {"output": "x"}),
        (["-output=x"], {"output": "x"}),
        (["a", "-log", "b"], {"files": ["a", "b"], "log": True}),
        (["-log", "--", "-solver"], {"files": ["-solver"], "log": True}),
        (["-", "-log"], {"files": ["-"], "log": True}),
    ],
)
def test_options_in_all_of_caffes_spellings(runner, probing, args, expected):
    result = runner.invoke(cli.main, ["pro-be", *args])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output) == expected


@pytest.mark.parametrize("name", ["pro-be", "pro_be"])
def test_dashes_and_underscores_in_commands(runner, probing, name):
    result = runner.invoke(cli.main, [name, "a"])
    assert json.loads(result.output) == {"files": ["a"]}


def test_options_may_stand_before_the_command(runner, probing):
    result = runner.invoke(cli.main, ["-solver=x", "pro-be", "a"])
    assert json.loads(result.output) == {"files": ["a"], "solver": "x"}


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        ([], 0, "Commands:"),
        (["--help"], 0, "Commands:"),
        (["-h"], 0, "Commands:"),
        (["-help"], 0, "Commands:"),
        (["--version"], 0, f"pycaffe-lite {__version__}"),
        (["-version"], 0, f"pycaffe-lite {__version__}"),
        (["lr-plot", "-h"], 0, "Examples:"),
        (["lr_plot", "-help"], 0, "Examples:"),
        (["device-query", "--help"], 0, "Usage: main device_query"),
        (["tarin"], 2, "No such command: tarin. Did you mean train?"),
        (["devicequery"], 2, "Did you mean device_query?"),
        (["xyzzy"], 2, f"No such command: xyzzy. The commands are {', '.join(cli.COMMANDS)}."),
        ([""], 2, "No such command"),
        (["--solver=x"], 2, "No such option"),
        (["lr-plot", "--solvr=x"], 2, "--solvr"),
        (["lr-plot", "-solvr=x"], 2, "--solvr"),
        (["device_query", "extra"], 2, "extra"),
    ],
)
def test_outcomes(runner, args, status, words):
    result = runner.invoke(cli.main, args)
    assert result.exit_code == status
    assert words in result.output


def test_help_lists_every_command_with_what_it_does(runner):
    words = " ".join(runner.invoke(cli.main, ["--help"]).output.split())
    for name, line in cli.COMMANDS.items():
        assert f"{name} {line}" in words


def test_the_kinds_of_source_are_the_backends_of_the_schema():
    assert [name.lower() for name in sorted(DataParameter.DB.keys())] == sorted(SOURCES)
    assert set(DATABASES) < set(SOURCES)


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [
        (CaffeError("net.prototxt:3: expected this, got that."), "net.prototxt:3: expected this, got that."),
        (MemoryError(), "Out of memory; a smaller batch_size needs less."),
        (FileNotFoundError(2, "No such file or directory", "x.lmdb"), "x.lmdb: No such file or directory."),
        (PermissionError(13, "Permission denied"), "Permission denied."),
        (OSError("odd"), "odd."),
    ],
)
def test_failures_are_one_sentence(runner, probing, monkeypatch, problem, sentence):
    def fail(**_):
        raise problem

    monkeypatch.setattr(probe, "callback", fail)
    result = runner.invoke(cli.main, ["pro-be"])
    assert result.exit_code == 1
    assert result.output == f"Error: {sentence}\n"


@pytest.mark.parametrize(("problem", "status"), [(KeyboardInterrupt(), 130), (BrokenPipeError(32, "Broken pipe"), 1)])
def test_interruptions_are_quiet(runner, probing, monkeypatch, problem, status):
    def fail(**_):
        raise problem

    monkeypatch.setattr(probe, "callback", fail)
    result = runner.invoke(cli.main, ["pro-be"])
    assert (result.exit_code, result.output) == (status, "")


def test_a_bug_keeps_its_traceback(runner, probing, monkeypatch):
    def fail(**_):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(probe, "callback", fail)
    result = runner.invoke(cli.main, ["pro-be"])
    assert isinstance(result.exception, ZeroDivisionError)


STARTUP = """
import sys
from pycaffe_lite_cli import main
main(["--help"], standalone_mode=False)
heavy = {"numpy", "google.protobuf", "tqdm", "threadpoolctl", "matplotlib", "pycaffe_lite_cli.lr_plot.command"}
sys.exit(f"imported {heavy & set(sys.modules)}" if heavy & set(sys.modules) else 0)
"""


def test_help_imports_nothing_slow():
    result = subprocess.run([sys.executable, "-c", STARTUP], capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert "Commands:" in result.stdout


def test_runs_as_a_module():
    command = [sys.executable, "-m", "pycaffe_lite_cli", "tarin"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stdout) == (2, "")
    assert "Usage: pycaffe-lite" in result.stderr
    assert "Did you mean train?" in result.stderr
