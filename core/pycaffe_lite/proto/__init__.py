"""Caffe's schema, and prototxt: a text becomes a message and a message a text, in present and older forms.

read       a file becomes a net or a solver, in the present form: where everything else comes in
text       a text becomes a message; tokens cuts it into words, hints ends the sentences that refuse a name
printer    a message becomes a text
upgrade    older forms become the present one; V0 layers in upgrade_v0, V1 layers in upgrade_v1
forks      what forks of Caffe added: whose it is, and what of it is taken
schema     what a message type has: fields, kinds, ranges
caffe_pb2  the messages, made from caffe.proto by scripts/make_proto
"""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    """`caffe.proto.caffe_pb2` need not be imported first; it takes a while to load."""
    if name == "caffe_pb2":
        return importlib.import_module(f"{__name__}.caffe_pb2")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
