"""The mean image, which compute_image_mean writes as a BlobProto."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.errors import FileError
from pycaffe_lite.formats.blobproto import read_blob


def read_mean(path: Path) -> NDArray[np.float32]:
    """The mean image of a .binaryproto file, C x H x W.

    Raises:
        FileError: missing, not a BlobProto, or not one image.
    """
    if path.exists() and not path.is_file():
        raise FileError(f"{path}: expected a mean image (a BlobProto), got no plain file.")
    blob = read_blob(str(path), "a mean image")
    # Files of compute_image_mean have the old four numbers in place of a shape.
    image = blob.shape[1:] if blob.ndim == 4 and blob.shape[0] == 1 else blob.shape
    if len(image) != 3:
        raise FileError(f"{path}: expected one mean image, got shape {list(blob.shape)}.")
    with np.errstate(over="ignore"):  # as a cast in C: infinite
        return np.array(blob, np.float32).reshape(image)
