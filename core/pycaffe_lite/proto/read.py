"""Reading the two texts that a training starts from, the solver and the net, in present or older forms."""

from __future__ import annotations

import os
from typing import NamedTuple

from pycaffe_lite import log
from pycaffe_lite.paths import find_file, read_text, root_of
from pycaffe_lite.proto.caffe_pb2 import NetParameter, SolverParameter
from pycaffe_lite.proto.text import Lines, parse
from pycaffe_lite.proto.upgrade import upgrade_net, upgrade_solver

__all__ = ["NetText", "SolverText", "find_file", "read_net", "read_solver", "read_solver_text"]


class NetText(NamedTuple):
    """A net as it was read.

    Attributes:
        param: the net, in the present form.
        path: the file.
        layer_lines: for each of `param.layer`, the line where it begins in the file.
    """

    param: NetParameter
    path: str
    layer_lines: list[int]

    def location(self, layer: int) -> str:
        """`file:line: ` of a layer, for the beginning of an error."""
        return f"{self.path}:{self.layer_lines[layer]}: "


class SolverText(NamedTuple):
    """A solver as it was read.

    Attributes:
        param: the solver, in the present form.
        path: the file.
        lines: for each field given, the lines where; those of a net inside as `net_param.layer`.
    """

    param: SolverParameter
    path: str
    lines: Lines

    def location(self, field: str) -> str:
        """`file:line: ` of a field, or `file: ` if it is not given, for the beginning of an error."""
        line = self.lines.get(field, [])
        return f"{self.path}:{line[0]}: " if line else f"{self.path}: "


def read_net(path: str) -> NetText:
    """Reads a net from its text and brings it to the present form.

    Raises:
        FileError: the file is missing, unreadable, or no text.
        ParseError: the text is not a net.
        CaffeError: an old form that cannot be upgraded.
    """
    path = os.fspath(path)
    return net_of_text(read_text(path, "a net"), path)


def net_of_text(text: str, path: str) -> NetText:
    """The net of a text, as `read_net` reads it from a file."""
    lines: Lines = {}
    param = parse(text, NetParameter, path, lines)
    layer_lines = upgrade_net(param, path, lines)
    return NetText(param, path, layer_lines)


def read_solver_text(path: str) -> SolverText:
    """Reads a solver from its text and brings it, and nets inside it, to the present form.

    A missing snapshot_prefix becomes the solver's path without its extension; one that is a folder gets the
    solver's name in that folder. One whose folder is there from a folder above the solver, as from Caffe's root, and
    not from the working folder, is taken from that one.

    Raises:
        FileError: the file is missing, unreadable, or no text.
        ParseError: the text is not a solver.
        CaffeError: an old form that cannot be upgraded.
    """
    path = os.fspath(path)
    return solver_of_text(read_text(path, "a solver"), path)


def solver_of_text(text: str, path: str) -> SolverText:
    """The solver of a text, as `read_solver_text` reads it from a file."""
    lines: Lines = {}
    param = parse(text, SolverParameter, path, lines)
    upgrade_solver(param, path, lines)
    _complete_snapshot_prefix(param, path)
    return SolverText(param, path, lines)


def read_solver(path: str) -> SolverParameter:
    """The solver alone of `read_solver_text`."""
    return read_solver_text(path).param


def _complete_snapshot_prefix(param: SolverParameter, path: str) -> None:
    stem = os.path.splitext(path)[0]
    folder = os.path.dirname(param.snapshot_prefix)
    root = None if os.path.isdir(folder) else root_of(folder, os.path.dirname(path))
    if root:
        param.snapshot_prefix = os.path.join(root, param.snapshot_prefix)
        log.info(f"snapshot_prefix is taken as {param.snapshot_prefix}: its folder is there from above the solver.")
    if not param.HasField("snapshot_prefix"):
        param.snapshot_prefix = stem
        log.info(f"snapshot_prefix was not specified and is set to {param.snapshot_prefix}")
    elif os.path.isdir(param.snapshot_prefix):
        param.snapshot_prefix = os.path.join(param.snapshot_prefix, os.path.basename(stem))
        log.info(f"snapshot_prefix was a directory and is replaced to {param.snapshot_prefix}")
