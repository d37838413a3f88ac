"""The mean image, which compute_image_mean writes as a BlobProto."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.errors import FileError

_LARGEST = 2**31 - 1  # what a protobuf message can be
_MOST_AXES = 32  # as a blob of Caffe's


def read_mean(path: Path) -> NDArray[np.float32]:
    """The mean image of a .binaryproto file, C x H x W.

    Raises:
        FileError: missing, not a BlobProto, or not one image.
    """
    from pycaffe_lite.proto import caffe_pb2

    try:
        blob = caffe_pb2.BlobProto.FromString(_read(path))
    except OSError as problem:
        raise FileError(f"{path}: cannot be read: {problem.strerror}.") from None
    except FileError:
        raise
    except Exception:
        # protobuf's own error class differs from one of its implementations to the other.
        raise FileError(f"{path}: expected a mean image (a BlobProto), got a file that is none.") from None
    # Files of compute_image_mean have the old four numbers in place of a shape.
    shape = tuple(blob.shape.dim) or (blob.num, blob.channels, blob.height, blob.width)
    with np.errstate(over="ignore"):  # as a cast in C: infinite
        values = np.array(blob.data or blob.double_data).astype(np.float32)
    image = shape[-3:] if len(shape) == 3 or (len(shape) == 4 and shape[0] == 1) else None
    if image is None or min(image) < 1 or prod(image) != len(values):
        got = f"shape {list(shape)}" if len(shape) <= _MOST_AXES else f"{len(shape)} axes"
        raise FileError(f"{path}: expected one mean image, got {got} with {len(values)} values.")
    return values.reshape(image)


def _read(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise FileError(f"{path}: expected a mean image (a BlobProto), got no plain file.")
    if path.stat().st_size > _LARGEST:
        raise FileError(f"{path}: expected a mean image (a BlobProto), got a file of more than 2 GiB.")
    return path.read_bytes()
