"""The fillers: what a parameter's values are before training.

Values are drawn in the blob's logical C order, whatever its order in memory, and computed in float32, as in
Caffe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, prod

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite import rng
from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import CaffeError, ShapeError
from pycaffe_lite.proto.caffe_pb2 import FillerParameter
from pycaffe_lite.words import did_you_mean

Floats = NDArray[np.float32]
Shape = Sequence[int]
Filler = Callable[[Floats, Shape, FillerParameter], None]


def fill(blob: Blob, filler_param: FillerParameter) -> None:
    """Fills blob.data.

    Args:
        blob: any shape the filler can fill, with at least one element; diff is left alone.
        filler_param: a FillerParameter.

    Raises:
        CaffeError: for an unknown type, numbers the type does not take, or a shape it cannot fill.
    """
    filler = _find(filler_param)
    if blob.count == 0:
        raise ShapeError(f"A filler needs a blob with at least one element, got shape {list(blob.shape)}.")
    data = blob.data
    direct = data.dtype == np.float32 and data.flags.c_contiguous
    values = data.reshape(-1) if direct else np.empty(blob.count, np.float32)
    filler(values, blob.shape, filler_param)
    if not direct:
        data[...] = values.reshape(blob.shape)


def _find(param: FillerParameter) -> Filler:
    if param.type not in _FILLERS:
        hint = did_you_mean(param.type, _FILLERS)
        known = ", ".join(sorted(_FILLERS))
        raise CaffeError(f'Expected a filler type out of {known}, got "{param.type}"{hint}')
    if param.sparse != -1 and param.type != "gaussian":
        raise CaffeError(f'Only a gaussian filler takes sparse, got sparse: {param.sparse} for "{param.type}".')
    return _FILLERS[param.type]


# -- one function a type: it fills `values`, the flat blob, in place ---------------------------------------


def _constant(values: Floats, shape: Shape, param: FillerParameter) -> None:
    """`value` everywhere."""
    values[...] = param.value


def _uniform(values: Floats, shape: Shape, param: FillerParameter) -> None:
    """Uniform from `min` to `max`."""
    rng.uniform(values.size, param.min, param.max, values)


def _gaussian(values: Floats, shape: Shape, param: FillerParameter) -> None:
    """Normal with `mean` and `std`; with `sparse`, each stays with probability sparse / shape[0], or is 0."""
    if param.sparse == -1:
        rng.normal(values.size, param.mean, param.std, values)
        return
    _need_axis(shape, "A sparse gaussian filler")
    if not 0 <= param.sparse <= shape[0]:
        raise CaffeError(f"Expected sparse from 0 to {shape[0]}, the blob's first axis, got {param.sparse}.")
    rng.normal(values.size, param.mean, param.std, values)
    values *= rng.bernoulli(values.size, float(np.float32(param.sparse) / np.float32(shape[0])))


def _positive_unitball(values: Floats, shape: Shape, param: FillerParameter) -> None:
    """Uniform values over their sum, for each index of the first axis."""
    _need_axis(shape, "A positive_unitball filler")
    rng.uniform(values.size, 0, 1, values)
    rows = values.reshape(shape[0], -1)
    # Caffe adds one value after the other, and so does cumsum; sum() adds in pairs, with other roundings.
    rows /= np.cumsum(rows, axis=1)[:, -1:]


def _xavier(values: Floats, shape: Shape, param: FillerParameter) -> None:
    """Uniform from -a to a, a = sqrt(3 / n) (Glorot and Bengio, 2010); n is the fan, see `_fan`."""
    scale = float(np.sqrt(np.float32(3) / _fan(shape, param)))
    rng.uniform(values.size, -scale, scale, values)


def _msra(values: Floats, shape: Shape, param: FillerParameter) -> None:
    """Normal with std = sqrt(2 / n) (He et al., 2015); n is the fan, see `_fan`."""
    std = float(np.sqrt(np.float32(2) / _fan(shape, param)))
    rng.normal(values.size, 0, std, values)


def _bilinear(values: Floats, shape: Shape, param: FillerParameter) -> None:
    """The kernel with which a Deconvolution upsamples bilinearly, the same for all n and c."""
    if len(shape) != 4 or shape[2] != shape[3]:
        raise ShapeError(f"A bilinear filler needs 4 axes and a square kernel, got shape {list(shape)}.")
    factor = ceil(shape[3] / 2)
    centre = np.float32((shape[3] - 1) / (2 * factor))
    places = np.arange(shape[3], dtype=np.float32) / np.float32(factor)
    line = np.float32(1) - np.abs(places - centre)
    values.reshape(shape)[...] = np.outer(line, line)


def _need_axis(shape: Shape, what: str) -> None:
    if not shape:
        raise ShapeError(f"{what} needs a blob with at least one axis, got a scalar.")


def _fan(shape: Shape, param: FillerParameter) -> np.float32:
    """How many inputs an output of the blob sums (fan_in), outputs an input feeds (fan_out), or their mean.

    They are count / shape[0] and count / shape[1], or count for a blob of one axis; `variance_norm` chooses.
    """
    _need_axis(shape, f'A filler of type "{param.type}"')
    count = prod(shape)
    fan_in = count // shape[0]
    fan_out = count // shape[1] if len(shape) > 1 else count
    if param.variance_norm == param.AVERAGE:
        return np.float32(np.float32(fan_in + fan_out) / np.float32(2))
    return np.float32(fan_out if param.variance_norm == param.FAN_OUT else fan_in)


_FILLERS: dict[str, Filler] = {
    "bilinear": _bilinear,
    "constant": _constant,
    "gaussian": _gaussian,
    "msra": _msra,
    "positive_unitball": _positive_unitball,
    "uniform": _uniform,
    "xavier": _xavier,
}
