"""Caffe's names for its tools, its way to write flags, and bars of progress."""

from __future__ import annotations

import sys

import click
import pytest

from pycaffe_lite import log
from pycaffe_lite_cli.spelling import normalise, spellings
from pycaffe_lite_cli.terminal import progress
from rigs.data_tools import run

NAMES = {
    "convert_imageset": "convert-imageset",
    "convert_mnist_data": "convert-mnist",
    "convert_cifar_data": "convert-cifar",
    "compute_image_mean": "compute-image-mean",
    "extract_features": "extract-features",
    "upgrade_net_proto_text": "upgrade-net",
    "upgrade_net_proto_binary": "upgrade-net",
    "upgrade_solver_proto_text": "upgrade-solver",
}


@pytest.mark.parametrize("name", NAMES)
def test_caffes_names_are_commands(name: str) -> None:
    assert f"Usage: main {NAMES[name]} " in run(name, "--help").output
    assert f"Usage: main {NAMES[name]} " in run(name.replace("_", "-"), "--help").output


@pytest.mark.parametrize("words", [("data", "info"), ("lr", "plot"), ("convert", "mnist_data")])
def test_two_words_are_one_name(words: tuple[str, str]) -> None:
    assert run(*words, "--help").output == run("-".join(words), "--help").output
    assert "No such command: data." in run("data", "nonsense", status=2).output


def test_help_lists_none_of_them_twice() -> None:
    words = run("--help").output.split()
    for name, own in NAMES.items():
        assert own in words
        assert name not in words
        if name.replace("_", "-") != own:
            assert name.replace("_", "-") not in words


def test_a_slip_in_them_is_guessed() -> None:
    assert "Did you mean convert-mnist-data?" in run("convert_mnst_data", status=2).output


def test_options_before_them() -> None:
    assert "Missing argument 'LABELS'" in run("--backend=lmdb", "convert_mnist_data", "images", status=2).output


@click.command()
@click.option("--gray", is_flag=True)
@click.option("--check_size", is_flag=True)
@click.option("--binary/--text", default=None)
@click.option("--name")
def probe(**values: object) -> None:
    """Has flags."""


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--gray=true"], ["--gray"]),
        (["-gray=1", "-check_size=yes"], ["--gray", "--check_size"]),
        (["--gray=false", "-check-size=F"], []),
        (["--nogray", "-nocheck_size", "x"], ["x"]),
        (["--no-gray"], []),
        (["--gray", "false"], ["--gray", "false"]),
        (["--binary=true"], ["--binary"]),
        (["--gray=maybe"], ["--gray=maybe"]),
        (["--name=true"], ["--name=true"]),
        (["--noname"], ["--noname"]),
        (["--nonsense"], ["--nonsense"]),
        (["--name", "--nogray"], ["--name", "--nogray"]),
        (["--", "--nogray"], ["--", "--nogray"]),
    ],
)
def test_flags_as_gflags_has_them(args: list[str], expected: list[str]) -> None:
    assert normalise(args, spellings(probe, click.Context(probe))) == expected


class Terminal:
    """A standard error that is a terminal."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    return terminal


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_a_terminal(monkeypatch)
    log.set_level("I")
    with progress("image", 3) as track:
        for i in track(range(3)):
            log.info(f"line {i}")
    assert "| 0/3 [" in terminal.text
    assert " image/s]" in terminal.text
    for i in range(3):
        assert f"] line {i}\n" in terminal.text
    terminal.text = ""
    log.info("afterwards")
    assert terminal.text.endswith("] afterwards\n")
    assert "\r" not in terminal.text


def test_the_bar_goes_away_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_a_terminal(monkeypatch)
    with pytest.raises(ZeroDivisionError), progress("image", None) as track:
        for _ in track(range(3)):
            raise ZeroDivisionError
    assert terminal.text.endswith("\r")


@pytest.mark.parametrize("quiet", [True, False])
def test_no_bar_elsewhere(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, quiet: bool) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: quiet)
    with progress("image", 3, quiet) as track:
        assert list(track("abc")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")
