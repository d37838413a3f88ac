"""caffe.coord_map: which pixel of one blob lies over which of another, and the crop that brings them together.

A map is (axis, scale, shift): from `axis` on, place x of the one blob is place x * scale + shift of the other, where
both may be numbers for each axis. The axis of a map that changes nothing is None.
"""

from __future__ import annotations, division

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.pycaffe.faults import BadName, Unaligned
from pycaffe_lite.pycaffe.net_spec import Function, Top
from pycaffe_lite.pycaffe.net_spec import layers as L

__all__ = [
    "PASS_THROUGH_LAYERS",
    "AxisMismatchException",
    "L",
    "UndefinedMapException",
    "compose",
    "conv_params",
    "coord_map",
    "coord_map_from_to",
    "crop",
    "crop_params",
    "division",
    "inverse",
]

Map = tuple[Any, Any, Any]

PASS_THROUGH_LAYERS = [
    "AbsVal",
    "BatchNorm",
    "Bias",
    "BNLL",
    "Dropout",
    "Eltwise",
    "ELU",
    "Log",
    "LRN",
    "Exp",
    "MVN",
    "Power",
    "ReLU",
    "PReLU",
    "Scale",
    "Sigmoid",
    "Split",
    "TanH",
    "Threshold",
]
"""The types of layers whose tops lie over their bottoms pixel for pixel."""

_IDENTITY: Map = (None, 1, 0)
_ONE_AXIS = {"pad_h", "pad_w", "kernel_h", "kernel_w", "stride_h", "stride_w"}


class UndefinedMapException(CaffeError):
    """A layer of a type that has no map of coordinates."""


class AxisMismatchException(CaffeError):
    """Maps that begin at different axes."""


def conv_params(fn: Function) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """The axis before the spatial ones, and the stride, extent and padding of a layer with a kernel.

    Raises:
        BadName: it has no kernel_size.
        Unaligned: it has kernel_h, kernel_w or the like, for which there is no map.
    """
    inside = [name for name in ("convolution_param", "pooling_param") if name in fn.params]
    params = fn.params[inside[0]] if inside else fn.params
    if one_axis := sorted(_ONE_AXIS & set(params)):
        raise Unaligned(f"A crop is worked out from kernel_size, stride and pad; {fn.type_name} has {one_axis[0]}.")
    if "kernel_size" not in params:
        raise BadName(f"A crop is worked out from kernel_size, which {fn.type_name} has not.")
    sizes, dilation = np.array(params["kernel_size"], ndmin=1), np.array(params.get("dilation", 1), ndmin=1)
    stride, pad = np.array(params.get("stride", 1), ndmin=1), np.array(params.get("pad", 0), ndmin=1)
    return params.get("axis", 1), stride, (sizes - 1) * dilation + 1, pad


def crop_params(fn: Function) -> tuple[int, np.ndarray]:
    """The first axis that a Crop layer cuts, and its offsets."""
    params = fn.params.get("crop_param", fn.params)
    return params.get("axis", 2), np.array(params.get("offset", 0), ndmin=1)


def coord_map(fn: Function) -> Map:
    """The map from a layer's bottom to its top.

    Raises:
        UndefinedMapException: there is none for its type.
    """
    if fn.type_name in ("Convolution", "Pooling", "Im2col"):
        axis, stride, extent, pad = conv_params(fn)
        return axis, 1 / stride, (pad - (extent - 1) / 2) / stride
    if fn.type_name == "Deconvolution":
        axis, stride, extent, pad = conv_params(fn)
        return axis, stride, (extent - 1) / 2 - pad
    if fn.type_name in PASS_THROUGH_LAYERS:
        return _IDENTITY
    if fn.type_name == "Crop":
        axis, offset = crop_params(fn)
        return axis - 1, 1, -offset  # as for convolutions, the axis before the spatial ones
    raise UndefinedMapException(f"There is no map of coordinates for layers of type {fn.type_name}.")


def compose(base_map: Map, next_map: Map) -> Map:
    """The map that does `next_map`, then `base_map`.

    Raises:
        AxisMismatchException: they begin at different axes.
    """
    base_axis, base_scale, base_shift = base_map
    next_axis, next_scale, next_shift = next_map
    if base_axis is not None and next_axis is not None and base_axis != next_axis:
        raise AxisMismatchException(f"A map that begins at axis {base_axis} does not go on one at axis {next_axis}.")
    axis = next_axis if base_axis is None else base_axis
    return axis, base_scale * next_scale, base_scale * next_shift + base_shift


def inverse(coord_map: Map) -> Map:
    """The map back."""
    axis, scale, shift = coord_map
    return axis, 1 / scale, -shift / scale


def coord_map_from_to(top_from: Top, top_to: Top) -> Map:
    """The map between two blobs, through the blob nearest to `top_to` from which both come.

    Raises:
        CaffeError: they come from no common blob through layers that have a map.
    """
    from_maps = dict(_maps_to(top_from))
    for top, to_map in _maps_to(top_to):
        if top in from_maps:
            return compose(to_map, inverse(from_maps[top]))
    raise CaffeError(
        f"There is no map of coordinates from the top of {top_from.fn.type_name} to that of {top_to.fn.type_name}: "
        "they come from no common blob through spatial layers."
    )


def _maps_to(top: Top) -> Iterator[tuple[Top, Map]]:
    """All blobs that a blob comes from, itself the first and the nearest before the others, with the map to it."""
    maps = {top: _IDENTITY}
    frontier = deque([top])
    while frontier:
        current = frontier.popleft()
        yield current, maps[current]
        # The second bottom of a Crop gives it a size and no place.
        bottoms = current.fn.inputs[:1] if current.fn.type_name == "Crop" else current.fn.inputs
        try:
            found = [(bottom, compose(maps[current], coord_map(current.fn))) for bottom in bottoms]
        except UndefinedMapException:
            continue
        new = [(bottom, its_map) for bottom, its_map in found if bottom not in maps]
        maps.update(new)
        frontier.extend(dict(new))


def crop(top_from: Top, top_to: Top) -> Top:
    """A Crop layer that cuts a blob so that it lies over another pixel for pixel.

    Args:
        top_from: what is cut.
        top_to: what it shall lie over.

    Returns:
        the Crop layer's top.

    Raises:
        CaffeError: they come from no common blob.
        Unaligned: they are of different scales, or the offset would be below 0 or no whole number.
    """
    axis, scale, shift = coord_map_from_to(top_from, top_to)
    if not np.all(scale == 1):
        raise Unaligned(f"Expected blobs of the same scale, got one that is {_numbers(scale)} of the other's.")
    offset = 0 - np.array(shift, ndmin=1)
    if not np.all(offset >= 0):
        raise Unaligned(f"A crop takes offsets of 0 or more, got {_numbers(offset)}; more padding before raises them.")
    if not np.all(np.round(offset) == offset):
        raise Unaligned(f"A crop takes offsets that are whole numbers, got {_numbers(offset)}.")
    first = 2 if axis is None else axis + 1  # the first spatial axis
    return L.Crop(top_from, top_to, crop_param={"axis": first, "offset": [int(length) for length in offset]})


def _numbers(values: Any) -> str:
    return " x ".join(f"{value:g}" for value in np.atleast_1d(values))
