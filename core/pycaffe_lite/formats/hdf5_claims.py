"""What an HDF5 dataset claims to hold, before memory is taken for it.

A dataset's shape costs nothing: a file of a kilobyte may claim a terabyte, all of it the fill value, and a chunk of
up to 4 GiB besides, which is made as a whole for a single row of it.
"""

from __future__ import annotations

import os
from math import prod
from typing import Any

from pycaffe_lite.errors import FileError

_ALWAYS = 1 << 24  # bytes that any dataset may claim
DENSEST = 1100
"""No filter of HDF5 packs a byte into less than this part of one."""


def check_plain_file(path: str) -> None:
    """Raises a FileError for a pipe or a device, of which HDF5 would wait for the end."""
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise FileError(f"{path}: expected an HDF5 file that can be read, got no plain file.")


def plausible(claimed: int, stored: int) -> bool:
    """Whether so many bytes of values can come out of so many in a file."""
    return claimed <= max(_ALWAYS, stored * DENSEST)


def check_claim(dataset: Any, path: str) -> None:
    """Raises a FileError for a dataset far larger than the file, or than what has been written of it.

    Datasets that are put together from other files pass: where their values are is not known here.
    """
    claimed = max(prod(dataset.shape), prod(dataset.chunks or (0,))) * dataset.dtype.itemsize
    if plausible(claimed, 0) or dataset.is_virtual or dataset.external:
        return
    stored = min(dataset.id.get_storage_size(), dataset.file.id.get_filesize())
    if not plausible(claimed, stored):
        name = dataset.name.rpartition("/")[2]
        raise FileError(
            f'{path}: dataset "{name}" claims shape {list(dataset.shape)}, {claimed} bytes, of which the file has '
            f"{stored}, far too few."
        )
