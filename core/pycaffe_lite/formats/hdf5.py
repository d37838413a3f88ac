"""HDF5: the package, what a file may claim, and Caffe's weights and solver states laid out as Caffe lays them out.

X.caffemodel.h5      /data/<layer>/<i>, and with snapshot_diff /diff/<layer>/<i>; a group for every layer,
                     also those without parameters; a parameter that layers share stands with the first one
X.solverstate.h5     /iter and /current_step, one int32 each; /learned_net, a text; /history/<i>
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any, TypeVar

import numpy as np

from pycaffe_lite.errors import CaffeError, FileError, MissingExtra
from pycaffe_lite.formats.blobproto import Values
from pycaffe_lite.formats.caffemodel import LayerWeights
from pycaffe_lite.formats.reading import MOST, Check, Unfit, file_bytes
from pycaffe_lite.formats.solverstate import StateFile
from pycaffe_lite.paths import unreadable
from pycaffe_lite.words import printable

T = TypeVar("T")

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_LONGEST_REASON = 200
_DEEPEST = 32


# -- the package -------------------------------------------------------------------------------------------


def h5py_module(what: str) -> Any:
    """h5py; a MissingExtra that says what needs it if it is not installed."""
    try:
        import h5py
    except ImportError:
        raise MissingExtra(what, "hdf5") from None
    return h5py


def snapshots_h5py() -> Any:
    """h5py; a MissingExtra that says that snapshots need it if it is not installed."""
    return h5py_module("HDF5 snapshots")


def reason(problem: Exception) -> str:
    """What the system or HDF5 says, without HDF5's own repetition of it."""
    if isinstance(problem, OSError) and problem.errno and problem.strerror:
        return unreadable(OSError(problem.errno, os.strerror(problem.errno)))
    # A KeyError puts quotation marks around its text.
    text = str(problem.args[0] if isinstance(problem, KeyError) and problem.args else problem)
    return printable(text[:_LONGEST_REASON]).rstrip(".") or type(problem).__name__


# -- what a file claims, before memory is taken for it -------------------------------------------------------
#
# A dataset's shape costs nothing: a file of a kilobyte may claim a terabyte, all of it the fill value, and a chunk of
# up to 4 GiB besides, which is made as a whole for a single row of it.

_ALWAYS = 1 << 24  # bytes that any dataset may claim
DENSEST = 1100
"""No filter of HDF5 packs a byte into less than this part of one."""


def check_plain_file(path: str) -> None:
    """Raises a FileError for a pipe or a device, of which HDF5 would wait for the end."""
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise FileError(f"{path}: expected an HDF5 file that can be read, got no plain file.")


def plausible(claimed: int, stored: int) -> bool:
    """Whether so many bytes of values can come out of so many in a file."""
    return claimed <= max(_ALWAYS, stored * DENSEST)


def check_claim(dataset: Any, path: str) -> None:
    """Raises a FileError for a dataset far larger than the file, or than what has been written of it.

    Datasets that are put together from other files pass: where their values are is not known here.
    """
    claimed = max(prod(dataset.shape), prod(dataset.chunks or (0,))) * dataset.dtype.itemsize
    if plausible(claimed, 0) or dataset.is_virtual or dataset.external:
        return
    stored = min(dataset.id.get_storage_size(), dataset.file.id.get_filesize())
    if not plausible(claimed, stored):
        name = dataset.name.rpartition("/")[2]
        raise FileError(
            f'{path}: dataset "{name}" claims shape {list(dataset.shape)}, {claimed} bytes, of which the file has '
            f"{stored}, far too few."
        )


# -- writing -----------------------------------------------------------------------------------------------


def weights_pieces(layers: Sequence[LayerWeights], net: str) -> list[bytes]:
    """The bytes of a file of weights; it does not say the net's name.

    Raises:
        MissingExtra: h5py is not installed.
    """

    def fill(file: Any) -> None:
        for kind in ("data", "diff") if any(layer.diffs for layer in layers) else ("data",):
            whole = file.create_group(kind)
            for layer in layers:
                group = whole.require_group(layer.name)
                for index, values in enumerate(layer.diffs if kind == "diff" else layer.blobs):
                    if kind == "diff" or index not in layer.shared:
                        group.create_dataset(str(index), data=values)

    return _image(fill)


def state_pieces(state: StateFile) -> list[bytes]:
    """The bytes of a file of a solver's state.

    Raises:
        MissingExtra: h5py is not installed.
    """

    def fill(file: Any) -> None:
        for name, number in (("iter", state.iter), ("current_step", state.current_step)):
            file.create_dataset(name, data=np.array([number], "<i4"))
        _write_text(file, "learned_net", os.fsencode(state.learned_net) + b"\0")
        group = file.create_group("history")
        for index, values in enumerate(state.history):
            group.create_dataset(str(index), data=values)

    return _image(fill)


def _image(fill: Callable[[Any], None]) -> list[bytes]:
    """The bytes of an HDF5 file, made in memory."""
    with snapshots_h5py().File("image", "w", driver="core", backing_store=False) as file:
        fill(file)
        file.flush()
        return [file.id.get_file_image()]


def _write_text(file: Any, name: str, text: bytes) -> None:
    """A scalar string with an end mark, as C programs read it."""
    h5py = snapshots_h5py()
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(len(text))
    space = h5py.h5s.create(h5py.h5s.SCALAR)
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    how.set_obj_track_times(False)  # equal states give equal bytes
    dataset = h5py.h5d.create(file.id, name.encode(), kind, space, how)
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array(text, f"S{len(text)}"), kind)


# -- reading -----------------------------------------------------------------------------------------------


def read_weights(path: str, check: Check | None = None) -> list[LayerWeights]:
    """The layers of a .caffemodel.h5, in the file's own order, which is alphabetical.

    Raises:
        FileError: the file is missing, damaged, or not a file of weights.
        MissingExtra: h5py is not installed.
    """

    def decode(reader: _Reader) -> list[LayerWeights]:
        return [LayerWeights(name, "", reader.blobs(group)) for name, group in reader.groups("data")]

    return _read(path, "weights (.caffemodel.h5)", decode, check)


def read_state(path: str, check: Check | None = None) -> StateFile:
    """The contents of a .solverstate.h5.

    Raises:
        FileError: the file is missing, damaged, or not a solver's state.
        MissingExtra: h5py is not installed.
    """

    def decode(reader: _Reader) -> StateFile:
        ((_, history), *_) = reader.groups("history")
        blobs = [blob for blob in reader.blobs(history) if blob is not None]
        return StateFile(reader.integer("iter"), reader.text("learned_net"), reader.integer("current_step"), blobs)

    return _read(path, "a solver's state (.solverstate.h5)", decode, check)


def _read(path: str, what: str, decode: Callable[[_Reader], T], check: Check | None) -> T:
    path = os.fspath(path)
    data = file_bytes(path, what, check)
    if not data.startswith(SIGNATURE):
        raise FileError(f"{path} is not a file of {what}: it is no HDF5 file, as its name says.")
    h5py = snapshots_h5py()
    try:
        with h5py.File(h5py.h5f.open_file_image(data)) as file:
            return decode(_Reader(file, h5py, len(data)))
    except CaffeError:
        raise
    except Unfit as problem:
        raise FileError(f"{path} is not a file of {what}: {problem}.") from None
    except MemoryError:
        raise FileError(f"{path} does not fit into memory.") from None
    except Exception as problem:  # errors of many classes, for damaged files
        raise FileError(f"{path} is truncated or damaged, expected a file of {what}: {reason(problem)}.") from None


class _Reader:
    """Reads an open file, trusting nothing in it.

    Args:
        file: an h5py.File.
        h5py: the module.
        size: the bytes of the file, which limit what its datasets can hold.
    """

    def __init__(self, file: Any, h5py: Any, size: int) -> None:
        self.file, self.h5py = file, h5py
        self.left = size * DENSEST
        self.size = size

    def groups(self, name: str) -> Iterator[tuple[str, Any]]:
        """A group and those inside it that are layers, by their names; of layers without any, the group itself."""
        root = self._own(self.file, name)
        if not isinstance(root, self.h5py.Group):
            raise Unfit(f"it has no group /{name}")
        if name == "history":
            yield "", root
            return
        count = 0
        pending = [("", root, 0)]
        while pending:
            path, group, depth = pending.pop(0)
            children = [(key, self._own(group, key)) for key in group]
            inner = [(key, child) for key, child in children if isinstance(child, self.h5py.Group)]
            count += len(children)
            if depth > _DEEPEST or count > MOST:
                raise Unfit("it has more groups than nets have layers")
            if path and (len(inner) < len(children) or not children):
                yield path, group
            pending += [(f"{path}/{key}".lstrip("/"), child, depth + 1) for key, child in inner]

    def blobs(self, group: Any) -> list[Values | None]:
        """The datasets "0", "1", … of a group, None for those that are missing."""
        numbers = {int(key): key for key in group if key.isascii() and key.isdigit() and len(key) < 7}
        if numbers and max(numbers) > MOST:
            raise Unfit(f"{group.name} has more blobs than any layer")
        found: list[Values | None] = [None] * (max(numbers, default=-1) + 1)
        for number, key in numbers.items():
            dataset = self._own(group, key)
            if isinstance(dataset, self.h5py.Dataset):
                found[number] = self._values(dataset)
        return found

    def integer(self, name: str) -> int:
        dataset = self._own(self.file, name)
        if not isinstance(dataset, self.h5py.Dataset) or dataset.size != 1 or dataset.dtype.kind not in "iu":
            raise Unfit(f"it has no integer /{name}")
        return int(self._values(dataset).reshape(-1)[0])

    def text(self, name: str) -> str:
        dataset = self._own(self.file, name)
        if not isinstance(dataset, self.h5py.Dataset) or dataset.shape != () or dataset.dtype.kind not in "SO":
            raise Unfit(f"it has no text /{name}")
        value = dataset[()]
        text = value if isinstance(value, str) else bytes(value).decode("utf-8", "backslashreplace")
        return text.split("\0")[0]

    def _own(self, group: Any, name: str) -> Any:
        """What stands under a name, if it is in this file; links elsewhere are not followed."""
        link = group.get(name, getlink=True)
        return group[name] if isinstance(link, self.h5py.HardLink) else None

    def _values(self, dataset: Any) -> Values:
        """All values; their number is believed only as far as the file's size allows."""
        if dataset.dtype.kind not in "fiu":
            raise Unfit(f"{dataset.name} holds {dataset.dtype}, expected numbers")
        nbytes = prod(dataset.shape) * dataset.dtype.itemsize
        self.left -= nbytes
        stored = dataset.id.get_storage_size()
        if self.left < 0 or nbytes > stored * DENSEST or (dataset.chunks is None and nbytes > stored):
            raise Unfit(f"{dataset.name} claims a shape of {list(dataset.shape)}, for which the file is too small")
        return np.asarray(dataset[()])
