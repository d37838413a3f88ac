"""Writing snapshots: weights, solver state and what an exact resume needs; `restore` reads them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pycaffe_lite import log
from pycaffe_lite.errors import FileError
from pycaffe_lite.formats import resume as resume_file
from pycaffe_lite.formats.encode import blob_bytes, with_blobs
from pycaffe_lite.net.weights import weights_pieces
from pycaffe_lite.proto.caffe_pb2 import SolverState
from pycaffe_lite.snapshots.names import list_snapshots, names
from pycaffe_lite.writing import FileSet, checksum, write_atomically

if TYPE_CHECKING:
    from pycaffe_lite.solvers.loop import Solver


def check_prefix(solver: Solver) -> None:
    """Raises a CaffeError if the snapshots of a solver could not be written, before hours are spent."""
    param = solver.param
    if not param.snapshot and not param.snapshot_after_train:
        return
    folder = os.path.abspath(os.path.dirname(param.snapshot_prefix))
    if not os.path.isdir(folder):
        raise solver.error(
            "snapshot_prefix",
            f'expected snapshot_prefix "{param.snapshot_prefix}" to lie in a folder that exists, {folder} does '
            f'not; make it with "mkdir -p {os.path.dirname(param.snapshot_prefix)}".',
        )
    if not os.access(folder, os.W_OK):
        raise solver.error("snapshot_prefix", f"expected a folder that can be written to, {folder} cannot.")
    if _is_hdf5(param):
        from pycaffe_lite.data.sources.hdf5 import h5py_module

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
        from pycaffe_lite.formats import hdf5 as hdf5_files

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
