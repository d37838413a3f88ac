"""Encoded images, PNG, JPEG and what else OpenCV reads: the decoder Caffe uses, so that the pixels agree."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.data.image_head import check_head
from pycaffe_lite.errors import CaffeError, MissingExtra
from pycaffe_lite.memory import borrow


def decode(data: bytes, color: bool | None = None) -> NDArray[np.uint8]:
    """The pixels of an encoded image, C x H x W, colours in the order blue, green, red.

    Args:
        data: the image file's bytes.
        color: True to 3 channels, False to 1, None to as many as the file has.

    Raises:
        CaffeError: not an image, not one with 8 bits a channel, or far too short for the size it claims.
        MissingExtra: OpenCV is not installed.
    """
    cv2 = _opencv()
    check_head(data)
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


def is_opencvs(image: NDArray[Any]) -> bool:
    """Whether an image, C x H x W, lies in memory as OpenCV makes those of three channels: a pixel's bytes together."""
    return (
        image.dtype == np.uint8
        and (len(image), *image.strides) == (3, 1, 3 * image.shape[2], 3)
        and sys.modules.get("cv2") is not None
    )


def write_opencvs(
    image: NDArray[np.uint8], mirrored: bool, addend: NDArray[np.float32] | None, out: NDArray[np.float32]
) -> None:
    """out = image, perhaps mirrored, + addend.

    OpenCV takes half as long as NumPy to add numbers of two types, and to part what lies three apart.

    Args:
        image: one that `is_opencvs`, or a window in it.
        addend: of that shape; None for 0.
        out: of that shape; each channel's memory in one piece.
    """
    cv2 = _opencv()
    pixels = image.transpose(1, 2, 0)
    with borrow(pixels.shape, np.dtype(np.float32)) as sums:
        np.copyto(sums, 0 if addend is None else addend.transpose(1, 2, 0))
        cv2.accumulate(cv2.flip(pixels, 1) if mirrored else pixels, sums)
        cv2.split(sums, list(out))


def _opencv() -> Any:
    try:
        import cv2
    except ImportError:
        raise MissingExtra("Encoded images", "images") from None
    return cv2
