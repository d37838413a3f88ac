"""A contact sheet: the first images of a source side by side, each with its label, as a PNG file."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, isqrt, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.data.images import opencv
from pycaffe_lite.errors import CaffeError, MissingExtra
from pycaffe_lite.tools.summaries import Example, label_text

Pixels = NDArray[np.uint8]

_SMALLEST, _LARGEST = 48, 128  # what the longer side of an image is scaled to, about, in pixels
_MARGIN = 4
_BACKGROUND, _INK = 255, 0
_LONGEST_TEXT = 16


def contact_sheet(examples: Sequence[Example], rgb: bool = False) -> Pixels:
    """The images in rows, from left to right, each above its label.

    Args:
        examples: their images are C x H x W: gray for one channel, colours for three, else the first channel
            as gray; many channels of one pixel each are shown as a square if they fill one, else as a row. Values
            that are no bytes are stretched from black, the least, to white.
        rgb: whether the three are red, green, blue; else blue, green, red.

    Returns:
        H x W x 3, red, green, blue.

    Raises:
        CaffeError: there is no image that can be shown.
        MissingExtra: OpenCV, which decodes image files and writes labels, is not installed.
    """
    cells = [_cell(e.image, e.labels, rgb) for e in examples if e.image is not None and e.image.size]
    if not cells and any(e.image is None and not e.missing for e in examples):
        raise MissingExtra("Encoded images", "images")
    if not cells:
        raise CaffeError("There is no image to put on a contact sheet.")
    columns = ceil(sqrt(len(cells)))
    height, width = (_MARGIN + max(cell.shape[axis] for cell in cells) for axis in (0, 1))
    sheet = np.full(
        (height * ceil(len(cells) / columns) + _MARGIN, width * columns + _MARGIN, 3), _BACKGROUND, np.uint8
    )
    for i, cell in enumerate(cells):
        row, column = divmod(i, columns)
        top, left = row * height + _MARGIN, column * width + _MARGIN
        sheet[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return sheet


def _cell(image: NDArray[Any], labels: Sequence[float] | None, rgb: bool) -> Pixels:
    """An image of a fit size above its label."""
    picture = _scaled(_colors(_plane(image), rgb))
    text = _text(label_text(labels or ())[:_LONGEST_TEXT])
    height = picture.shape[0] + (text.shape[0] + _MARGIN if text.size else 0)
    cell = np.full((height, max(picture.shape[1], text.shape[1]), 3), _BACKGROUND, np.uint8)
    cell[: picture.shape[0], : picture.shape[1]] = picture
    cell[height - text.shape[0] :, : text.shape[1]] = text
    return cell


def _plane(image: NDArray[Any]) -> NDArray[Any]:
    """The image, or if it is a long vector, its values side by side."""
    count = len(image)
    if image.shape[1:] != (1, 1) or count < 4:
        return image
    side = isqrt(count)
    return image.reshape(1, side, side) if side * side == count else image.reshape(1, 1, count)


def _colors(image: NDArray[Any], rgb: bool) -> Pixels:
    """An image as H x W x 3, red, green, blue, in bytes."""
    planes = image if len(image) == 3 else image[:1].repeat(3, axis=0)
    if len(image) == 3 and not rgb:
        planes = planes[::-1]
    return _bytes(planes).transpose(1, 2, 0)


def _bytes(values: NDArray[Any]) -> Pixels:
    if values.dtype == np.uint8:
        return values
    finite = np.where(np.isfinite(values), values, 0).astype(np.float64) / 2  # so that no difference overflows
    low, high = finite.min(), finite.max()
    return (np.divide(finite - low, high - low or 1) * 255).astype(np.uint8)


def _scaled(picture: Pixels) -> Pixels:
    """Enlarged, or thinned out, by a whole number."""
    side = max(picture.shape[:2])
    if side > _LARGEST:
        step = ceil(side / _LARGEST)
        return picture[::step, ::step]
    zoom = max(1, ceil(_SMALLEST / side))
    return picture.repeat(zoom, axis=0).repeat(zoom, axis=1)


def _text(text: str) -> Pixels:
    """A line of text, H x W x 3; nothing for no text."""
    if not text:
        return np.empty((0, 0, 3), np.uint8)
    cv2 = opencv("Contact sheets")
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_PLAIN, 1, 1)
    image = np.full((height + below, width, 3), _BACKGROUND, np.uint8)
    return cv2.putText(image, text, (0, height), cv2.FONT_HERSHEY_PLAIN, 1, (_INK, _INK, _INK))


def png_bytes(picture: Pixels) -> bytes:
    """A picture, H x W x 3, as a PNG file.

    Raises:
        MissingExtra: OpenCV is not installed.
    """
    cv2 = opencv("Contact sheets")
    return bytes(cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))[1].tobytes())
