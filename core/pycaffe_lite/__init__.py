"""pycaffe-lite: `caffe train` without building Caffe.

`import pycaffe_lite as caffe` gives the names that pycaffe scripts use. They are loaded on first use, so that
importing the package, as every command does, costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "Blob": "pycaffe_lite.blob",
    "CaffeError": "pycaffe_lite.errors",
    "Layer": "pycaffe_lite.layers.contract",
    "Net": "pycaffe_lite.pycaffe.net",
    "SGDSolver": "pycaffe_lite.solvers.sgd",
    "TEST": "pycaffe_lite.phase",
    "TRAIN": "pycaffe_lite.phase",
    "get_solver": "pycaffe_lite.solvers.registry",
    "layer_type_list": "pycaffe_lite.layers.registry",
    "register_layer": "pycaffe_lite.layers.contract",
    "set_random_seed": "pycaffe_lite.rng",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
