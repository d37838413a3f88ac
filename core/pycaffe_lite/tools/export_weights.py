"""The parameters of a weights file as a file of plain arrays: npz, or safetensors."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping

import numpy as np

from pycaffe_lite import log
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.formats.format import format_of
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST
from pycaffe_lite.writing import write_atomically

ENDINGS = (".npz", ".safetensors")

_SAFE = {"float16": "F16", "float32": "F32", "float64": "F64"}


def export_weights(weights: str, path: str, model: str | None = None) -> int:
    """Writes the parameters of a .caffemodel or HDF5 file, each under `layer/index`.

    Args:
        weights: the file.
        path: where to; its ending, one of ENDINGS, says in what form.
        model: a net; then the parameters are those of its layers, in their shapes, and what the file does not have is
            an error. Default: what the file has, in the shapes it has.

    Returns:
        how many parameters have been written.

    Raises:
        CaffeError: the file cannot be read or does not fit the model, or there is nothing to write.
    """
    arrays = _of_file(weights) if model is None else _of_model(model, weights)
    if not arrays:
        raise CaffeError(f"{weights}: expected layers with parameters, got none; there is nothing to write.")
    if path.endswith(".npz"):
        file = io.BytesIO()
        np.savez(file, **arrays)  # type: ignore[arg-type]
        write_atomically(path, [file.getvalue()])
    else:
        write_atomically(path, safetensors(arrays))
    return len(arrays)


def _of_file(weights: str) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    seen: set[str] = set()
    for layer in format_of(weights).read_weights(weights, None):
        if layer.name in seen and len(layer.blobs):
            log.warning(f'{weights}: there is a second layer "{layer.name}"; the first one is written.')
            continue
        seen.add(layer.name)
        arrays.update({f"{layer.name}/{i}": blob for i, blob in enumerate(layer.blobs) if blob is not None})
    return arrays


def _of_model(model: str, weights: str) -> dict[str, np.ndarray]:
    in_file = {layer.name for layer in format_of(weights).read_weights(weights, None)}
    net = Net(model, TEST, weights=weights)
    try:
        for layer in net.layers:
            if len(layer.blobs) > len(layer.shares) and layer.name not in in_file:
                raise layer.error(f"expected its parameters in {weights}, which has no layer of this name.")
        return {
            f"{layer.name}/{i}": blob.data
            for layer in net.layers
            for i, blob in enumerate(layer.blobs)
            if i not in layer.shares
        }
    finally:
        net.close()


def safetensors(arrays: Mapping[str, np.ndarray]) -> Iterator[bytes]:
    """The bytes of a safetensors file: the length of the header, the header as JSON, the arrays one after another.

    Source: the format's description, https://huggingface.co/docs/safetensors.
    """
    header: dict[str, object] = {"__metadata__": {"format": "caffe"}}
    end = 0
    for name, array in arrays.items():
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": _SAFE[array.dtype.name], "shape": list(array.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogateescape")
    text += b" " * (-len(text) % 8)  # so that the arrays begin at a multiple of 8
    yield len(text).to_bytes(8, "little") + text
    for array in arrays.values():
        yield np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
