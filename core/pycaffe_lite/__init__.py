"""pycaffe-lite: `caffe train` without building Caffe.

`import pycaffe_lite as caffe` gives the names that pycaffe scripts use. They are loaded on first use, so that
importing the package, as every command does, costs next to nothing. `install_as_caffe()` makes `import caffe` find
them, too.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "Blob": "blob",
    "CaffeError": "errors",
    "Layer": "layers.contract",
    "TEST": "phase",
    "TRAIN": "phase",
    "layer_type_list": "layers.registry",
    "register_layer": "layers.contract",
    "Net": "pycaffe.net",
    **dict.fromkeys(
        (
            "AdaDeltaSolver",
            "AdaGradSolver",
            "AdamSolver",
            "NesterovSolver",
            "RMSPropSolver",
            "SGDSolver",
            "get_solver",
        ),
        "pycaffe.solvers",
    ),
    **dict.fromkeys(
        (
            "NCCL",
            "Timer",
            "has_nccl",
            "init_log",
            "set_device",
            "set_mode_cpu",
            "set_mode_gpu",
            "set_multiprocess",
            "set_random_seed",
            "set_solver_count",
            "set_solver_rank",
            "solver_count",
            "solver_rank",
        ),
        "pycaffe.common",
    ),
    "Classifier": "pycaffe.classifier",
    "Detector": "pycaffe.detector",
    "NetSpec": "pycaffe.net_spec",
    "params": "pycaffe.net_spec",
    "to_proto": "pycaffe.net_spec",
}
"""Where each name is."""

_MODULES = {
    "_caffe": "pycaffe._caffe",
    "classifier": "pycaffe.classifier",
    "coord_map": "pycaffe.coord_map",
    "detector": "pycaffe.detector",
    "draw": "pycaffe.draw",
    "io": "pycaffe.io",
    "layers": "layers",
    "log": "log",
    "net_spec": "pycaffe.net_spec",
    "proto": "proto",
    "pycaffe": "pycaffe",
}
"""Where each name is that is a module."""

__all__ = ["install_as_caffe", *_HOME, *_MODULES]  # noqa: PLE0604


def install_as_caffe() -> ModuleType:
    """Makes `import caffe` find this package from now on, in this process; for the first cell of a notebook.

    A caffe that has been imported before is not found any more; whoever holds it keeps it.

    Returns:
        the module `caffe`.
    """
    from pycaffe_lite.door import install

    return install()


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{_MODULES[name]}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
