"""What the terminal shows: characters that its encoding has, and bars of progress."""

from __future__ import annotations

import io
import sys

import pytest

from pycaffe_lite import log
from pycaffe_lite_cli.terminal import can_show, encodable, progress


def test_what_the_encoding_lacks_is_a_question_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert encodable("löss.prototxt") == "l?ss.prototxt"
    assert can_show("loss.prototxt")
    assert not can_show("löss.prototxt")


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
