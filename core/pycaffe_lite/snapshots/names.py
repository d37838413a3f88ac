"""The names of a snapshot's files, and finding snapshots by them."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from pycaffe_lite import log
from pycaffe_lite.errors import FileError
from pycaffe_lite.paths import root_of
from pycaffe_lite.proto.caffe_pb2 import SolverParameter

_WEIGHTS, _STATE, _RESUME, _H5 = ".caffemodel", ".solverstate", ".resume", ".h5"
_ANY = re.compile(r"\.(caffemodel|solverstate|resume)(\.h5)?$")


class Names(NamedTuple):
    """The files of one snapshot; the last one written is the state, so where it is, the others are too."""

    weights: str
    resume: str
    state: str


def complete_prefix(param: SolverParameter, path: str) -> None:
    """Gives a solver the snapshot_prefix that it means.

    A missing one becomes the solver's path without its extension; one that is a folder gets the solver's name in that
    folder. One whose folder is there from a folder above the solver, as from Caffe's root, and not from the working
    folder, is taken from that one.

    Args:
        param: the solver.
        path: its file.
    """
    stem = os.path.splitext(path)[0]
    folder = os.path.dirname(param.snapshot_prefix)
    root = None if os.path.isdir(folder) else root_of(folder, os.path.dirname(path))
    if root:
        param.snapshot_prefix = os.path.join(root, param.snapshot_prefix)
        log.info(f"snapshot_prefix is taken as {param.snapshot_prefix}: its folder is there from above the solver.")
    if not param.HasField("snapshot_prefix"):
        param.snapshot_prefix = stem
        log.info(f"snapshot_prefix was not specified and is set to {param.snapshot_prefix}", "upgrade_proto.cpp:1108")
    elif os.path.isdir(param.snapshot_prefix):
        param.snapshot_prefix = os.path.join(param.snapshot_prefix, os.path.basename(stem))
        log.info(
            f"snapshot_prefix was a directory and is replaced to {param.snapshot_prefix}", "upgrade_proto.cpp:1113"
        )


def names(prefix: str, iteration: int, extension: str) -> Names:
    """PREFIX_iter_N with Caffe's extensions, and ours; `extension` is that of the format."""
    return _from_base(f"{prefix}_iter_{iteration}", extension)


def _from_base(base: str, extension: str) -> Names:
    return Names(base + _WEIGHTS + extension, base + _RESUME, base + _STATE + extension)


def names_of(path: str) -> Names | None:
    """All files of the snapshot that one of them belongs to; None for another name."""
    match = _ANY.search(path)
    return _from_base(path[: match.start()], match[2] or "") if match else None


def state_of(path: str) -> str:
    """The state of the snapshot that a path names by any of its files.

    Raises:
        FileError: it names weights, and there is no state beside them.
    """
    found = names_of(path)
    if found is None or path == found.state:
        return path
    if path == found.resume and not os.path.exists(found.state) and os.path.exists(found.state + _H5):
        return found.state + _H5
    if not os.path.exists(found.state) and os.path.exists(path):
        raise FileError(
            f"{path}: expected the solver's state {os.path.basename(found.state)} beside it, got no such file; "
            "give the weights with --weights to start from them alone."
        )
    return found.state


def resume_of(state: str) -> str:
    """The .resume file beside a state; empty if the state's name does not tell which that is."""
    files = names_of(state)
    return files.resume if files else ""


def weights_beside(state: str) -> str:
    """The weights beside a state, of the same stem; empty if there are none, or the state's name has another form."""
    files = names_of(state)
    return files.weights if files and os.path.exists(files.weights) else ""


def list_snapshots(prefix: str) -> list[tuple[int, Names]]:
    """The snapshots of a prefix whose state and weights are there, the newest first."""
    return [(iteration, files) for iteration, files in _states(prefix) if os.path.isfile(files.weights)]


def states_without_weights(prefix: str) -> list[str]:
    """The states of a prefix from which no run can go on because their weights are gone, the newest first."""
    return [files.state for _, files in _states(prefix) if not os.path.isfile(files.weights)]


def _states(prefix: str) -> list[tuple[int, Names]]:
    folder, base = os.path.split(prefix)
    form = re.compile(re.escape(base) + r"_iter_(\d{1,10})\.solverstate(\.h5)?")
    found = []
    for entry in _entries(folder):
        if match := form.fullmatch(entry):
            files = names(prefix, int(match[1]), match[2] or "")
            if files.state == os.path.join(folder, entry):
                found.append((int(match[1]), files))
    return sorted(found, reverse=True)


def remove_leftovers(prefix: str) -> None:
    """Removes the temporary files of runs of this prefix that were killed while writing."""
    folder, base = os.path.split(prefix)
    form = re.compile(re.escape(base) + r"_(?:iter_\d+|best)\.[a-z0-9.]+\.(\d+)\.tmp")
    for entry in list(_entries(folder)):
        match = form.fullmatch(entry)
        if match and not _alive(int(match[1])):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(folder, entry))


def _entries(folder: str) -> Iterator[str]:
    try:
        yield from os.listdir(folder or ".")
    except OSError as problem:
        raise FileError(f"Cannot look for snapshots in {folder or '.'}: {problem.strerror or problem}.") from None


def _alive(process: int) -> bool:
    """Whether there is such a process here, this one aside."""
    if process == os.getpid():
        return False
    if os.name == "nt":  # there, asking in this way would end the process
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
