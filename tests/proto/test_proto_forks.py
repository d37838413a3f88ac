"""The table of forks against the schema: what it names must be theirs alone."""

from __future__ import annotations

import pytest

from pycaffe_lite.layers.registry import MODULES
from pycaffe_lite.proto import caffe_pb2, forks
from pycaffe_lite.proto.schema import fields_of

NAMED = [(fork, message) for fork, added in forks._FIELDS.items() for message in added]


@pytest.mark.parametrize(("fork", "message"), NAMED)
def test_fork_fields_are_not_in_caffe(fork: str, message: str) -> None:
    fields = fields_of(caffe_pb2.DESCRIPTOR.message_types_by_name[message])
    assert not set(forks._FIELDS[fork][message].split()) & set(fields)


def test_fork_types_are_not_computed_here() -> None:
    assert not {name for names in forks._TYPES.values() for name in names.split()} & set(MODULES)


def test_names_all_forks_of_a_field() -> None:
    assert forks.fork_of("SolverParameter", "disabled_update") == "Intel Caffe"
    assert forks.fork_of("LayerParameter", "video_data_param") == "SSD or Intel Caffe"
    assert forks.fork_of("LayerParameter", "disabled_update") is None
    assert forks.fork_of("NoSuchParameter", "name") is None


def test_names_the_forks_of_a_layer_type() -> None:
    assert forks.fork_of_type("VideoData") == "SSD"
    assert forks.fork_of_type("Correlation") == "FlowNet"
    assert forks.fork_of_type("PriorBox") is None
    assert forks.fork_of_type("Convolution") is None
