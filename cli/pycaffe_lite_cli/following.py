"""Reading the lines of a log, also of one that is still being written."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator

from pycaffe_lite.errors import FileError
from pycaffe_lite.paths import not_found, unreadable

PAUSE = 0.3  # seconds between two looks at a file that may have grown


def lines_of(path: str, follow: Callable[[], bool] | None = None) -> Iterator[str]:
    """The lines of a file, or of standard input for `-`, without their ends; bytes that are no text as they can be.

    Args:
        path: the file.
        follow: called whenever all that is there has been read; says whether that is the end, else the file is waited
            for to grow. None: it is.

    Raises:
        FileError: the file is missing or cannot be read.
    """
    if path == "-":
        for line in sys.stdin:
            yield line.rstrip("\r\n")
        return
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            rest = ""
            while True:
                piece = file.readline()
                rest += piece
                if rest.endswith("\n") or (rest and not piece and follow is None):
                    yield rest.rstrip("\r\n")
                    rest = ""
                elif not piece and (follow is None or follow()):
                    return
                elif not piece:
                    time.sleep(PAUSE)
    except FileNotFoundError:
        raise FileError(not_found(path, "log", [os.path.abspath(path)])) from None
    except OSError as problem:
        raise FileError(f"Cannot read {path}: {unreadable(problem)}.") from None
