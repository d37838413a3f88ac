"""Reading weights from binary files: .caffemodel, .solverstate and .binaryproto, of Caffe and of its forks.

Forks reuse numbers of the schema for other things, so these files are not read through all of it, but
through the little that all forks share: layers with a name, a type and blobs, in three historical forms.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from pycaffe_lite.errors import FileError
from pycaffe_lite.formats.blobproto import Unfit, Values, blob_of
from pycaffe_lite.formats.wire import BYTES, VARINT, Malformed, Part, parts, signed
from pycaffe_lite.paths import not_found, unreadable
from pycaffe_lite.proto.caffe_pb2 import V1LayerParameter
from pycaffe_lite.proto.upgrade_v0 import V0_TYPES
from pycaffe_lite.proto.upgrade_v1 import type_name

T = TypeVar("T")

LARGEST = 2**31 - 1  # protobuf's own limit
_PIECE = 2**16
_MOST = 100_000  # layers in a file, or blobs in a layer: far more than nets have


class LayerWeights(NamedTuple):
    """What a file says of one layer.

    Attributes:
        name: the layer's name.
        type: its type by its present name, such as `Convolution`, also in old files; for a V1 type that only
            a fork knows, its number.
        blobs: its parameters: float32, or float64 or float16 where the file has them so, of the shape the
            file gives, which has four axes in old files. They are read-only views of the file's bytes.
    """

    name: str
    type: str
    blobs: list[Values]


class StateFile(NamedTuple):
    """A .solverstate: the iteration, the file of weights, the step of `multistep`, the update's history."""

    iter: int
    learned_net: str
    current_step: int
    history: list[Values]


def read_weights(path: str) -> list[LayerWeights]:
    """The layers of a .caffemodel, in order.

    Raises:
        FileError: the file is missing, unreadable, truncated, or not a file of weights.
    """
    return _read(path, "weights (.caffemodel)", _layers)


def read_state(path: str) -> StateFile:
    """The contents of a .solverstate.

    Raises:
        FileError: the file is missing, unreadable, truncated, or not a solver's state.
    """
    return _read(path, "a solver's state (.solverstate)", _state)


def read_blob(path: str) -> Values:
    """The array of a .binaryproto, such as a mean image.

    Raises:
        FileError: the file is missing, unreadable, truncated, or not a blob.
    """
    return _read(path, "a blob (.binaryproto)", _single_blob)


# -- the bytes of a file -----------------------------------------------------------------------------------


def _read(path: str, what: str, decode: Callable[[bytes], T]) -> T:
    """Reads a file and decodes it; whatever is wrong with it becomes one sentence."""
    path = os.fspath(path)
    data = file_bytes(path, what)
    try:
        return decode(data)
    except Malformed as problem:
        which = "is truncated, or not" if problem.truncated else "is not"
        reason = f"what begins at byte {problem.offset} is not in its form"
        raise _not_of_kind(path, which, what, data, reason) from None
    except Unfit as problem:
        raise _not_of_kind(path, "is not", what, data, str(problem)) from None


def _not_of_kind(path: str, which: str, what: str, data: bytes, reason: str) -> FileError:
    kind = _kind(data)
    if kind:
        return FileError(f"{path} is not a file of {what}: it holds {kind}.")
    return FileError(f"{path} {which} a file of {what}: {reason}.")


def file_bytes(path: str, what: str) -> bytes:
    """All bytes of a file.

    Args:
        path: the file, or a pipe.
        what: what it should be, for messages.

    Raises:
        FileError: the file is missing, unreadable, empty, a device, or larger than 2 GiB.
    """
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if stat.S_ISCHR(status.st_mode):
                raise FileError(f"{path} is a device, expected a file of {what}.")
            pieces, length = [file.read(min(status.st_size, LARGEST))], status.st_size
            while length <= LARGEST and (piece := file.read(_PIECE)):  # what a pipe brings
                pieces.append(piece)
                length += len(piece)
            data = b"".join(pieces)
    except MemoryError:
        raise FileError(f"{path} does not fit into memory.") from None
    except FileNotFoundError:
        raise FileError(not_found(path, "file", [os.path.abspath(path)])) from None
    except (OSError, ValueError) as problem:
        raise FileError(f"Cannot read {path}: {unreadable(problem)}.") from None
    if length > LARGEST:
        raise FileError(f"{path} is larger than 2 GiB, which no file of {what} is.")
    if not data:
        raise FileError(f"{path} is empty; expected {what}.")
    return data


_MAGIC = (
    (b"\x89HDF", "HDF5 data; name it with .h5 at the end"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip data; unpack it first"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"version https://git-lfs", "a Git LFS pointer; fetch the file itself"),
)


def _kind(data: bytes) -> str:
    """What a file is that is not what it should be, where that can be seen; else nothing."""
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return kind
    head = data[:512]
    if head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        return "a web page; download the file itself"
    if head.isascii() and all(byte >= 32 or byte in b"\t\n\r\f" for byte in head):
        return "text"
    if data[0] == 0 and data.count(0) == len(data):
        return "nothing but zeros"
    return ""


# -- nets and states ---------------------------------------------------------------------------------------

# Where a layer's parts are in the three forms.
_NAME, _TYPE, _BLOBS = "name", "type", "blobs"
_V2 = {1: _NAME, 2: _TYPE, 7: _BLOBS}
_V1 = {4: _NAME, 5: _TYPE, 6: _BLOBS}
_V0 = {1: _NAME, 2: _TYPE, 50: _BLOBS}
_V0_LAYER = 1  # within a V1 layer


def _single_blob(data: bytes) -> Values:
    values = blob_of(data, 0, len(data))
    if not values.size:
        raise Unfit("it has no values")
    return values


def _layers(data: bytes) -> list[LayerWeights]:
    layers = []
    for part in parts(data, 0, len(data)):
        if part.number == 1 and part.wire == VARINT:
            raise Unfit("it looks like a solver's state (.solverstate) or a mean (.binaryproto)")
        if part.number in (2, 100) and part.wire == BYTES:
            layers.append(_layer(data, part, _V2 if part.number == 100 else _V1))
        if len(layers) > _MOST:
            raise Unfit("it has more layers than any net")
    if not layers:
        raise Unfit("it has no layers")
    return layers


def _layer(data: bytes, whole: Part, form: dict[int, str]) -> LayerWeights:
    name, kind, blobs = "", "", list[Values]()
    for part in parts(data, whole.start, whole.stop):
        role = form.get(part.number)
        if role == _NAME and part.wire == BYTES:
            name = _text(data, part)
        elif role == _TYPE:
            kind = _v1_type(part.value) if part.wire == VARINT else _text(data, part)
        elif role == _BLOBS and part.wire == BYTES:
            blobs.append(_blob(data, part, name, len(blobs)))
        elif form is _V1 and part.number == _V0_LAYER and part.wire == BYTES:
            inner = _layer(data, part, _V0)
            name, kind, blobs = inner.name, _v0_type(inner.type), blobs + inner.blobs
        if len(blobs) > _MOST:
            raise Unfit(f'layer "{name}" has more blobs than any layer')
    return LayerWeights(name, kind, blobs)


def _blob(data: bytes, part: Part, layer: str, index: int) -> Values:
    try:
        return blob_of(data, part.start, part.stop)
    except Unfit as problem:
        raise Unfit(f'in layer "{layer}", blob {index}, {problem}') from None


def _text(data: bytes, part: Part) -> str:
    return data[part.start : part.stop].decode("utf-8", "backslashreplace")


def _v1_type(number: int) -> str:
    known = number in V1LayerParameter.LayerType.values()
    return type_name(number) if known else str(number)


def _v0_type(name: str) -> str:
    return type_name(V1LayerParameter.LayerType.Value(V0_TYPES[name])) if name in V0_TYPES else name


def _state(data: bytes) -> StateFile:
    state, known = StateFile(0, "", 0, []), False
    for part in parts(data, 0, len(data)):
        if part.number == 1 and part.wire == VARINT:
            state, known = state._replace(iter=signed(part.value)), True
        elif part.number == 2 and part.wire == BYTES:
            state = state._replace(learned_net=_text(data, part))
        elif part.number == 3 and part.wire == BYTES:
            state.history.append(blob_of(data, part.start, part.stop))
        elif part.number == 4 and part.wire == VARINT:
            state = state._replace(current_step=signed(part.value))
        elif part.number <= 4:
            raise Unfit("it has other fields than a solver's state")
        if len(state.history) > _MOST:
            raise Unfit("it has more history than any solver's state")
    if not known:
        raise Unfit("it does not say which iteration it is of")
    return state
