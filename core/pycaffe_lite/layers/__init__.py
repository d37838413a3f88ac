"""The layer types, one a file; `registry` is the table of contents, `contract` what all of them keep.

A script written for Caffe finds NetSpec's functions under this name, `caffe.layers.Convolution(…)`: they are answered
for by the front page, see `pycaffe_lite`.
"""

from __future__ import annotations

import sys
from typing import Any


def __getattr__(name: str) -> Any:
    if not name[:1].isupper():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(sys.modules["pycaffe_lite"].net_spec.layers, name)
