"""A snapshot: all that a run goes on from, as a value. Reading it, checking it, writing it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pycaffe_lite import log
from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.errors import CaffeError, FileError
from pycaffe_lite.formats import resume
from pycaffe_lite.formats.caffemodel import LayerWeights
from pycaffe_lite.formats.format import HDF5, Format, format_of
from pycaffe_lite.formats.reading import Check
from pycaffe_lite.formats.solverstate import StateFile
from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.net.weights import Fitted, fit, same_shape
from pycaffe_lite.paths import find_file
from pycaffe_lite.proto.caffe_pb2 import SolverParameter
from pycaffe_lite.proto.printer import to_text
from pycaffe_lite.proto.text import parse
from pycaffe_lite.snapshots.names import (
    list_snapshots,
    names,
    remove_leftovers,
    resume_of,
    state_of,
    states_without_weights,
    weights_beside,
)
from pycaffe_lite.words import short
from pycaffe_lite.writing import FileSet, checksum, write_atomically

State = dict[str, Any]
"""Texts, numbers, lists, dicts and arrays, nested."""

# What stands in every .resume file.
_KEYS = {
    "iter": int, "solver": str, "generator": np.ndarray, "generator_position": int, "smoothing": dict,
    "progress": dict, "nets": list, "files": dict, "hdf5": bool,
}  # fmt: skip


@dataclass(frozen=True)
class Snapshot:
    """All that a run goes on from.

    Of a solver, the arrays are its own, and change as it goes on; of files they are what has been read.

    Attributes:
        iteration: how many updates have been done.
        step: for multistep, how many of its steps have been taken.
        layers: the parameters; none if the state that was read names no weights.
        history: what the update rule remembers, one array for each parameter, or several.
        exact: what Caffe forgets, see `Solver.exact_state`; None in a snapshot of Caffe's own.
        net: the name of the net; empty if it has been read.
        path, weights: the files of state and weights that it has been read from.
    """

    iteration: int
    step: int
    layers: Sequence[LayerWeights]
    history: Sequence[Array]
    exact: State | None
    net: str = ""
    path: str = ""
    weights: str = ""

    @classmethod
    def read(cls, path: str) -> Snapshot:
        """Reads each of a snapshot's files once, and checks all that can be checked without a net.

        Args:
            path: the .solverstate, or the .caffemodel or .resume beside it. The weights are those beside it, of the
                same stem, since snapshots are moved and copied; else those that the state names.

        Raises:
            FileError: a file is missing, truncated, damaged, of another kind or of another snapshot.
        """
        path = state_of(path)
        exact = _read_exact(path)
        sums = exact["files"] if exact is not None else None
        state = format_of(path).read_state(path, _sum_check(path, sums, "state", path))
        if state.iter < 0:
            raise FileError(f"{path}: expected an iteration of 0 or more, got {state.iter}.")
        if not state.learned_net.isprintable():
            raise FileError(f'{path} is damaged: the name of its weights is "{short(state.learned_net)}".')
        weights, layers = "", list[LayerWeights]()
        if state.learned_net:
            weights = weights_beside(path) or _named_weights(state.learned_net, path, exact is not None)
            layers = format_of(weights).read_weights(weights, _sum_check(path, sums, "weights", weights))
        return cls(state.iter, state.current_step, layers, state.history, exact, path=path, weights=weights)

    def fit(self, layers: Sequence[Layer], history: Sequence[Blob], kind: str) -> list[Fitted]:
        """Checks the arrays against a net and a solver; changes nothing.

        Args:
            layers: the net's.
            history: the solver's.
            kind: its type.

        Returns:
            the layers that parameters are there for, with these.

        Raises:
            FileError: the weights end between two layers.
            CaffeError: the snapshot is of another net or solver type.
        """
        if len(self.history) != len(history):
            raise CaffeError(
                f"{self.path}: expected {len(history)} history blobs for this net and solver type {kind}, "
                f"got {len(self.history)}; the snapshot is of another net or solver type."
            )
        for index, (blob, saved) in enumerate(zip(history, self.history, strict=True)):
            if not same_shape(blob, saved.shape):
                raise CaffeError(
                    f"{self.path}: expected history blob {index} to have shape {list(blob.shape)}, got "
                    f"{list(saved.shape)}; the snapshot is of another net."
                )
        there = {layer.name for layer in self.layers}
        missing = [layer.name for layer in layers if self.weights and layer.blobs and layer.name not in there]
        if missing:
            # A file that ends between two layers reads well, but not as the weights of a snapshot of this net.
            raise FileError(
                f'{self.weights}: expected parameters for layer "{missing[0]}", got none; the file is truncated, or of '
                "another net."
            )
        return fit(layers, self.layers, self.weights)

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Puts what goes wrong with `exact` in a sentence that names its file."""
        try:
            yield
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as problem:
            raise _not_what_it_should(resume_of(self.path), problem) from None
        except CaffeError as problem:
            path = resume_of(self.path)
            raise CaffeError(
                f"{problem} That does not fit the state in {path}; remove that file to begin the data anew."
            ) from None


def _read_exact(state: str) -> State | None:
    """What is in the .resume file beside a state, if that is of the same snapshot."""
    path = resume_of(state)
    if not os.path.exists(path):
        return None
    exact = resume.read(path)
    for key, kind in _KEYS.items():
        if not isinstance(exact.get(key), kind):
            raise _not_what_it_should(path, KeyError(key))
    if exact["hdf5"] != (format_of(state) is HDF5):
        log.warning(f"{path} is of the snapshot in the other format, so it is not used.")
        return None
    return exact


def _named_weights(name: str, state: str, known: bool) -> str:
    """The weights that a state names, which has none beside it.

    Args:
        name: the path in the state.
        state: the state's own.
        known: whether a checksum will tell if they are the right ones; else a warning says that nothing does.
    """
    weights = find_file(name, state, "learned_net")
    if not known:
        log.warning(
            f"{state} has no weights of its own name beside it, so those it names are taken, {weights}; nothing tells "
            "whether they are still the ones it was written with."
        )
    return weights


def _not_what_it_should(path: str, problem: Exception) -> FileError:
    return FileError(f"{path} does not hold what it should: {type(problem).__name__} {problem}.")


def _sum_check(state: str, sums: dict[str, Any] | None, role: str, path: str) -> Check | None:
    """What compares a file with its length and checksum in the .resume file.

    Args:
        state: the snapshot's state, which tells where the .resume file is.
        sums: what that says of the files, by their roles; None if there is none.
        role, path: of the file.
    """
    if sums is None:
        return None
    known = sums.get(role)
    other = f"not the weights that {state} was written with" if role == "weights" else "not of this snapshot"

    def check(data: bytes) -> None:
        if not isinstance(known, list) or list(checksum([data])) != known:
            raise FileError(
                f"{path} is damaged, or {other}: its length or checksum is not what {resume_of(state)} "
                "says; remove that file to use it all the same."
            )

    return check


def restore_newest(prefix: str, restore: Callable[[str], None]) -> bool:
    """Goes on from the newest snapshot of a prefix that is whole, if there is any.

    Args:
        prefix: of the snapshots.
        restore: goes on from a state, or raises a FileError if its snapshot is not whole.

    Returns:
        whether there was one.

    Raises:
        CaffeError: there are snapshots, but none is whole, or the newest one is of another net.
    """
    remove_leftovers(prefix)
    snapshots = list_snapshots(prefix)
    alone = states_without_weights(prefix)
    for state in alone:
        log.warning(f"{state} is passed over: expected its weights beside it, of the same name, got no such file.")
    for _, files in snapshots:
        try:
            log.info(f"Resuming from {files.state}", "caffe.cpp:235")
            restore(files.state)
            return True
        except FileError as problem:
            log.warning(f"{problem} The snapshot before it is tried.")
    if snapshots or alone:
        raise CaffeError(
            f"None of the {len(snapshots) + len(alone)} snapshot(s) of {prefix} can be used, for the reasons given; "
            "give one with --snapshot FILE, or start from the beginning with another snapshot_prefix, which leaves "
            "them as they are."
        )
    log.info(f"There is no snapshot of {prefix} yet; training starts from the beginning.")
    return False


# Where Caffe says that it writes weights, and a state.
_BINARY_AT, _HDF5_AT = ("solver.cpp:464", "sgd_solver.cpp:284"), ("solver.cpp:474", "sgd_solver.cpp:296")

# -- writing -----------------------------------------------------------------------------------------------


def check_prefix(prefix: str, form: Format, location: str) -> None:
    """Raises a CaffeError if snapshots could not be written, before hours are spent.

    Args:
        prefix: of the snapshots.
        form: their format.
        location: where the solver's text has the prefix, for the beginning of the error.
    """
    folder = os.path.abspath(os.path.dirname(prefix))
    if not os.path.isdir(folder):
        raise CaffeError(
            f'{location}expected snapshot_prefix "{prefix}" to lie in a folder that exists, {folder} does '
            f'not; make it with "mkdir -p {os.path.dirname(prefix)}".'
        )
    if not os.access(folder, os.W_OK):
        raise CaffeError(f"{location}expected a folder that can be written to, {folder} cannot.")
    form.require()


def warn_of_full_disk(prefix: str, needed: int) -> None:
    """A warning if the disk has no room for one more snapshot, of so many bytes."""
    folder = os.path.dirname(os.path.abspath(prefix))
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return
    if free < needed:
        log.warning(
            f"{folder} has {free / 1e6:.3g} MB free, and a snapshot takes about {needed / 1e6:.3g} MB: "
            "it cannot be written unless there is more room by then."
        )


def write(snapshot: Snapshot, prefix: str, form: Format) -> str:
    """Writes PREFIX_iter_N: the weights, what an exact resume needs, and last the state, which names the weights.

    None of them takes its place before all are on the disk. Training is worth more than a snapshot: if it
    cannot be written, that is said in the log, and the next one is tried as usual.

    Returns:
        the path of the state; empty if it has not been written.
    """
    files = names(prefix, snapshot.iteration, form.extension)
    try:
        with FileSet() as together:
            weights_at, state_at = _HDF5_AT if form is HDF5 else _BINARY_AT
            log.info(f"Snapshotting to {form.name} file {files.weights}", weights_at)
            sums = {"weights": together.add(files.weights, form.weights_pieces(snapshot.layers, snapshot.net))}
            log.info(f"Snapshotting solver state to {form.name} file {files.state}", state_at)
            state = form.state_pieces(StateFile(snapshot.iteration, files.weights, snapshot.step, snapshot.history))
            sums["state"] = checksum(state)
            if snapshot.exact is not None:
                exact = {**snapshot.exact, "files": sums, "hdf5": form is HDF5}
                together.add(files.resume, [resume.encode(exact)])
            together.add(files.state, state)
    except FileError as problem:
        log.error(f"{problem} Training goes on without this snapshot.")
        return ""
    except MemoryError:
        log.error(f"Cannot write {files.weights}: not enough memory. Training goes on without this snapshot.")
        return ""
    return files.state


def write_best(path: str, pieces: Iterable[bytes], score: str) -> None:
    """Writes the weights that have given the best score so far, or says in the log why it cannot."""
    try:
        write_atomically(path, pieces)
        log.info(f"Best so far: {score}; weights saved to {path}")
    except FileError as problem:
        log.error(f"{problem} Training goes on without these weights.")


def remove_old(prefix: str, iteration: int, keep: int) -> None:
    """Removes the snapshots of a prefix but for the `keep` last ones up to an iteration."""
    snapshots = [files for at, files in list_snapshots(prefix) if at <= iteration]
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


# -- what layers remember ----------------------------------------------------------------------------------


def layer_states(layers: Sequence[Layer]) -> State:
    """The states of a net's layers by their keys, in arrays of their own."""
    return {key: _own(_ask(layer, "state")) for key, layer in _stateful(layers)}


def restore_layers(layers: Sequence[Layer], states: State, undo: contextlib.ExitStack) -> None:
    """Gives a net's layers the states of the same keys.

    Args:
        layers: all of the net.
        states: as `layer_states` gives them.
        undo: is given what puts the present states back.

    Raises:
        CaffeError: a layer does not take its state.
    """
    for key, layer in _stateful(layers):
        if key in states:
            undo.callback(_put_back, layer, _own(_ask(layer, "state")))
            _ask(layer, "restore", states[key])
        else:
            log.warning(f'layer "{layer.name}" was not there when the snapshot was taken; it begins anew.')


def common_states(layers: Sequence[Layer]) -> State:
    """Of the states of a net's layers the part that ranks which share its data have in common."""
    return {key: _own(layer.common_state()) for key, layer in _stateful(layers) if hasattr(layer, "common_state")}


def restore_common(layers: Sequence[Layer], states: State) -> None:
    """Gives a net's layers what `common_states` has given for another rank's; the rest of their state stays."""
    for key, layer in _stateful(layers):
        if key in states:
            _ask(layer, "restore", {**_ask(layer, "state"), **states[key]})


def _put_back(layer: Layer, state: Any) -> None:
    with contextlib.suppress(CaffeError):  # of the layer that has just failed
        _ask(layer, "restore", state)


def _stateful(layers: Sequence[Layer]) -> Iterator[tuple[str, Layer]]:
    """The layers that have `state` and `restore`, each with a key of its own: its name, numbered if not unique.

    A user's Python layer that remembers anything between passes may have both, too.
    """
    seen: dict[str, int] = {}
    for layer in layers:
        if callable(getattr(layer, "state", None)) and callable(getattr(layer, "restore", None)):
            times = seen[layer.name] = seen.get(layer.name, 0) + 1
            yield (layer.name if times == 1 else f"{layer.name}#{times}"), layer


def _ask(layer: Layer, method: str, *args: Any) -> Any:
    """Calls a layer's method; what a user's layer may raise becomes a CaffeError."""
    try:
        return getattr(layer, method)(*args)
    except CaffeError:
        raise
    except Exception as problem:
        raise layer.error(f"its {method}() failed: {type(problem).__name__}: {problem}.") from problem


def _own(value: Any) -> Any:
    """A copy that shares no memory with a layer."""
    if isinstance(value, dict):
        return {key: _own(inner) for key, inner in value.items()}
    return value.copy() if isinstance(value, np.ndarray) else value


# -- what has changed since --------------------------------------------------------------------------------


def changed_settings(before: str, now: SolverParameter) -> list[str]:
    """The solver's settings that are others than those of a text: `base_lr: 0.1 -> 0.01`."""
    if before == to_text(now):
        return []
    try:
        old = parse(before, SolverParameter)
    except CaffeError:
        return []  # a later version's text
    fields = dict.fromkeys(field.name for message in (old, now) for field, _ in message.ListFields())
    texts = {name: (_field_text(old, name), _field_text(now, name)) for name in fields}
    return [f"{name}: {then} -> {today}" for name, (then, today) in texts.items() if then != today]


def _field_text(message: SolverParameter, name: str) -> str:
    """A field's value in one line; of one that is not given, its default."""
    one = SolverParameter(**{name: getattr(message, name)})
    values = [line.split(": ", 1)[-1].strip() for line in to_text(one).split("\n") if line.strip()]
    return short(", ".join(values)) or "none"
