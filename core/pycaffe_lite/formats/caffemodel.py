"""The binary .caffemodel, of Caffe and of its forks: a net's layers with their parameters.

Forks reuse numbers of the schema for other things, so these files are not read through all of it, but
through the little that all forks share: layers with a name, a type and blobs, in three historical forms.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from pycaffe_lite.formats.blobproto import Values, blob_of, blob_pieces, with_blobs
from pycaffe_lite.formats.reading import MOST, Check, Unfit
from pycaffe_lite.formats.wire import BYTES, VARINT, Part, head, parts, read_message, text_of
from pycaffe_lite.proto.caffe_pb2 import LayerParameter, NetParameter, V1LayerParameter
from pycaffe_lite.proto.upgrade_v0 import V0_TYPES
from pycaffe_lite.proto.upgrade_v1 import type_name


class LayerWeights(NamedTuple):
    """What a file says, or is to say, of one layer.

    Attributes:
        name: the layer's name.
        type: its type by its present name, such as `Convolution`, also in old files; for a V1 type that only
            a fork knows, its number; nothing in HDF5 files, which do not have it.
        blobs: its parameters, None for one that the file does not have. Of a file: float32, or float64 or float16
            where the file has them so, of the shape the file gives, which has four axes in old files; those of a
            binary file are read-only views of its bytes.
        text: what else is to be written of the layer; None in what was read.
        diffs: the parameters' diffs, if they are to be written.
        shared: the numbers of the parameters that an earlier layer has, too: HDF5 files have them there alone.
    """

    name: str
    type: str
    blobs: Sequence[Values | None]
    text: LayerParameter | None = None
    diffs: Sequence[Values] = ()
    shared: Collection[int] = ()


def weights_pieces(layers: Sequence[LayerWeights], net: str) -> Iterator[bytes]:
    """The bytes of a file, as Caffe writes it: a net of that name and its layers, their texts included."""
    yield NetParameter(name=net).SerializeToString()
    for layer in layers:
        pairs = zip_longest(layer.blobs, layer.diffs)
        blobs = [blob_pieces(data, diff) for data, diff in pairs if data is not None]
        body = with_blobs(layer.text or LayerParameter(name=layer.name, type=layer.type), "blobs", blobs)
        yield head(_LAYER, sum(map(len, body)))
        yield from body


def read_weights(path: str, check: Check | None = None) -> list[LayerWeights]:
    """The layers of a file, in order.

    Raises:
        FileError: the file is missing, unreadable, truncated, or not a file of weights.
    """
    return read_message(os.fspath(path), "weights (.caffemodel)", _layers, check)


_LAYER, _V1_LAYER = 100, 2
# Where a layer's parts are in the three forms.
_NAME, _TYPE, _BLOBS = "name", "type", "blobs"
_V2 = {1: _NAME, 2: _TYPE, 7: _BLOBS}
_V1 = {4: _NAME, 5: _TYPE, 6: _BLOBS}
_V0 = {1: _NAME, 2: _TYPE, 50: _BLOBS}
_V0_LAYER = 1  # within a V1 layer


def _layers(data: bytes) -> list[LayerWeights]:
    layers = []
    for part in parts(data, 0, len(data)):
        if part.number == 1 and part.wire == VARINT:
            raise Unfit("it looks like a solver's state (.solverstate) or a mean (.binaryproto)")
        if part.number in (_V1_LAYER, _LAYER) and part.wire == BYTES:
            layers.append(_layer(data, part, _V2 if part.number == _LAYER else _V1))
        if len(layers) > MOST:
            raise Unfit("it has more layers than any net")
    if not layers:
        raise Unfit("it has no layers")
    return layers


def _layer(data: bytes, whole: Part, form: dict[int, str]) -> LayerWeights:
    name, kind, blobs = "", "", list[Values | None]()
    for part in parts(data, whole.start, whole.stop):
        role = form.get(part.number)
        if role == _NAME and part.wire == BYTES:
            name = text_of(data, part)
        elif role == _TYPE:
            kind = _v1_type(part.value) if part.wire == VARINT else text_of(data, part)
        elif role == _BLOBS and part.wire == BYTES:
            blobs.append(_blob(data, part, name, len(blobs)))
        elif form is _V1 and part.number == _V0_LAYER and part.wire == BYTES:
            inner = _layer(data, part, _V0)
            name, kind, blobs = inner.name, _v0_type(inner.type), [*blobs, *inner.blobs]
        if len(blobs) > MOST:
            raise Unfit(f'layer "{name}" has more blobs than any layer')
    return LayerWeights(name, kind, blobs)


def _blob(data: bytes, part: Part, layer: str, index: int) -> Values:
    try:
        return blob_of(data, part.start, part.stop)
    except Unfit as problem:
        raise Unfit(f'in layer "{layer}", blob {index}, {problem}') from None


def _v1_type(number: int) -> str:
    known = number in V1LayerParameter.LayerType.values()
    return type_name(number) if known else str(number)


def _v0_type(name: str) -> str:
    return type_name(V1LayerParameter.LayerType.Value(V0_TYPES[name])) if name in V0_TYPES else name
