"""The two formats of Caffe's weights and solver states, each an object that reads and writes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pycaffe_lite.formats import caffemodel, hdf5, solverstate
from pycaffe_lite.formats.caffemodel import LayerWeights
from pycaffe_lite.formats.reading import Check
from pycaffe_lite.formats.solverstate import StateFile


@dataclass(frozen=True)
class Format:
    """How weights and states lie in files.

    Attributes:
        name: as the log says it.
        extension: of its files, after .caffemodel and .solverstate.
        require: raises a MissingExtra if a package that it needs is not installed.
        read_weights, read_state: what is in a file of this format; a Check, if given, sees its bytes first.
        weights_pieces, state_pieces: the bytes of a file; of weights, the layers and the net's name are given.
    """

    name: str
    extension: str
    require: Callable[[], object]
    read_weights: Callable[[str, Check | None], list[LayerWeights]]
    read_state: Callable[[str, Check | None], StateFile]
    weights_pieces: Callable[[Sequence[LayerWeights], str], Iterable[bytes]]
    state_pieces: Callable[[StateFile], list[bytes]]


BINARY = Format(
    name="binary proto",
    extension="",
    require=lambda: None,
    read_weights=caffemodel.read_weights,
    read_state=solverstate.read_state,
    weights_pieces=caffemodel.weights_pieces,
    state_pieces=solverstate.state_pieces,
)
HDF5 = Format(
    name="HDF5",
    extension=".h5",
    require=hdf5.snapshots_h5py,
    read_weights=hdf5.read_weights,
    read_state=hdf5.read_state,
    weights_pieces=hdf5.weights_pieces,
    state_pieces=hdf5.state_pieces,
)


def format_of(path: str) -> Format:
    """The format of a file by its name, as in Caffe: HDF5 if it ends in .h5."""
    return HDF5 if os.fspath(path).endswith(HDF5.extension) else BINARY
