"""Caffe's ways to spell options and flags."""

from __future__ import annotations

import click
import pytest

from pycaffe_lite_cli.spelling import normalise, spellings


@click.command()
@click.option("--gray", is_flag=True)
@click.option("--check_size", is_flag=True)
@click.option("--binary/--text", default=None)
@click.option("--finite/--no-finite", default=True)
@click.option("--also/--noalso", default=True)
@click.option("--name")
@click.option("--v")
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
        (["--finite=false", "-also=0"], ["--no-finite", "--noalso"]),
        (["--nofinite", "-no_finite", "-noalso"], ["--no-finite", "--no-finite", "--noalso"]),
        (["-v=1", "-v", "2"], ["--v=1", "--v", "2"]),
        (["-verbose"], ["--verbose"]),
        (["--nonsense"], ["--nonsense"]),
        (["--name", "--nogray"], ["--name", "--nogray"]),
        (["--", "--nogray"], ["--", "--nogray"]),
    ],
)
def test_flags_as_gflags_has_them(args: list[str], expected: list[str]) -> None:
    assert normalise(args, spellings(probe, click.Context(probe))) == expected


def test_an_option_that_lacks_its_value_is_left_to_click() -> None:
    assert normalise(["-name"], spellings(probe, click.Context(probe))) == ["--name"]
