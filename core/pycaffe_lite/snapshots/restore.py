"""Going on from a snapshot: reading its files, checking that they belong together, and taking them over."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pycaffe_lite import log
from pycaffe_lite.errors import CaffeError, FileError
from pycaffe_lite.formats import resume as resume_file
from pycaffe_lite.formats.caffemodel import StateFile, file_bytes, read_state
from pycaffe_lite.net.weights import SourceLayer, copy_layers, read_layers, same_shape
from pycaffe_lite.paths import find_file
from pycaffe_lite.snapshots import resume
from pycaffe_lite.snapshots.names import list_snapshots, names_of, remove_leftovers, state_of
from pycaffe_lite.words import short
from pycaffe_lite.writing import checksum, is_hdf5

if TYPE_CHECKING:
    from pycaffe_lite.solvers.loop import Solver


def read(solver: Solver, path: str) -> None:
    """Goes on from a snapshot: weights, history and iteration, and exactly so if there is its .resume file.

    Args:
        path: the .solverstate, which names the weights; or the .caffemodel beside it.

    Raises:
        FileError: a file is missing, truncated, damaged, or of another kind; then nothing has been changed.
        CaffeError: the snapshot is of another net or solver, or of other data.
    """
    path = state_of(path)
    state = _read_state(path)
    _check_history(solver, state, path)
    if not state.learned_net.isprintable():
        raise FileError(f'{path} is damaged: the name of its weights is "{short(state.learned_net)}".')
    weights = find_file(state.learned_net, path, "learned_net") if state.learned_net else ""
    exact = _read_resume(path, weights)
    layers = read_layers(weights) if weights else []
    if weights:
        _check_complete(solver, layers, weights)
        copy_layers(solver.net, layers, weights)
    solver.iter, solver.current_step = state.iter, state.current_step
    log.info("SGDSolver: restoring history")
    for blob, saved in zip(solver.history, state.history, strict=True):
        blob.data[...] = saved.reshape(blob.shape)
    solver.last_snapshot = path
    _go_on(solver, exact, path)


def _go_on(solver: Solver, exact: dict[str, Any] | None, path: str) -> None:
    files = names_of(path)
    if exact is None or files is None:
        log.info(
            f"There is no {files.resume if files else '.resume file'} beside the state: as in Caffe, the data "
            "begins at its first record, and random numbers anew."
        )
        solver.restore_progress(None)
        return
    if changes := resume.changed_settings(str(exact.get("solver", "")), solver):
        log.info("Solver settings changed since the snapshot: " + "; ".join(changes))
    resume.apply(solver, exact, files.resume)
    log.info(f"Data, random numbers and smoothed loss go on exactly where {files.resume} says.")


def _read_state(path: str) -> StateFile:
    if is_hdf5(path):
        from pycaffe_lite.formats import hdf5 as hdf5_files

        return hdf5_files.read_state(path)
    return read_state(path)


def _read_resume(path: str, weights: str) -> dict[str, Any] | None:
    """The .resume file beside a state, if it is of this snapshot.

    Raises:
        FileError: it, the state or the weights are damaged.
    """
    files = names_of(path)
    if files is None or not os.path.exists(files.resume):
        return None
    exact = resume_file.read(files.resume)
    if exact.get("hdf5") != is_hdf5(path):
        log.warning(f"{files.resume} is of the snapshot in the other format, so it is not used.")
        return None
    sums = exact.get("files")
    for role, which in (("state", path), ("weights", weights)):
        known = sums.get(role) if isinstance(sums, dict) else None
        if which and list(checksum([file_bytes(which, "a snapshot")])) != known:
            raise FileError(
                f"{which} is damaged, or not of this snapshot: its length or checksum is not what {files.resume} "
                "says; remove that file to use it all the same."
            )
    return exact


def read_newest(solver: Solver) -> bool:
    """Goes on from the newest snapshot of the solver's own prefix that is whole, if there is any.

    Returns:
        whether there was one.

    Raises:
        CaffeError: there are snapshots, but none is whole, or the newest one is of another net.
    """
    prefix = solver.param.snapshot_prefix
    remove_leftovers(prefix)
    snapshots = list_snapshots(prefix)
    for _, files in snapshots:
        try:
            log.info(f"Resuming from {files.state}")
            read(solver, files.state)
            return True
        except FileError as problem:
            log.warning(f"{problem} The snapshot before it is tried.")
    if snapshots:
        raise CaffeError(
            f"None of the {len(snapshots)} snapshot(s) of {prefix} can be used; "
            "remove them to start from the beginning."
        )
    log.info(f"There is no snapshot of {prefix} yet; training starts from the beginning.")
    return False


def _check_complete(solver: Solver, layers: Sequence[SourceLayer], path: str) -> None:
    """A file that ends between two layers reads well, but not as the weights of a snapshot of this net."""
    there = {layer.name for layer in layers}
    missing = [name for name in solver.net.params if name not in there]
    if missing:
        raise FileError(
            f'{path}: expected parameters for layer "{missing[0]}", got none; the file is truncated, or of another net.'
        )


def _check_history(solver: Solver, state: StateFile, path: str) -> None:
    if state.iter < 0:
        raise FileError(f"{path}: expected an iteration of 0 or more, got {state.iter}.")
    if len(state.history) != len(solver.history):
        raise CaffeError(
            f"{path}: expected {len(solver.history)} history blobs for this net and solver type {solver.type}, "
            f"got {len(state.history)}; the snapshot is of another net or solver type."
        )
    for index, (blob, saved) in enumerate(zip(solver.history, state.history, strict=True)):
        if not same_shape(blob, saved.shape):
            raise CaffeError(
                f"{path}: expected history blob {index} to have shape {list(blob.shape)}, got "
                f"{list(saved.shape)}; the snapshot is of another net."
            )
