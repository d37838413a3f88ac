"""Every layer gives Caffe's numbers."""

from __future__ import annotations

from typing import Any

import pytest

from pycaffe_lite.layers.registry import layer_type_list
from rigs.golden_layers import Golden, manifest

CASES = manifest()


def test_every_type_is_known() -> None:
    assert {entry["type"] for entry in CASES} <= set(layer_type_list())


@pytest.mark.parametrize("entry", CASES, ids=[f"{entry['type']}-{entry['variant']}" for entry in CASES])
def test_layer_gives_caffes_numbers(entry: dict[str, Any]) -> None:
    Golden(entry).check()
