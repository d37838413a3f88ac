"""Reading the two texts that a training starts from, the solver and the net, in present or older forms."""

from __future__ import annotations

import os
from typing import NamedTuple

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.paths import read_text
from pycaffe_lite.proto.caffe_pb2 import NetParameter, SolverParameter
from pycaffe_lite.proto.text import Lines, at, parse
from pycaffe_lite.proto.upgrade import upgrade_net, upgrade_solver


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
        return at(self.path, self.lines.get(field))

    def error(self, field: str, problem: str) -> CaffeError:
        """A CaffeError that begins with where a field stands."""
        return CaffeError(self.location(field) + problem)


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


def read_solver(path: str) -> SolverText:
    """Reads a solver from its text and brings it, and nets inside it, to the present form.

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
    return SolverText(param, path, lines)
