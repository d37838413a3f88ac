"""Streams that lose what they cannot write."""

from __future__ import annotations

import errno
import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from pycaffe_lite import log
from pycaffe_lite_cli.streams import ReaderGone, Stream, lasting, outlive_readers


class Failing(io.StringIO):
    """A stream that has the problem it is told to have."""

    problem: Exception | None = None

    def write(self, text: str) -> int:
        if self.problem:
            raise self.problem
        return super().write(text)


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), "Broken pipe"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "Resource temporarily unavailable"),
        (ValueError("I/O operation on closed file."), "I/O operation on closed file."),
    ],
)
def test_what_cannot_be_written_is_lost(problem: Exception, reason: str) -> None:
    beneath = Failing()
    stream = Stream(beneath, needs_reader=False)
    assert stream.write("one\n") == 4
    beneath.problem = problem
    assert stream.write("two\n") == 0
    stream.flush()
    assert stream.problem == reason
    beneath.problem = None
    assert stream.write("three\n") == 6
    assert beneath.getvalue() == "one\nthree\n"


def test_a_report_needs_its_reader() -> None:
    beneath = Failing()
    beneath.problem = BrokenPipeError(errno.EPIPE, "Broken pipe")
    with pytest.raises(ReaderGone):
        Stream(beneath, needs_reader=True).write("x")
    beneath.problem = OSError(errno.ENOSPC, "No space left on device")
    assert Stream(beneath, needs_reader=True).write("x") == 0


def test_the_log_says_what_it_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    beneath = Failing()
    monkeypatch.setattr(sys, "stderr", Stream(beneath, needs_reader=False))
    log.set_level("I")
    log.info("first", "a.cpp:1")
    beneath.problem = OSError(errno.ENOSPC, "No space left on device")
    for _ in range(3):
        log.info("lost", "a.cpp:1")
    assert log.stderr.lost == 3
    beneath.problem = None
    log.info("second", "a.cpp:1")
    log.info("third", "a.cpp:1")
    said = [line.partition("] ")[2] for line in beneath.getvalue().splitlines()]
    assert said == ["first", "3 log lines before this one could not be written.", "second", "third"]
    assert [line[0] for line in beneath.getvalue().splitlines()] == ["I", "W", "I", "I"]


def test_a_library_logs_into_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (None, closed):
        monkeypatch.setattr(sys, "stderr", stream)
        log.error("lost")
    assert log.stderr.lost == 2
    log.stderr.lost = 0


def test_files_are_written_past_the_buffer(tmp_path: Path) -> None:
    """A buffer would keep what it cannot write until Python ends, and fail then."""
    with open(tmp_path / "log", "w", encoding="ascii") as beneath:
        beneath.write("before, ")
        stream = Stream(beneath, needs_reader=False)
        assert stream.write("löss\n") == 5
        assert (tmp_path / "log").read_text() == "before, l\\xf6ss\n"
        assert (stream.fileno(), stream.isatty(), stream.name) == (beneath.fileno(), False, beneath.name)


def test_half_a_line_does_not_run_into_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with open(writer, "w") as beneath:
        stream = Stream(beneath, needs_reader=False)
        raw: Any = beneath.buffer.raw  # type: ignore[attr-defined]
        writes = iter([3, OSError(errno.ENOSPC, "No space left on device")])

        class Raw(io.FileIO):
            def write(self, data: Any) -> int:
                size = next(writes, None)
                if isinstance(size, OSError):
                    raise size
                return raw.write(bytes(data)[:size])  # type: ignore[no-any-return]

        with Raw(os.dup(writer), "w") as short:
            monkeypatch.setattr(stream, "_raw", short)
            assert stream.write("torn line\n") == 0
            assert stream.write("whole line\n") == 11
            assert stream.write("another\n") == 8
    assert os.read(reader, 100) == b"tor\nwhole line\nanother\n"
    os.close(reader)


def test_the_streams_come_back() -> None:
    before = sys.stdout, sys.stderr
    with lasting():
        assert isinstance(sys.stderr, Stream)
        assert sys.stdout is before[0]
        outlive_readers()
        assert isinstance(sys.stdout, Stream)
        assert not sys.stderr.needs_reader
    assert (sys.stdout, sys.stderr) == before
