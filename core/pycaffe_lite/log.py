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
from collections.abc import Callable


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


_write: Callable[[str], None] = _to_stderr
_LEVELS = "IWE"
_least = "E"


def set_sink(write: Callable[[str], None] | None) -> None:
    """Sends the lines, without their newline, to `write`; None: to stderr again."""
    global _write
    _write = write or _to_stderr


def set_level(least: str) -> None:
    """Drops the lines below a level: "I" shows all, "W" warnings and errors, "E" errors alone.

    As a library the package is silent but for errors; the commands choose "I".
    """
    global _least
    _least = least


def enabled(level: str = "I") -> bool:
    """Whether lines of that level are shown, for callers whose lines cost something to make."""
    return _LEVELS.index(level) >= _LEVELS.index(_least)


def info(message: str, at: str = "") -> None:
    _log("I", message, at)


def warning(message: str, at: str = "") -> None:
    _log("W", message, at)


def error(message: str, at: str = "") -> None:
    _log("E", message, at)


def _log(level: str, message: str, at: str) -> None:
    if not enabled(level):
        return
    if not at:
        frame = sys._getframe(2)
        at = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
    now = time.time()
    stamp = time.strftime("%m%d %H:%M:%S", time.localtime(now)) + f".{int(now % 1 * 1e6):06d}"
    _write(f"{level}{stamp} {threading.get_native_id()} {at}] {message}")


def number(value: float) -> str:
    """A number as C++ streams print it: six significant digits; never `-nan`."""
    return "nan" if math.isnan(value) else f"{value:g}"
