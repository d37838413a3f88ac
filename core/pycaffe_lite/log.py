"""Log lines in glog's form, which parse_log.py and the other readers of Caffe's logs know.

I1124 06:18:47.337050 11186 solver.py:239] Iteration 100 (44.5 iter/s, 2.2s/100 iters), loss = 0.19
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any


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
        set_sink(lambda line: _append(target, line))
    elif hasattr(target, "write"):
        set_sink(lambda line: print(line, file=target, flush=True))
    elif callable(target):
        set_sink(target)
    else:
        raise TypeError(f"The log goes to a stream, a function, a path or None, got {target!r}.")
    set_level(least)


def _append(path: str | os.PathLike[str], line: str) -> None:
    with contextlib.suppress(OSError), open(path, "a", encoding="utf-8") as file:
        file.write(line + "\n")


def as_environment_says() -> None:
    """Shows what glog's variables ask for: GLOG_minloglevel (0 all lines, 1 warnings) or GLOG_logtostderr=1."""
    least = os.environ.get("GLOG_minloglevel", "")  # noqa: SIM112
    if least.isdigit():
        set_level(level_of(int(least)))
    elif os.environ.get("GLOG_logtostderr", "") not in ("", "0", "false"):  # noqa: SIM112
        set_level("I")


def enabled(level: str = "I") -> bool:
    """Whether lines of that level are shown, for callers whose lines cost something to make."""
    return _LEVELS.index(level) >= _LEVELS.index(_least)


def info(message: str) -> None:
    _log("I", message)


def warning(message: str) -> None:
    _log("W", message)


def error(message: str) -> None:
    _log("E", message)


def _log(level: str, message: str) -> None:
    if not enabled(level):
        return
    frame = sys._getframe(2)
    source = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
    now = time.time()
    stamp = time.strftime("%m%d %H:%M:%S", time.localtime(now)) + f".{int(now % 1 * 1e6):06d}"
    _write(f"{level}{stamp} {threading.get_native_id()} {source}] {message}")


def number(value: float) -> str:
    """A number as C++ streams print it: six significant digits; never `-nan`."""
    return "nan" if math.isnan(value) else f"{value:g}"


class _Callable(ModuleType):
    """`caffe.log("text")`, where caffe is this package: pycaffe has a function of the module's name."""

    def __call__(self, message: str) -> None:
        info(message)


sys.modules[__name__].__class__ = _Callable
