"""Caffe's schema, and the way from text to messages and back."""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    """`caffe.proto.caffe_pb2` need not be imported first; it takes a while to load."""
    if name == "caffe_pb2":
        return importlib.import_module(f"{__name__}.caffe_pb2")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
