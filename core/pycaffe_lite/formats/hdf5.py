"""Weights and solver states as HDF5 files, laid out as Caffe lays them out.

X.caffemodel.h5      /data/<layer>/<i>, and with snapshot_diff /diff/<layer>/<i>; a group for every layer,
                     also those without parameters; a parameter that layers share stands with the first one
X.solverstate.h5     /iter and /current_step, one int32 each; /learned_net, a text; /history/<i>
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.data.sources.hdf5 import h5py_module, reason
from pycaffe_lite.errors import CaffeError, FileError
from pycaffe_lite.formats.caffemodel import StateFile, file_bytes
from pycaffe_lite.formats.hdf5_claims import DENSEST

if TYPE_CHECKING:
    from pycaffe_lite.net import Net

T = TypeVar("T")

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_MOST = 100_000  # groups in a file, or blobs in a layer: far more than nets have
_DEEPEST = 32


class HDF5Layer(NamedTuple):
    """What a file says of one layer: its name, and its parameters; None where one is not in the file."""

    name: str
    blobs: list[np.ndarray | None]


# -- writing -----------------------------------------------------------------------------------------------


def weights_bytes(net: Net, write_diff: bool = False) -> bytes:
    """The file of a net's parameters.

    Raises:
        MissingExtra: h5py is not installed.
    """

    def fill(file: Any) -> None:
        for kind in ("data", "diff") if write_diff else ("data",):
            whole = file.create_group(kind)
            for layer in net.layers:
                group = whole.require_group(layer.name)
                for index, blob in enumerate(layer.blobs):
                    if kind == "diff" or index not in layer.shares:
                        group.create_dataset(str(index), data=getattr(blob, kind))

    return _image(fill)


def state_bytes(iteration: int, current_step: int, learned_net: str, history: Sequence[Blob]) -> bytes:
    """The file of a solver's state.

    Raises:
        MissingExtra: h5py is not installed.
    """

    def fill(file: Any) -> None:
        for name, number in (("iter", iteration), ("current_step", current_step)):
            file.create_dataset(name, data=np.array([number], "<i4"))
        _write_text(file, "learned_net", os.fsencode(learned_net) + b"\0")
        group = file.create_group("history")
        for index, blob in enumerate(history):
            group.create_dataset(str(index), data=blob.data)

    return _image(fill)


def _image(fill: Callable[[Any], None]) -> bytes:
    """The bytes of an HDF5 file, made in memory."""
    h5py = h5py_module("HDF5 snapshots")
    with h5py.File("image", "w", driver="core", backing_store=False) as file:
        fill(file)
        file.flush()
        image: bytes = file.id.get_file_image()
    return image


def _write_text(file: Any, name: str, text: bytes) -> None:
    """A scalar string with an end mark, as C programs read it."""
    h5py = h5py_module("HDF5 snapshots")
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(len(text))
    space = h5py.h5s.create(h5py.h5s.SCALAR)
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    how.set_obj_track_times(False)  # equal states give equal bytes
    dataset = h5py.h5d.create(file.id, name.encode(), kind, space, how)
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array(text, f"S{len(text)}"), kind)


# -- reading -----------------------------------------------------------------------------------------------


def read_weights(path: str) -> list[HDF5Layer]:
    """The layers of a .caffemodel.h5, in the file's own order, which is alphabetical.

    Raises:
        FileError: the file is missing, damaged, or not a file of weights.
        MissingExtra: h5py is not installed.
    """

    def decode(reader: _Reader) -> list[HDF5Layer]:
        return [HDF5Layer(name, reader.blobs(group)) for name, group in reader.groups("data")]

    return _read(path, "weights (.caffemodel.h5)", decode)


def read_state(path: str) -> StateFile:
    """The contents of a .solverstate.h5.

    Raises:
        FileError: the file is missing, damaged, or not a solver's state.
        MissingExtra: h5py is not installed.
    """

    def decode(reader: _Reader) -> StateFile:
        ((_, history), *_) = reader.groups("history")
        blobs = [blob for blob in reader.blobs(history) if blob is not None]
        return StateFile(reader.integer("iter"), reader.text("learned_net"), reader.integer("current_step"), blobs)

    return _read(path, "a solver's state (.solverstate.h5)", decode)


class _Unfit(Exception):
    """The file is not of the form it should have."""


def _read(path: str, what: str, decode: Callable[[_Reader], T]) -> T:
    path = os.fspath(path)
    data = file_bytes(path, what)
    if not data.startswith(SIGNATURE):
        raise FileError(f"{path} is not a file of {what}: it is no HDF5 file, as its name says.")
    h5py = h5py_module("HDF5 snapshots")
    try:
        with h5py.File(h5py.h5f.open_file_image(data)) as file:
            return decode(_Reader(file, h5py, len(data)))
    except CaffeError:
        raise
    except _Unfit as problem:
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
            raise _Unfit(f"it has no group /{name}")
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
            if depth > _DEEPEST or count > _MOST:
                raise _Unfit("it has more groups than nets have layers")
            if path and (len(inner) < len(children) or not children):
                yield path, group
            pending += [(f"{path}/{key}".lstrip("/"), child, depth + 1) for key, child in inner]

    def blobs(self, group: Any) -> list[np.ndarray | None]:
        """The datasets "0", "1", … of a group, None for those that are missing."""
        numbers = {int(key): key for key in group if key.isascii() and key.isdigit() and len(key) < 7}
        if numbers and max(numbers) > _MOST:
            raise _Unfit(f"{group.name} has more blobs than any layer")
        found: list[np.ndarray | None] = [None] * (max(numbers, default=-1) + 1)
        for number, key in numbers.items():
            dataset = self._own(group, key)
            if isinstance(dataset, self.h5py.Dataset):
                found[number] = self._values(dataset)
        return found

    def integer(self, name: str) -> int:
        dataset = self._own(self.file, name)
        if not isinstance(dataset, self.h5py.Dataset) or dataset.size != 1 or dataset.dtype.kind not in "iu":
            raise _Unfit(f"it has no integer /{name}")
        return int(self._values(dataset).reshape(-1)[0])

    def text(self, name: str) -> str:
        dataset = self._own(self.file, name)
        if not isinstance(dataset, self.h5py.Dataset) or dataset.shape != () or dataset.dtype.kind not in "SO":
            raise _Unfit(f"it has no text /{name}")
        value = dataset[()]
        text = value if isinstance(value, str) else bytes(value).decode("utf-8", "backslashreplace")
        return text.split("\0")[0]

    def _own(self, group: Any, name: str) -> Any:
        """What stands under a name, if it is in this file; links elsewhere are not followed."""
        link = group.get(name, getlink=True)
        return group[name] if isinstance(link, self.h5py.HardLink) else None

    def _values(self, dataset: Any) -> np.ndarray:
        """All values; their number is believed only as far as the file's size allows."""
        if dataset.dtype.kind not in "fiu":
            raise _Unfit(f"{dataset.name} holds {dataset.dtype}, expected numbers")
        nbytes = prod(dataset.shape) * dataset.dtype.itemsize
        self.left -= nbytes
        stored = dataset.id.get_storage_size()
        if self.left < 0 or nbytes > stored * DENSEST or (dataset.chunks is None and nbytes > stored):
            raise _Unfit(f"{dataset.name} claims a shape of {list(dataset.shape)}, for which the file is too small")
        return np.asarray(dataset[()])
