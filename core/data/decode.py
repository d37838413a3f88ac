"""Encoded images, PNG, JPEG and what else OpenCV reads: the decoder Caffe uses, so that the pixels agree."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.errors import CaffeError, MissingExtra


def decode(data: bytes, color: bool | None = None) -> NDArray[np.uint8]:
    """The pixels of an encoded image, C x H x W, colours in the order blue, green, red.

    Args:
        data: the image file's bytes.
        color: True to 3 channels, False to 1, None to as many as the file has.

    Raises:
        CaffeError: not an image, or not one with 8 bits a channel.
        MissingExtra: OpenCV is not installed.
    """
    cv2 = _opencv()
    kind = {None: cv2.IMREAD_UNCHANGED, True: cv2.IMREAD_COLOR, False: cv2.IMREAD_GRAYSCALE}[color]
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), kind) if data else None
    except cv2.error:
        pixels = None
    if pixels is None:
        raise CaffeError(f"expected an encoded image, got {len(data)} bytes that are none.")
    if pixels.dtype != np.uint8:
        raise CaffeError(f"expected an image with 8 bits a channel, got {pixels.dtype}.")
    return pixels.transpose(2, 0, 1) if pixels.ndim == 3 else pixels[np.newaxis]


def _opencv() -> Any:
    try:
        import cv2
    except ImportError:
        raise MissingExtra("Encoded images", "images") from None
    return cv2
