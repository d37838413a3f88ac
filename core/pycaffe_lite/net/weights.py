"""Parameters from and to .caffemodel files, binary or HDF5."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pycaffe_lite import log
from pycaffe_lite.blob import Blob, shape_text
from pycaffe_lite.formats.encode import blob_bytes, head, with_blobs
from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.net.weights_report import Fitted, report
from pycaffe_lite.proto.caffe_pb2 import NetParameter
from pycaffe_lite.writing import is_hdf5, write_atomically

if TYPE_CHECKING:
    from pycaffe_lite.net import Net


def copy_weights(net: Net, path: str) -> None:
    """Copies the parameters of a weights file into the layers of the same names.

    Layers that the net does not have are passed over with a line in the log; layers that the file does not
    have keep their values. A blob of another shape is taken if it is the same one written with four axes, as
    old files do. At the end the log tells what was copied, reshaped, left out and kept.

    Raises:
        FileError: the file is missing or no weights file.
        CaffeError: a layer has another number of parameters, or one of another shape.
    """
    sources = read_layers(path)
    fitted = copy_layers(net, sources, path)
    names = {layer.name for layer, _ in fitted}
    left_out = [(source.name, len(source.blobs)) for source in sources if source.name not in names]
    log.info(report(net, fitted, left_out, path))


class SourceLayer(Protocol):
    """What a file says of one layer: its name and its parameters, None for one that the file does not have."""

    @property
    def name(self) -> str: ...

    @property
    def blobs(self) -> Sequence[np.ndarray | None]: ...


def read_layers(path: str) -> Sequence[SourceLayer]:
    """The layers of a file of weights; of an HDF5 file if its name ends in .h5, as in Caffe."""
    if is_hdf5(path):
        from pycaffe_lite.formats import hdf5 as hdf5_files

        return hdf5_files.read_weights(path)
    from pycaffe_lite.formats.caffemodel import read_weights

    return read_weights(path)


def copy_layers(net: Net, sources: Sequence[SourceLayer], path: str) -> list[Fitted]:
    """Copies what `read_layers` gave, see `copy_weights`; if one layer does not fit, none is copied."""
    layers = _first_by_name(net)
    fitting = []
    for source in sources:
        if source.name in layers:
            _let_fit(net, layers[source.name], len(source.blobs))
            fitting.append(Fitted(layers[source.name], _fitting(layers[source.name], source.blobs, path)))
        else:
            log.info(f"Ignoring source layer {source.name}")
    for layer, blobs in fitting:
        for blob, values in zip(layer.blobs, blobs, strict=True):
            if values is not None:
                blob.data[...] = values.reshape(blob.shape)
    return fitting


def share_layers(net: Net, other: Net) -> None:
    """Lets the layers of a net use the parameters of another net's layers of the same names.

    Raises:
        CaffeError: two layers of a name have another number of parameters, or ones of another shape.
    """
    layers = _first_by_name(net)
    for source in other.layers:
        if source.name not in layers:
            log.info(f"Ignoring source layer {source.name}")
            continue
        layer = layers[source.name]
        _let_fit(net, layer, len(source.blobs))
        shapes, theirs = ([shape_text(blob.shape) for blob in which.blobs] for which in (layer, source))
        if shapes != theirs:
            raise layer.error(
                f"expected the other net's layer of this name to have parameters of shape "
                f"{' and '.join(shapes) or 'none'}, got {' and '.join(theirs) or 'none'}."
            )
        for blob, own in zip(layer.blobs, source.blobs, strict=True):
            blob.share_data(own)


def _let_fit(net: Net, layer: Layer, count: int) -> None:
    """Tells a layer how many parameters are stored for it, and takes in those that it has made for them."""
    had = len(layer.blobs)
    layer.fit_stored(count)
    if len(layer.blobs) != had:
        net.parameters.replace(layer, had)


def _first_by_name(net: Net) -> dict[str, Layer]:
    """The layers by name; of several with one name the first, as in Caffe."""
    return {layer.name: layer for layer in reversed(net.layers)}


def _fitting(layer: Layer, blobs: Sequence[np.ndarray | None], path: str) -> list[np.ndarray | None]:
    """The arrays of one layer of a weights file, one for each parameter of a layer.

    An HDF5 file has a shared parameter in the first layer alone, so one that this layer shares may be missing.
    """
    given = [*blobs, *[None] * (len(layer.blobs) - len(blobs))]
    missing = [index for index, values in enumerate(given) if values is None and index not in layer.shares]
    if missing or len(given) != len(layer.blobs):
        raise layer.error(
            f"expected {len(layer.blobs)} parameter(s) in {path}, got {sum(values is not None for values in blobs)}; "
            "rename the layer to train it from scratch."
        )
    for index, (blob, values) in enumerate(zip(layer.blobs, given, strict=True)):
        if values is not None and not same_shape(blob, values.shape):
            raise layer.error(
                f"expected parameter {index} in {path} to have shape {shape_text(blob.shape)}, got "
                f"{shape_text(values.shape)}; rename the layer to train it from scratch."
            )
    return given


def same_shape(blob: Blob, shape: tuple[int, ...]) -> bool:
    """Equal, or equal when ours is written with four axes by putting ones before it."""
    return shape == blob.shape or (
        len(shape) == 4 and blob.num_axes < 4 and shape == (1,) * (4 - blob.num_axes) + blob.shape
    )


def write_weights(net: Net, path: str, write_diff: bool = False) -> None:
    """Writes the net's parameters: an HDF5 file if its name ends in .h5, else a binary .caffemodel.

    Args:
        net: the net.
        path: where to; replaced in one step once the new file is complete.
        write_diff: whether the diffs go in too (`snapshot_diff`).
    """
    write_atomically(path, weights_pieces(net, path, write_diff))


def weights_pieces(net: Net, path: str, write_diff: bool = False) -> Iterable[bytes]:
    """The bytes that `write_weights` writes."""
    if is_hdf5(path):
        from pycaffe_lite.formats import hdf5 as hdf5_files

        return [hdf5_files.weights_bytes(net, write_diff)]
    return _binary_pieces(net, write_diff)


def _binary_pieces(net: Net, write_diff: bool) -> Iterator[bytes]:
    """The net with its parameters, the layers' texts included, as Caffe writes it."""
    yield NetParameter(name=net.name).SerializeToString()
    layer_field = NetParameter.DESCRIPTOR.fields_by_name["layer"].number
    for layer in net.layers:
        blobs = [blob_bytes(blob.data, blob.diff if write_diff else None) for blob in layer.blobs]
        body = with_blobs(_text_of(layer), "blobs", blobs)
        yield head(layer_field, sum(map(len, body)))
        yield from body


def _text_of(layer: Layer):  # type: ignore[no-untyped-def]
    """The layer's text without values; a loss states its weight, and statistics that they are not learned."""
    param = type(layer.layer_param)()
    param.CopyFrom(layer.layer_param)
    param.ClearField("blobs")
    if layer.loss_weight and not param.loss_weight:
        param.loss_weight.append(layer.loss_weight)
    if layer.default_lr_mult != 1:
        for _ in range(len(param.param), len(layer.blobs)):
            param.param.add(lr_mult=layer.default_lr_mult)
    return param
