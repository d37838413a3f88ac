"""The flags of glog, which writes Caffe's log: every command has them, and GLOG_ variables of the same names."""

from __future__ import annotations

import contextlib
import functools
import getpass
import os
import platform
import time
from collections.abc import Iterator
from typing import Any, TextIO

import click

from pycaffe_lite import log
from pycaffe_lite.errors import CaffeError
from pycaffe_lite_cli.streams import Stream

SEVERITIES = ("INFO", "WARNING", "ERROR")

OF_CAFFE = ("train", "test", "time", "device_query")
"""The commands of Caffe's program `caffe`; its other tools are programs of their own."""

_EPILOG = (
    "The flags of glog are taken, too: -log_dir, -logtostderr, -alsologtostderr, -minloglevel, -stderrthreshold, -v, "
    "and variables like GLOG_minloglevel."
)


def with_flags(command: click.Command, name: str) -> click.Command:
    """Adds the flags to a command, unless it has them; they take effect while it runs."""
    if command.callback is not None and all(param.name != "log_dir" for param in command.params):
        command.epilog = _EPILOG
        command.params += _flags()
        program = "caffe" if name in OF_CAFFE else name.replace("-", "_")
        command.callback = _logging(command.callback, program)
    return command


def _flags() -> list[click.Option]:
    # Caffe sets alsologtostderr itself, after glog has looked for the variable.
    return [
        _flag("--log_dir", metavar="FOLDER", envvar="GLOG_log_dir"),
        _flag("--logtostderr", is_flag=True, envvar="GLOG_logtostderr"),
        _flag("--alsologtostderr/--noalsologtostderr", default=True),
        _flag("--minloglevel", type=int, default=0, envvar="GLOG_minloglevel"),
        _flag("--stderrthreshold", type=int, default=2, envvar="GLOG_stderrthreshold"),
        _flag("--v", type=int, default=0, envvar="GLOG_v"),
    ]


def _flag(declaration: str, **settings: Any) -> click.Option:
    return click.Option([declaration], hidden=True, expose_value=False, callback=_keep, **settings)


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    ctx.meta.setdefault(__name__, {})[param.name] = value


def _logging(callback: Any, program: str) -> Any:
    @functools.wraps(callback)
    def logging(*args: Any, **values: Any) -> Any:
        with _routes(program, **click.get_current_context().meta[__name__]):
            try:
                return callback(*args, **values)
            except (CaffeError, OSError, MemoryError) as problem:
                log.failure(str(problem) or type(problem).__name__)
                raise

    return logging


@contextlib.contextmanager
def _routes(
    program: str,
    log_dir: str | None,
    logtostderr: bool,
    alsologtostderr: bool,
    minloglevel: int,
    stderrthreshold: int,
    v: int,  # nothing in Caffe is said at such a level
) -> Iterator[None]:
    """Lets the log go where the flags say, as in glog; but there are files with log_dir only, where glog takes /tmp."""
    folder = "" if logtostderr else log_dir or ""
    usable = os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)
    files = [LogFile(folder, program, severity) for severity in SEVERITIES] if usable else []
    outputs = [log.Output(file.put) for file in files]
    stderr = 0 if logtostderr or alsologtostderr else stderrthreshold
    log.set_routes(log.Routes(minloglevel, stderr, list(enumerate(outputs))))
    try:
        if folder and not usable:
            log.error(f"--log_dir {folder}: expected a folder that can be written to; no log file is made.")
        yield
    finally:
        log.set_routes(None)
        for file in files:
            file.close()
        if outputs and outputs[0].lost:
            log.error(f"{log.lines(outputs[0].lost)} could not be written to a file in {folder}.")


class LogFile:
    """glog's file for the lines of a severity and those above it, made with the first of them.

    Its name is PROGRAM.HOST.USER.log.SEVERITY.DATE-TIME.PID; the link PROGRAM.SEVERITY beside it leads to the newest.
    """

    def __init__(self, folder: str, program: str, severity: str) -> None:
        self._folder, self._program, self._severity = folder, program, severity
        self._file: TextIO | None = None
        self._stream: Stream | None = None

    def put(self, text: str) -> int:
        """Writes a text; returns 0 or raises an OSError if it cannot."""
        if self._stream is None:
            self._open()
        assert self._stream is not None
        return self._stream.write(text)

    def _open(self) -> None:
        now, host = time.localtime(), platform.node() or "unknown"
        stamp = time.strftime("%Y%m%d-%H%M%S", now)
        name = f"{self._program}.{host}.{_user()}.log.{self._severity}.{stamp}.{os.getpid()}"
        self._file = open(os.path.join(self._folder, name), "a", encoding="utf-8")  # noqa: SIM115
        self._stream = Stream(self._file, needs_reader=False)
        self._stream.write(
            f"Log file created at: {time.strftime('%Y/%m/%d %H:%M:%S', now)}\n"
            f"Running on machine: {host}\n"
            "Log line format: [IWEF]mmdd hh:mm:ss.uuuuuu threadid file:line] msg\n"
        )
        self._link(name)

    def _link(self, name: str) -> None:
        link = os.path.join(self._folder, f"{self._program}.{self._severity}")
        with contextlib.suppress(OSError, NotImplementedError):  # a log without links is a log
            if os.path.islink(link):
                os.unlink(link)
            os.symlink(name, link)

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
