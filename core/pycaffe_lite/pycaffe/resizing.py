"""Images in another size, with the numbers of scikit-image and SciPy, which Caffe calls for it.

The two orders of interpolation that are common, nearest and linear, are a matrix for each axis, so an image is resized
by two products, with no need of either. Where scikit-image is installed it does the work, as in Caffe: its versions
differ in when they smooth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.pycaffe.faults import BadValue

Image = NDArray[Any]
Lengths = Sequence[int] | NDArray[np.integer]

_TRUNCATE = 4.0  # where SciPy ends a Gaussian, in deviations


def resize(image: Image, output_shape: Lengths, order: int = 1, mode: str = "constant", **options: Any) -> Image:
    """An image in another size: `skimage.transform.resize`.

    Pixels are areas, beyond the edge there is black, and whatever gets smaller is smoothed before.

    Args:
        image: H x W, or H x W x K with any K; floating-point values in any range, or integers, whose range becomes
            0 to 1.
        output_shape: height and width.
        order: of the interpolation: 0 nearest, 1 linear; 2 to 5 need scikit-image.
        mode: what lies beyond the edge; others than "constant", which is 0, need scikit-image.
        options: others of scikit-image, which they need.

    Raises:
        BadValue: a shape that is none, or what needs scikit-image where that is not installed.
    """
    height, width = _height_width(output_shape)
    if np.ndim(image) not in (2, 3) or 0 in np.shape(image):
        raise BadValue(f"Expected an image, H x W or H x W x K, got an array of shape {list(np.shape(image))}.")
    try:
        from skimage import transform
    except ImportError:
        if order in (0, 1) and mode == "constant" and not options:
            return _resized(_floating(np.asarray(image)), height, width, order)
        raise BadValue(
            f"Resizing with order {order}, mode {mode!r} and further options needs scikit-image: "
            "pip install scikit-image."
        ) from None
    return transform.resize(image, (height, width, *np.shape(image)[2:]), order=order, mode=mode, **options)


def zoom(image: Image, factors: Sequence[float], order: int = 1) -> Image:
    """An array with its axes longer or shorter, the first and last values staying in place: `scipy.ndimage.zoom`.

    Args:
        image: of any number of axes.
        factors: for each axis, by how much it grows.
        order: of the interpolation: 0 nearest, 1 linear; 2 to 5 need SciPy.

    Raises:
        BadValue: not as many factors as axes, or an order that needs SciPy where that is not installed.
    """
    if len(factors) != image.ndim:
        raise BadValue(f"Expected a factor for each of {image.ndim} axes, got {len(factors)}.")
    if order in (0, 1):  # here, where rounding does not put the last value beyond the edge, as SciPy's does
        return _zoomed(image, factors, order)
    try:
        from scipy import ndimage
    except ImportError:
        raise BadValue(f"Zooming with order {order} needs SciPy: pip install scipy.") from None
    return ndimage.zoom(image, factors, order=order)


def _height_width(shape: Lengths) -> tuple[int, int]:
    lengths = [int(length) for length in shape]
    if len(lengths) < 2 or min(lengths) < 1:
        raise BadValue(f"Expected a height and a width of 1 or more, got {lengths}.")
    return lengths[0], lengths[1]


def _floating(image: Image) -> Image:
    if np.issubdtype(image.dtype, np.integer):
        return image / np.iinfo(image.dtype).max
    return image if image.dtype in (np.float32, np.float64) else image.astype(np.float32)


def _resized(image: Image, height: int, width: int, order: int) -> Image:
    """Rows, then columns; never beyond the range of the image's own values, but for the black around it."""
    rows = _along(image, _resizing(image.shape[0], height, order), 0)
    result = _along(rows, _resizing(image.shape[1], width, order), 1)
    return np.where(result == 0, result, np.clip(result, image.min(), image.max()))


def _zoomed(image: Image, factors: Sequence[float], order: int) -> Image:
    result = image
    for axis, factor in enumerate(factors):
        length = image.shape[axis]
        new = round(length * factor)
        step = (length - 1) / (new - 1) if new > 1 else 0.0
        if new != length:
            result = _along(result, _taps(np.arange(new) * step, length, order, np.ones(1)), axis)
    if image.dtype.kind in "iu":  # to the nearest whole number, half of one away from 0
        result = np.trunc(result + np.copysign(0.5, result))
    return result.astype(image.dtype)


def _resizing(length: int, new: int, order: int) -> NDArray[np.float64]:
    """The matrix, new x length, that takes a row of pixels to one of another length."""
    factor = length / new
    deviation = max(0.0, (factor - 1) / 2)
    reach = np.arange(-(radius := int(_TRUNCATE * deviation + 0.5)), radius + 1)
    gaussian = np.exp(-0.5 * (reach / deviation) ** 2) if radius else np.ones(1)
    return _taps((np.arange(new) + 0.5) * factor - 0.5, length, order, gaussian / gaussian.sum())


def _taps(places: NDArray[Any], length: int, order: int, kernel: NDArray[Any]) -> NDArray[np.float64]:
    """The matrix that reads values smoothed by a kernel at places between them; beyond the ends there is 0."""
    matrix = np.zeros((len(places), length))
    first = np.floor(places if order else places + 0.5).astype(int)
    part = places - first if order else np.zeros(len(places))
    rows = np.broadcast_to(np.arange(len(places))[:, np.newaxis], (len(places), len(kernel)))
    for tap, weight in ((first, 1 - part), (first + 1, part)):
        columns = tap[:, np.newaxis] + np.arange(len(kernel)) - len(kernel) // 2
        weights = np.where((tap >= 0) & (tap < length), weight, 0)[:, np.newaxis] * kernel
        inside = (columns >= 0) & (columns < length)
        matrix[rows[inside], columns[inside]] += weights[inside]
    return matrix


def _along(image: Image, matrix: NDArray[np.float64], axis: int) -> Image:
    """A matrix times an image along one of its axes, in the image's precision."""
    dtype = image.dtype if image.dtype == np.float32 else np.dtype(np.float64)
    product = np.tensordot(matrix.astype(dtype), image.astype(dtype, copy=False), (1, axis))
    return np.moveaxis(product, 0, axis)
