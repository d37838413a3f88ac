"""Where records come from: the one small interface of all sources, and the choice among them.

A record is an image, C x H x W, and a label. Records are numbered from 0 in the order the source gives them.
So a position is one integer, and reading goes on from any such number: all that an exact resume needs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.errors import CaffeError

# Images of one shape and type as one array, n x C x H x W, or each by itself.
Images = NDArray[Any] | Sequence[NDArray[Any]]


class Records(NamedTuple):
    """Some consecutive records.

    Attributes:
        images: of any real type; read-only, valid as long as the source is open.
        labels: float32, one for each image.
        next: the number of the record that follows, 0 after the last one.
    """

    images: Images
    labels: NDArray[np.float32]
    next: int


class Source:
    """Numbered records.

    Attributes:
        name: the path as the user gave it.
    """

    name: str

    def __len__(self) -> int:
        """The number of records.

        Raises:
            CaffeError: for a source that cannot tell without reading all of it.
        """
        raise CaffeError(f"{self.name}: the number of records is not known.")

    def read(self, start: int, count: int) -> Records:
        """Records from number `start` on: at least 1, at most `count`, fewer at the end of the source.

        Raises:
            CaffeError: a record is damaged; the text names file and record.
        """
        raise NotImplementedError

    def take(self, numbers: NDArray[np.integer[Any]]) -> Records:
        """Records in any order; `next` says nothing."""
        parts = [self.read(int(number), 1) for number in numbers]
        labels = np.concatenate([part.labels for part in parts])
        return Records([part.images[0] for part in parts], labels, 0)

    def check(self, start: int) -> None:
        """Raises a CaffeError unless reading can begin at that number; some sources find out only then."""
        if start >= len(self):
            raise CaffeError(f"{self.name}: expected more than {start} records, got {len(self)}.")

    def labels(self) -> NDArray[np.float32] | None:
        """The labels of all records in order, where they are at hand; else None."""
        return None

    def where(self, record: int) -> str:
        """A record, for an error's text."""
        return f"{self.name}, record {record}"

    def close(self) -> None:
        """Gives up threads and files; nothing is read afterwards."""


def open_source(param: Any, folder: str = "", with_labels: bool = True, color: bool | None = None) -> Source:
    """Opens what a Data layer's parameters name.

    Args:
        param: a DataParameter.
        folder: where `source` is looked for besides the working folder.
        with_labels: whether labels are needed; a source of images alone will do otherwise.
        color: how encoded images are decoded: True to 3 channels, False to 1, None to what the file has.

    Raises:
        CaffeError: missing, damaged, of another kind, or in need of a package that is not installed.
    """
    from pycaffe_lite.proto.files import find_file

    if not param.source:
        raise CaffeError("expected data_param { source: ... }, got none.")
    path = Path(find_file(param.source, folder, "data source"))
    backend = param.DB.Name(param.backend)
    if backend == "IDX":
        from pycaffe_lite.data.idx import IdxSource

        return IdxSource(path, param.source, with_labels)
    _check_is_database(path, backend)
    if backend == "LMDB":
        from pycaffe_lite.data.lmdb import LmdbSource

        return LmdbSource(path, param.source, color)
    from pycaffe_lite.data.leveldb import LeveldbSource

    return LeveldbSource(path, param.source, color)


def _check_is_database(path: Path, backend: str) -> None:
    """Raises a CaffeError that names the right backend where another one is given."""
    for other, file in (("LMDB", "data.mdb"), ("LEVELDB", "CURRENT")):
        if other != backend and os.path.isfile(path / file):
            raise CaffeError(f"{path}: expected a database for backend: {backend}, got one for {other}.")
