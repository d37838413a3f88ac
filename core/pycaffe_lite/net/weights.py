"""Parameters of layers, from and to files of weights and other layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pycaffe_lite import log
from pycaffe_lite.blob import Array, Blob, shape_text
from pycaffe_lite.formats.caffemodel import LayerWeights
from pycaffe_lite.formats.format import format_of
from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.proto.caffe_pb2 import LayerParameter
from pycaffe_lite.words import nearest, short
from pycaffe_lite.writing import write_atomically

_MOST_ROWS = 30
_MOST_NAMES = 5


class Fitted(NamedTuple):
    """A layer, and what a file has for each of its parameters; None for one that it shares."""

    layer: Layer
    blobs: Sequence[Array | None]


# -- into layers -------------------------------------------------------------------------------------------


def copy_weights(layers: Sequence[Layer], path: str) -> None:
    """Copies the parameters of a weights file into the layers of the same names.

    Layers that the net does not have are passed over with a line in the log; layers that the file does not
    have keep their values. A blob of another shape is taken if it is the same one written with four axes, as
    old files do. At the end the log tells what was copied, reshaped, left out and kept; if nothing was copied, a
    warning gives the names that are near.

    Raises:
        FileError: the file is missing or no weights file.
        CaffeError: a layer has another number of parameters, or one of another shape; then none is copied.
    """
    sources = format_of(path).read_weights(path, None)
    fitted = fit(layers, sources, path)
    copy_fitted(fitted)
    if not any(values is not None for _, blobs in fitted for values in blobs):
        _warn_of_nothing(layers, sources, path)
    log.info(_report(layers, fitted, sources, path))


def fit(layers: Sequence[Layer], sources: Sequence[LayerWeights], path: str) -> list[Fitted]:
    """The layers that a file has parameters for, with these; see `copy_weights`, which copies them."""
    by_name = _first_by_name(layers)
    fitted = []
    for source in sources:
        if source.name in by_name:
            by_name[source.name].fit_stored(len(source.blobs))
            fitted.append(Fitted(by_name[source.name], _fitting(by_name[source.name], source.blobs, path)))
        else:
            log.info(f"Ignoring source layer {source.name}", "net.cpp:746")
    return fitted


def copy_fitted(fitted: Sequence[Fitted]) -> None:
    """Copies what `fit` has found."""
    for layer, blobs in fitted:
        for blob, values in zip(layer.blobs, blobs, strict=True):
            if values is not None:
                blob.data[...] = values.reshape(blob.shape)


def share_layers(layers: Sequence[Layer], others: Sequence[Layer]) -> None:
    """Lets layers use the parameters of another net's layers of the same names.

    Raises:
        CaffeError: two layers of a name have another number of parameters, or ones of another shape.
    """
    by_name = _first_by_name(layers)
    for source in others:
        if source.name not in by_name:
            log.info(f"Ignoring source layer {source.name}", "net.cpp:678")
            continue
        layer = by_name[source.name]
        layer.fit_stored(len(source.blobs))
        shapes, theirs = ([shape_text(blob.shape) for blob in which.blobs] for which in (layer, source))
        if shapes != theirs:
            raise layer.error(
                f"expected the other net's layer of this name to have parameters of shape "
                f"{' and '.join(shapes) or 'none'}, got {' and '.join(theirs) or 'none'}."
            )
        for blob, own in zip(layer.blobs, source.blobs, strict=True):
            blob.share_data(own)


def _first_by_name(layers: Sequence[Layer]) -> dict[str, Layer]:
    """The layers by name; of several with one name the first, as in Caffe."""
    return {layer.name: layer for layer in reversed(layers)}


def _fitting(layer: Layer, blobs: Sequence[Array | None], path: str) -> Sequence[Array | None]:
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


# -- out of layers -----------------------------------------------------------------------------------------


def write_weights(layers: Sequence[Layer], net: str, path: str) -> None:
    """Writes the layers with their parameters: an HDF5 file if its name ends in .h5, else a binary .caffemodel.

    Args:
        layers: all of a net.
        net: its name.
        path: where to; replaced in one step once the new file is complete.
    """
    write_atomically(path, format_of(path).weights_pieces(weights_of(layers), net))


def weights_of(layers: Sequence[Layer], diffs: bool = False) -> list[LayerWeights]:
    """What a file of weights says of layers; the arrays are the layers' own.

    Args:
        layers: all of a net.
        diffs: whether the parameters' diffs are to be written, too (`snapshot_diff`).
    """
    return [
        LayerWeights(
            layer.name,
            layer.type,
            [blob.data for blob in layer.blobs],
            _text_of(layer),
            [blob.diff for blob in layer.blobs] if diffs else (),
            tuple(layer.shares),
        )
        for layer in layers
    ]


def _text_of(layer: Layer) -> LayerParameter:
    """The layer's text without values; a loss states its weight, and statistics that they are not learned."""
    param = LayerParameter()
    param.CopyFrom(layer.layer_param)
    param.ClearField("blobs")
    if layer.loss_weight and not param.loss_weight:
        param.loss_weight.append(layer.loss_weight)
    if layer.default_lr_mult != 1:
        for _ in range(len(param.param), len(layer.blobs)):
            param.param.add(lr_mult=layer.default_lr_mult)
    return param


# -- what the log says once weights are copied ---------------------------------------------------------------


def _report(layers: Sequence[Layer], fitted: Sequence[Fitted], sources: Sequence[LayerWeights], path: str) -> str:
    """A line that counts, and below it a table of what is not plainly copied, which a user might not expect."""
    copied = [entry for entry in fitted if entry.blobs]
    taken, names = {id(entry.layer) for entry in fitted}, {entry.layer.name for entry in fitted}
    kept = [layer for layer in layers if id(layer) not in taken and len(layer.blobs) > len(layer.shares)]
    ignored = [source for source in sources if source.name not in names and source.blobs]
    parameters = sum(values is not None for entry in copied for values in entry.blobs)
    head = f"Weights of {path}: copied {_count(parameters, 'parameter')} of {_count(len(copied), 'layer')}"
    if kept:
        head += f"; {_count(len(kept), 'layer')} of the net not in the file"
    if ignored:
        head += f"; {_count(len(ignored), 'layer')} of the file not in the net"
    rows = [
        *_reshaped(copied),
        *(f"not in the file   {_named(layer)} keeps its values, of fillers or earlier weights" for layer in kept),
        *(f'left out          "{short(each.name)}", {_count(len(each.blobs), "parameter")}' for each in ignored),
    ]
    more = [f"and {len(rows) - _MOST_ROWS} more"] if len(rows) > _MOST_ROWS else []
    return "\n    ".join([head + ".", *rows[:_MOST_ROWS], *more])


def _warn_of_nothing(layers: Sequence[Layer], sources: Sequence[LayerWeights], path: str) -> None:
    """A warning that weights have changed nothing in a net that has parameters, and which names may be meant."""
    ours = [layer.name for layer in layers if len(layer.blobs) > len(layer.shares)]
    theirs = [source.name for source in sources if source.blobs]
    if not ours:
        return
    pairs = [(name, close) for name in ours if (close := nearest(name, theirs))]
    if not theirs:
        why = "it has no parameters"
    elif pairs:
        meant = [f'"{short(name)}" of the net may be "{short(close)}" of the file' for name, close in pairs]
        why = f"no layer with parameters has the same name in both; {_some(meant)}"
    else:
        net, file = (_some([f'"{short(name)}"' for name in each]) for each in (ours, theirs))
        why = f"no layer with parameters has the same name in both; those of the net are {net}, of the file {file}"
    log.warning(f"Nothing was copied from {path}: {why}.")


def _some(texts: Sequence[str]) -> str:
    """The first few of them, in one line."""
    rest = len(texts) - _MOST_NAMES
    return ", ".join([*texts[:_MOST_NAMES], *([f"and {rest} more"] if rest > 0 else [])])


def _reshaped(copied: Sequence[Fitted]) -> Iterator[str]:
    for layer, blobs in copied:
        for index, (blob, values) in enumerate(zip(layer.blobs, blobs, strict=True)):
            if values is not None and values.shape != blob.shape:
                shapes = f"{shape_text(values.shape)} to {shape_text(blob.shape)}"
                yield f"reshaped          {_named(layer)}, parameter {index}: {shapes}"


def _named(layer: Layer) -> str:
    return f'"{short(layer.name)}" ({layer.type})'


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
