"""Snapshots: weights, solver state and what an exact resume needs, from which training goes on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pycaffe_lite import log, resume, resume_file
from pycaffe_lite.errors import CaffeError, FileError
from pycaffe_lite.files import Checksum, FileSet, checksum, write_atomically
from pycaffe_lite.proto.caffe_pb2 import SolverState
from pycaffe_lite.proto.encode import blob_bytes, with_blobs
from pycaffe_lite.proto.read import find_file
from pycaffe_lite.proto.weights import StateFile, file_bytes, read_state
from pycaffe_lite.snapshot_names import Names, list_snapshots, names, names_of, remove_leftovers, state_of
from pycaffe_lite.weights import SourceLayer, copy_layers, read_layers, same_shape, weights_pieces

if TYPE_CHECKING:
    from pycaffe_lite.solvers.base import Solver


def check_prefix(solver: Solver) -> None:
    """Raises a CaffeError if the snapshots of a solver could not be written, before hours are spent."""
    param = solver.param
    if not param.snapshot and not param.snapshot_after_train:
        return
    folder = os.path.dirname(os.path.abspath(param.snapshot_prefix))
    if not os.path.isdir(folder):
        raise solver.error(
            "snapshot_prefix",
            f'expected snapshot_prefix "{param.snapshot_prefix}" to lie in a folder that exists, {folder} does '
            f'not; make it with "mkdir -p {os.path.dirname(param.snapshot_prefix)}".',
        )
    if not os.access(folder, os.W_OK):
        raise solver.error("snapshot_prefix", f"expected a folder that can be written to, {folder} cannot.")
    if _is_hdf5(param):
        from pycaffe_lite.data.hdf5 import h5py_module

        h5py_module("HDF5 snapshots")


def warn_of_full_disk(solver: Solver) -> None:
    """A warning if the disk has no room for one more snapshot."""
    if not solver.param.snapshot and not solver.param.snapshot_after_train:
        return
    needed = 4 * sum(blob.count for blob in (*solver.net.parameters.blobs, *solver.history))
    folder = os.path.dirname(os.path.abspath(solver.param.snapshot_prefix))
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return
    if free < needed:
        log.warning(
            f"{folder} has {free / 1e6:.3g} MB free, and a snapshot takes about {needed / 1e6:.3g} MB: "
            "it cannot be written unless there is more room by then."
        )


def _is_hdf5(param: Any) -> bool:
    return bool(param.snapshot_format == param.HDF5)


# -- writing -----------------------------------------------------------------------------------------------


def write(solver: Solver) -> bool:
    """Writes PREFIX_iter_N: the weights, what an exact resume needs, and last the state, which names the weights.

    None of them takes its place before all are on the disk. Training is worth more than a snapshot: if it
    cannot be written, that is said in the log, and the next one is tried as usual.

    Returns:
        whether it has been written.
    """
    hdf5 = _is_hdf5(solver.param)
    kind = "HDF5" if hdf5 else "binary proto"
    files = names(solver.param.snapshot_prefix, solver.iter, hdf5)
    try:
        with FileSet() as together:
            log.info(f"Snapshotting to {kind} file {files.weights}")
            sums = {"weights": together.add(files.weights, _weights(solver, files.weights))}
            log.info(f"Snapshotting solver state to {kind} file {files.state}")
            state = list(_state(solver, files.weights, hdf5))
            sums["state"] = checksum(state)
            together.add(files.resume, [resume_file.encode({**solver.where_it_stands(), "files": sums, "hdf5": hdf5})])
            together.add(files.state, state)
    except FileError as problem:
        log.error(f"{problem} Training goes on without this snapshot.")
        return False
    except MemoryError:
        log.error(f"Cannot write {files.weights}: not enough memory. Training goes on without this snapshot.")
        return False
    solver.last_snapshot = files.state
    return True


def write_best(solver: Solver) -> None:
    """Writes the weights that have given the best score so far to PREFIX_best.caffemodel."""
    path = best_path(solver)
    try:
        write_atomically(path, _weights(solver, path))
        log.info(f"Best so far: {solver.best.text() if solver.best else ''}; weights saved to {path}")
    except FileError as problem:
        log.error(f"{problem} Training goes on without these weights.")


def best_path(solver: Solver) -> str:
    """Where `write_best` writes to."""
    return f"{solver.param.snapshot_prefix}_best.caffemodel" + (".h5" if _is_hdf5(solver.param) else "")


def _weights(solver: Solver, path: str) -> Iterable[bytes]:
    return weights_pieces(solver.net, path, solver.param.snapshot_diff)


def _state(solver: Solver, weights: str, hdf5: bool) -> Iterable[bytes]:
    if hdf5:
        from pycaffe_lite import hdf5_files

        return [hdf5_files.state_bytes(solver.iter, solver.current_step, weights, solver.history)]
    message = SolverState(iter=solver.iter, learned_net=weights, current_step=solver.current_step)
    return with_blobs(message, "history", [blob_bytes(blob.data) for blob in solver.history])


def remove_old(solver: Solver, keep: int) -> None:
    """Removes the snapshots of this prefix but for the `keep` last ones up to the present iteration."""
    snapshots = [files for at, files in list_snapshots(solver.param.snapshot_prefix) if at <= solver.iter]
    kept = {path for files in snapshots[:keep] for path in files}
    for files in snapshots[keep:]:
        for path in (files.state, files.resume, files.weights):  # the state first: without it there is no snapshot
            try:
                if path not in kept:
                    os.unlink(path)
            except FileNotFoundError:
                pass
            except OSError as problem:
                log.warning(f"Cannot remove {path}: {problem.strerror or problem}.")


# -- reading -----------------------------------------------------------------------------------------------


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
    if path.endswith(".h5"):
        from pycaffe_lite import hdf5_files

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
    if exact.get("hdf5") != path.endswith(".h5"):
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


__all__ = ["Checksum", "Names", "check_prefix", "read", "read_newest", "remove_old", "write", "write_best"]
