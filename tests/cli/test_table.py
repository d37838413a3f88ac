"""Tables on a terminal, and colours."""

from __future__ import annotations

import sys

import pytest

from pycaffe_lite_cli import table
from pycaffe_lite_cli.terminal import wants_color


def test_a_table_wider_than_the_terminal_wraps_its_columns() -> None:
    rows = [["a", "some words that are too many for it", "1"], ["b", "short", "22"]]
    text = table.to_text(["name", "what", "count"], rows, [False, False, True], width=32)
    assert all(len(line) <= 32 for line in text.splitlines())
    assert sum(line.startswith(("a ", "b ")) for line in text.splitlines()) == 2
    assert " ".join(text.split()).count("some words") == 1


@pytest.mark.parametrize(
    ("terminal", "environment", "wanted"),
    [(True, {}, True), (False, {}, False), (True, {"NO_COLOR": "1"}, False), (True, {"TERM": "dumb"}, False)],
)
def test_colours(terminal: bool, environment: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    assert wants_color() is wanted
