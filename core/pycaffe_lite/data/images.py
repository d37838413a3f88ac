"""Image files, and their pixels as Caffe reads them: OpenCV decodes and resizes, as it does there."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.errors import CaffeError, FileError, MissingExtra
from pycaffe_lite.memory import borrow
from pycaffe_lite.paths import shown_path, unreadable

_LARGEST_FILE = 1 << 30
_MOST_PIXELS = 1 << 26
_LIMIT = "OPENCV_IO_MAX_IMAGE_PIXELS"


def opencv(what: str) -> Any:
    """OpenCV; a MissingExtra that says what needs it if it is not installed.

    It takes memory for the size that a file's head claims, whether or not the file goes on, so a kilobyte may take
    gigabytes. If it is loaded here, it refuses images of more than 2**26 pixels, 200 MB in three channels; a program
    that has loaded it before keeps OpenCV's own limit of 2**30, and the environment's OPENCV_IO_MAX_IMAGE_PIXELS goes
    before both.
    """
    if "cv2" in sys.modules or _LIMIT in os.environ:
        return _cv2(what)
    os.environ[_LIMIT] = str(_MOST_PIXELS)  # looked at while it is loaded, never again
    try:
        return _cv2(what)
    finally:
        del os.environ[_LIMIT]


def _cv2(what: str) -> Any:
    try:
        import cv2
    except ImportError:
        raise MissingExtra(what, "images") from None
    return cv2


def read_bytes(path: str) -> bytes:
    """An image file as it is.

    Raises:
        FileError: it is missing, no plain file, empty, larger than 1 GiB, or cannot be read.
    """
    try:
        if not os.path.isfile(path):
            reason = "not a plain file" if os.path.exists(path) else "no such file"
            raise FileError(f"{shown_path(path)}: {reason} ({shown_path(os.path.abspath(path))}).")
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if not 0 < size <= _LARGEST_FILE:
                raise FileError(f"{shown_path(path)}: expected an image file, got {size} bytes.")
            return file.read(size)  # never more: read() makes room for all that it is asked for
    except (OSError, ValueError) as problem:
        raise FileError(f"{shown_path(path)}: {unreadable(problem)}.") from None


def decode(data: bytes, color: bool | None = None) -> NDArray[np.uint8]:
    """The pixels of an encoded image, PNG, JPEG or what else OpenCV reads, C x H x W, colours blue, green, red.

    Args:
        data: the image file's bytes.
        color: True to 3 channels, False to 1, None to as many as the file has.

    Raises:
        CaffeError: not an image, not one with 8 bits a channel, or larger than OpenCV's limit.
        MissingExtra: OpenCV is not installed.
    """
    cv2 = opencv("Encoded images")
    kind = {None: cv2.IMREAD_UNCHANGED, True: cv2.IMREAD_COLOR, False: cv2.IMREAD_GRAYSCALE}[color]
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), kind) if data else None
    except cv2.error as problem:
        if "CV_IO_MAX_IMAGE" in str(problem):
            raise CaffeError(
                f"expected an encoded image, got {len(data)} bytes that claim more rows, columns or pixels than OpenCV "
                f"is to read; the environment's {_LIMIT} sets how many pixels that is."
            ) from None
        pixels = None
    if pixels is None:
        raise CaffeError(f"expected an encoded image, got {len(data)} bytes that are none.")
    if pixels.dtype != np.uint8:
        raise CaffeError(f"expected an image with 8 bits a channel, got {pixels.dtype}.")
    return pixels.transpose(2, 0, 1) if pixels.ndim == 3 else pixels[np.newaxis]


def pixels(data: bytes, color: bool | None = True, height: int = 0, width: int = 0) -> NDArray[np.uint8]:
    """The pixels of an image file, C x H x W, colours in the order blue, green, red.

    Args:
        data: the file's bytes.
        color: see `decode`.
        height, width: if both are above 0, the image is resized to them by OpenCV's bilinear interpolation.

    Raises:
        CaffeError: not an image, or the size is more than OpenCV can make.
        MissingExtra: OpenCV is not installed.
    """
    image = decode(data, color)
    return resize(image, height, width) if height > 0 and width > 0 else image


def resize(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """An image, C x H x W, in another size, by OpenCV's bilinear interpolation as Caffe does it."""
    cv2 = opencv("Resized images")
    try:
        resized: NDArray[Any] = cv2.resize(np.ascontiguousarray(image.transpose(1, 2, 0)), (width, height))
    except cv2.error:
        raise CaffeError(f"OpenCV cannot resize an image to height {height} and width {width}.") from None
    return resized.transpose(2, 0, 1) if resized.ndim == 3 else resized[np.newaxis]


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
    cv2 = opencv("Encoded images")
    pixels = image.transpose(1, 2, 0)
    with borrow(pixels.shape, np.dtype(np.float32)) as sums:
        np.copyto(sums, 0 if addend is None else addend.transpose(1, 2, 0))
        cv2.accumulate(cv2.flip(pixels, 1) if mirrored else pixels, sums)
        cv2.split(sums, list(out))
