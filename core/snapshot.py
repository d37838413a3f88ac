"""Snapshots: the weights and the solver's state at an iteration, from which training goes on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pycaffe_lite import log
from pycaffe_lite.errors import CaffeError, FileError
from pycaffe_lite.files import write_atomically
from pycaffe_lite.proto.caffe_pb2 import SolverState
from pycaffe_lite.proto.encode import blob_bytes, with_blobs
from pycaffe_lite.proto.read import find_file
from pycaffe_lite.proto.weights import StateFile, read_state
from pycaffe_lite.weights import copy_weights, same_shape, write_weights

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
    if param.snapshot_format == param.HDF5:
        raise solver.error("snapshot_format", "HDF5 snapshots are not supported yet; use BINARYPROTO.")


def write(solver: Solver) -> None:
    """Writes PREFIX_iter_N.caffemodel, then PREFIX_iter_N.solverstate, which names it."""
    base = f"{solver.param.snapshot_prefix}_iter_{solver.iter}"
    weights, state = f"{base}.caffemodel", f"{base}.solverstate"
    try:
        log.info(f"Snapshotting to binary proto file {weights}")
        write_weights(solver.net, weights, solver.param.snapshot_diff)
        log.info(f"Snapshotting solver state to binary proto file {state}")
        message = SolverState(iter=solver.iter, learned_net=weights, current_step=solver.current_step)
        write_atomically(state, with_blobs(message, "history", [blob_bytes(blob.data) for blob in solver.history]))
    except FileError as problem:
        # Training is worth more than this snapshot; the next one is tried as usual.
        log.error(f"{problem} Training goes on without this snapshot.")


def read(solver: Solver, path: str) -> None:
    """Takes iteration, history and weights from a .solverstate and the .caffemodel it names.

    Raises:
        FileError: a file is missing, truncated or of another kind.
        CaffeError: the state is of another net or solver.
    """
    state = read_state(path)
    _check_history(solver, state, path)
    if state.learned_net:
        copy_weights(solver.net, find_file(state.learned_net, path, "learned_net"))
    solver.iter, solver.current_step = state.iter, state.current_step
    log.info("SGDSolver: restoring history")
    for blob, saved in zip(solver.history, state.history, strict=True):
        blob.data[...] = saved.reshape(blob.shape)


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
