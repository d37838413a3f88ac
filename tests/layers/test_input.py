"""Input: shapes for each top, left alone afterwards."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import Rig


def input_text(shapes: str, tops: int = 2) -> str:
    names = " ".join(f'top: "t{i}"' for i in range(tops))
    return f'type: "Input" {names} input_param {{ {shapes} }}'


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ("", [(), ()]),
        ("shape { dim: 2 dim: 3 }", [(2, 3), (2, 3)]),
        ("shape { dim: 2 dim: 3 } shape { dim: 4 }", [(2, 3), (4,)]),
    ],
)
def test_shapes(shapes: str, expected: list[tuple[int, ...]]) -> None:
    assert [top.shape for top in Rig(input_text(shapes), []).top] == expected


def test_the_callers_shape_and_values_stay() -> None:
    rig = Rig(input_text("shape { dim: 2 }"), [])
    rig.top[0].reshape(5, 1)
    rig.top[0].data[...] = 7
    rig.reshape()
    rig.forward()
    assert rig.top[0].shape == (5, 1)
    assert np.all(rig.top[0].data == 7)


def test_other_numbers_of_shapes_are_refused() -> None:
    with pytest.raises(CaffeError, match=r"\(Input\): expected no shape, one, or one .* 3 top\(s\), got 2"):
        Rig(input_text("shape { dim: 2 } shape { dim: 2 }", tops=3), [])


@pytest.mark.parametrize("dims", ["dim: -1", "dim: 65536 dim: 65536"])
def test_a_shape_that_no_blob_can_have_is_refused(dims: str) -> None:
    with pytest.raises(CaffeError, match=r'layer "layer" \(Input\): A blob'):
        Rig(input_text(f"shape {{ {dims} }}"), [])
