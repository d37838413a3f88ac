"""caffe.Net: the engine's net, with pycaffe's orders of arguments."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pycaffe_lite import net
from pycaffe_lite.proto.caffe_pb2 import NetParameter
from pycaffe_lite.proto.read import NetText

PathLike = str | os.PathLike[str]


class Net(net.Net):
    """A network.

    Args:
        source: a prototxt file, or what else the engine's Net takes.
        args: pycaffe's positional orders: phase, level, stages, weights; or the older weights, phase.
        phase, level, stages, weights: the same by name; see the engine's Net.
    """

    def __init__(
        self,
        source: PathLike | NetText | NetParameter,
        *args: PathLike | Sequence[str] | int | None,
        phase: int | None = None,
        level: int = 0,
        stages: Sequence[str] | None = None,
        weights: PathLike | None = None,
    ) -> None:
        for arg in args:
            if isinstance(arg, (str, os.PathLike)):
                weights = arg
            elif isinstance(arg, (list, tuple)):
                stages = arg
            elif arg is not None and phase is None:
                phase = int(arg)  # type: ignore[arg-type]
            elif arg is not None:
                level = int(arg)  # type: ignore[arg-type]
        path = None if weights is None else os.fspath(weights)
        super().__init__(source, phase, level=level, stages=stages or (), weights=path)
