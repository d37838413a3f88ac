"""Files of nets and solvers in older forms, written anew in the present one, as Caffe's upgrade tools do."""

from __future__ import annotations

import re

from google.protobuf.message import DecodeError, Message

from pycaffe_lite import log
from pycaffe_lite.errors import FileError
from pycaffe_lite.formats.caffemodel import read_weights
from pycaffe_lite.paths import find_file, read_text
from pycaffe_lite.proto.caffe_pb2 import NetParameter, SolverParameter
from pycaffe_lite.proto.printer import to_text
from pycaffe_lite.proto.text import Lines, parse
from pycaffe_lite.proto.upgrade import upgrade_net, upgrade_solver
from pycaffe_lite.proto.upgrade_v0 import loses_fields
from pycaffe_lite.writing import write_output

_HEAD = 4096
# Bytes that no text has, but any file of weights: its layers begin with some of them.
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a]")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def upgrade_net_file(source: str, target: str, binary: bool | None = None) -> bool:
    """Writes a net, a text or a file of weights, in the present form.

    Args:
        source: the net.
        target: the file to write, of the same kind; it may be the same.
        binary: whether it is a file of weights; None: its contents tell.

    Returns:
        whether all of the net has a place in the present form; what has none was left out with a warning.

    Raises:
        CaffeError: the net is missing, damaged, or was never valid, or the target cannot be written.
    """
    source = find_file(source, what="net")
    if binary is None:
        binary = _is_binary(source)
    lines: Lines = {}
    net = _read_binary(source) if binary else parse(read_text(source, "a net"), NetParameter, source, lines)
    before = _bytes(net)
    try:
        complete = not loses_fields(net)
        upgrade_net(net, source, lines)
    except UnicodeDecodeError as problem:
        raise FileError(f"{source}: expected names in UTF-8, got {problem.object!r}; mend it by hand.") from None
    _write(net, before, source, target, binary)
    return complete


def upgrade_solver_file(source: str, target: str) -> None:
    """Writes a solver's text in the present form.

    Raises:
        CaffeError: the solver is missing or was never valid, or the target cannot be written.
    """
    source = find_file(source, what="solver")
    lines: Lines = {}
    solver = parse(read_text(source, "a solver"), SolverParameter, source, lines)
    before = _bytes(solver)
    upgrade_solver(solver, source, lines)
    _write(solver, before, source, target, False)


def _is_binary(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False  # reading it as a text will tell what is wrong
    return bool(_BINARY.search(head)) and not head.startswith(_UTF_16)


def _read_binary(path: str) -> NetParameter:
    contents: list[bytes] = []
    read_weights(path, contents.append)  # tells what is wrong with a file, where protobuf only says that something is
    try:
        net = NetParameter.FromString(contents[0])
    except (DecodeError, UnicodeDecodeError):
        raise FileError(
            f"{path}: expected a net of Caffe's own schema, got one that a fork of Caffe wrote; "
            "its weights load without an upgrade."
        ) from None
    return net


def _bytes(message: Message) -> bytes:
    return bytes(message.SerializeToString(deterministic=True))


def _write(message: Message, before: bytes, source: str, target: str, binary: bool) -> None:
    kind = "binary" if binary else "text"
    tool = f"upgrade_{'net' if isinstance(message, NetParameter) else 'solver'}_proto_{kind}.cpp"
    data = _bytes(message)
    if data == before:
        log.warning(f"File already in latest proto format: {source}", f"{tool}:43")
    write_output(target, data if binary else to_text(message).encode())
    log.info(f"Wrote upgraded {type(message).__name__} {kind} proto to {target}", f"{tool}:{48 if binary else 49}")
