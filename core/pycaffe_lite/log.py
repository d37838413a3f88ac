"""Log lines in glog's form, which parse_log.py and the other readers of Caffe's logs know.

I1124 06:18:47.337050 11186 solver.cpp:239] Iteration 100 (44.5 iter/s, 2.2s/100 iters), loss = 0.19

A line that Caffe has, too, carries the file and the line where Caffe says it, since people's scripts look for these;
its caller gives it as `at`. A line of our own carries the place of its caller.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any


class Output:
    """A place for the lines of the log, which may fail: a line that it cannot take is lost and ends no run, and the
    next line that it can take is preceded by one that says how many were.

    Args:
        put: writes a text of whole lines; returns 0 or raises an OSError or a ValueError if it cannot.

    Attributes:
        lost: how many lines have been lost since the last that was written.
    """

    def __init__(self, put: Callable[[str], int | None]) -> None:
        self._put = put
        self.lost = 0

    def __call__(self, line: str) -> None:
        """Writes a line, which comes without its newline."""
        text = line + "\n"
        if self.lost:
            place = f"log.py:{sys._getframe().f_lineno}"
            text = f"{_head('W', place)}{lines(self.lost)} before this one could not be written.\n{text}"
        try:
            written = self._put(text) != 0
        except (OSError, ValueError):
            written = False
        self.lost = 0 if written else self.lost + 1


def lines(count: int) -> str:
    """That many log lines, in words."""
    return f"{count} log line{'s' if count > 1 else ''}"


def _to_stderr(text: str) -> int | None:
    if sys.stderr is None:  # closed before Python began
        return 0
    written = sys.stderr.write(text)
    sys.stderr.flush()
    return written


stderr = Output(_to_stderr)
"""Standard error, where the lines go."""

_write: Callable[[str], None] = stderr
_LEVELS = "IWE"
_least = "E"


@dataclass(frozen=True)
class Routes:
    """Which lines go where, of those that `set_level` shows. Levels are glog's numbers: 0 info, 1 warnings, 2 errors.

    Attributes:
        least: lines below that level go nowhere.
        stderr: lines below that level do not go to standard error, or to the sink.
        files: more places for lines, each with its least level.
    """

    least: int = 0
    stderr: int = 0
    files: Sequence[tuple[int, Callable[[str], None]]] = ()


_routes = Routes()


def set_sink(write: Callable[[str], None] | None) -> None:
    """Sends the lines, without their newline, to `write`; None: to stderr again."""
    global _write
    _write = write or stderr


def set_level(least: str) -> None:
    """Drops the lines below a level: "I" shows all, "W" warnings and errors, "E" errors alone.

    As a library the package is silent but for errors; the commands choose "I".
    """
    global _least
    _least = least


def level_of(number: int) -> str:
    """The level that glog gives a number: 0 "I", 1 "W", 2 and more "E"."""
    return _LEVELS[min(max(int(number), 0), len(_LEVELS) - 1)]


def to(target: Any, least: str = "I") -> None:
    """Shows the log from now on, for programs and notebooks: `pycaffe_lite.log.to(sys.stdout)`.

    Args:
        target: a stream to write to, a function that takes each line, the path of a file to append to, or None for
            silence but for errors on stderr.
        least: the least level shown: "I", "W" or "E".
    """
    if target is None:
        set_sink(None)
        set_level("E")
        return
    if isinstance(target, (str, os.PathLike)):
        with open(target, "a", encoding="utf-8"):  # to fail here and not in the middle of a run
            pass
        set_sink(Output(lambda text: _append(target, text)))
    elif hasattr(target, "write"):
        set_sink(Output(lambda text: print(text, end="", file=target, flush=True)))
    elif callable(target):
        set_sink(target)
    else:
        raise TypeError(f"The log goes to a stream, a function, a path or None, got {target!r}.")
    set_level(least)


def _append(path: str | os.PathLike[str], text: str) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(text)


def as_environment_says() -> None:
    """Shows what glog's variables ask for: GLOG_minloglevel (0 all lines, 1 warnings) or GLOG_logtostderr=1."""
    least = os.environ.get("GLOG_minloglevel", "")  # noqa: SIM112
    if least.isdigit():
        set_level(level_of(int(least)))
    elif os.environ.get("GLOG_logtostderr", "") not in ("", "0", "false"):  # noqa: SIM112
        set_level("I")


def set_routes(routes: Routes | None) -> None:
    """Sends lines where `routes` says; None: all to standard error again."""
    global _routes
    _routes = routes or Routes()


def enabled(level: str = "I") -> bool:
    """Whether lines of that level are shown, for callers whose lines cost something to make."""
    number = _LEVELS.index(level)
    if number < max(_LEVELS.index(_least), _routes.least):
        return False
    return number >= _routes.stderr or any(number >= least for least, _ in _routes.files)


def info(message: str, at: str = "") -> None:
    _log("I", message, at)


def warning(message: str, at: str = "") -> None:
    _log("W", message, at)


def error(message: str, at: str = "") -> None:
    _log("E", message, at)


def failure(sentence: str) -> None:
    """Puts into the log's files why a command failed, which standard error gets in another form."""
    line = _head("E", f"log.py:{sys._getframe().f_lineno}") + sentence
    for _, write in _routes.files:
        write(line)


def _log(level: str, message: str, at: str) -> None:
    if not enabled(level):
        return
    if not at:
        frame = sys._getframe(2)
        at = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
    line, number = _head(level, at) + message, _LEVELS.index(level)
    if number >= _routes.stderr:
        _write(line)
    for least, write in _routes.files:
        if number >= least:
            write(line)


def _head(level: str, at: str) -> str:
    now = time.time()
    stamp = time.strftime("%m%d %H:%M:%S", time.localtime(now)) + f".{int(now % 1 * 1e6):06d}"
    return f"{level}{stamp} {threading.get_native_id()} {at}] "


def number(value: float) -> str:
    """A number as C++ streams print it: six significant digits; never `-nan`."""
    return "nan" if math.isnan(value) else f"{value:g}"


class _Callable(ModuleType):
    """`caffe.log("text")`, where caffe is this package: pycaffe has a function of the module's name."""

    def __call__(self, message: str) -> None:
        info(message)


sys.modules[__name__].__class__ = _Callable
