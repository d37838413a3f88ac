"""Standard streams that fail quietly: nothing that happens to them ends a run.

Standard error may be closed, on a full disk, or a terminal or pipe that is gone. A training must outlive all of that.
A command whose report goes there ends when the report's reader has gone, and outlives the rest.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO


class ReaderGone(Exception):
    """The reader of a report has gone."""


class Stream(io.TextIOBase):
    """A text stream that loses what it cannot write, in place of another.

    It writes to the file beneath that stream, if there is one, past the stream's buffer. A buffer keeps what it could
    not write, tries it again when Python ends, and makes status 120 of it.

    Args:
        stream: the other; None: it was closed before Python began.
        needs_reader: whether a write to a pipe without a reader raises ReaderGone.

    Attributes:
        problem: why the last text was lost; empty if none was.
    """

    def __init__(self, stream: TextIO | None, needs_reader: bool) -> None:
        self._stream, self.needs_reader = stream, needs_reader
        self.problem = ""
        self._torn = False
        raw = getattr(getattr(stream, "buffer", None), "raw", None)
        self._raw = raw if isinstance(raw, io.FileIO) else None
        self.flush()

    def write(self, text: str) -> int:
        """Writes a text; returns its length, or 0 if it is lost."""
        try:
            self._put(text)
        except BrokenPipeError as problem:
            if self.needs_reader:
                raise ReaderGone from None
            self.problem = str(problem.strerror)
            return 0
        except OSError as problem:
            self.problem = problem.strerror or str(problem)
            return 0
        except ValueError as problem:
            self.problem = str(problem)
            return 0
        return len(text)

    def _put(self, text: str) -> None:
        if self._stream is None:
            raise ValueError("It is closed")
        if self._raw is None:
            self._stream.write(text)
            self._stream.flush()
            return
        if self._torn:
            text = "\n" + text  # the rest of the line before this one is lost
        if os.linesep != "\n":
            text = text.replace("\n", os.linesep)
        data = memoryview(text.encode(self.encoding, "backslashreplace"))
        while data:
            count = self._raw.write(data)
            if count is None:
                raise BlockingIOError(0, "It takes no more now")
            data = data[count:]
            self._torn = len(data) > 0
        self._torn = False

    def flush(self) -> None:
        if self._stream is not None:
            with contextlib.suppress(OSError, ValueError):
                self._stream.flush()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._stream, "encoding", None) or "utf-8"

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        try:
            return self._stream is not None and self._stream.isatty()
        except (OSError, ValueError):
            return False

    def fileno(self) -> int:
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def lasting() -> Iterator[None]:
    """Puts a Stream in the place of standard error, and gives both standard streams back at the end."""
    before = sys.stdout, sys.stderr
    _fill_gaps()
    sys.stderr = Stream(sys.stderr, needs_reader=True)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def outlive_readers() -> None:
    """From now on, to the end of `lasting`, no standard stream ends the command, whatever happens to it."""
    sys.stdout = Stream(sys.stdout, needs_reader=False)
    if isinstance(sys.stderr, Stream):
        sys.stderr.needs_reader = False


def _fill_gaps() -> None:
    """Opens the null device in the place of each standard stream that is closed.

    The next file that is opened would have its number, and a database would get what libraries print.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
