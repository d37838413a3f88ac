"""Caffe's Python API, as pycaffe-lite gives it: the names of `pycaffe_lite` under the name that scripts import."""

import importlib
import os
import sys

try:
    import pycaffe_lite
except ModuleNotFoundError:  # this folder alone is in the path
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))
    import pycaffe_lite
from pycaffe_lite.phase import TEST, TRAIN  # noqa: F401

__version__ = "1.0.0"

_MODULES = ("_caffe", "classifier", "coord_map", "detector", "draw", "io", "net_spec", "proto", "pycaffe")


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "layers":
        return pycaffe_lite.net_spec.layers
    if name == "log":
        return pycaffe_lite._caffe.log
    if name.startswith("__") or name not in pycaffe_lite.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(pycaffe_lite, name)


def __dir__():
    return sorted({*globals(), *pycaffe_lite.__all__} - {"importlib", "os", "sys", "pycaffe_lite", "install_as_caffe"})
