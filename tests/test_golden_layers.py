"""Every layer gives Caffe's numbers."""

from __future__ import annotations

from typing import Any

import pytest

from golden_layers import Golden, manifest
from pycaffe_lite.layers import layer_type_list

CASES = manifest()
PENDING = {
}
"""Types that Caffe has and this project does not have yet."""

READY = [entry for entry in CASES if entry["type"] not in PENDING]


def test_pending_types_are_listed() -> None:
    assert {entry["type"] for entry in CASES} - set(layer_type_list()) == PENDING


@pytest.mark.parametrize("entry", READY, ids=[f"{entry['type']}-{entry['variant']}" for entry in READY])
def test_layer_gives_caffes_numbers(entry: dict[str, Any]) -> None:
    Golden(entry).check()
