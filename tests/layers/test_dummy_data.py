"""DummyData: constants once, random values in every forward, from Caffe's generator in order."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite import rng
from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import Rig


def dummy_text(param: str, tops: int = 2) -> str:
    names = " ".join(f'top: "t{i}"' for i in range(tops))
    return f'type: "DummyData" {names} dummy_data_param {{ {param} }}'


def test_constants_are_filled_at_set_up_and_then_left_alone() -> None:
    rig = Rig(dummy_text("shape { dim: 2 } data_filler { value: 3 }"), [])
    assert all(np.all(top.data == 3) for top in rig.top)
    rig.top[0].data[...] = 8
    rig.forward()
    assert np.all(rig.top[0].data == 8)


def test_random_values_are_drawn_in_each_forward_and_not_at_set_up() -> None:
    fillers = 'data_filler { value: 3 } data_filler { type: "uniform" min: -1 max: 1 }'
    rig = Rig(dummy_text("shape { dim: 2 } " + fillers), [])
    assert not rig.top[1].data.any()
    first = rig.forward()[1]
    rig.layer.forward(rig.bottom, rig.top)
    second = rig.top[1].data.copy()
    rng.set_random_seed(1)
    np.testing.assert_array_equal(np.concatenate([first, second]), rng.uniform(4, -1, 1))


def test_one_random_filler_fills_the_tops_in_order() -> None:
    text = dummy_text('shape { dim: 2 } shape { dim: 3 } data_filler { type: "gaussian" }')
    values = np.concatenate(Rig(text, []).forward())
    rng.set_random_seed(1)
    np.testing.assert_array_equal(values, rng.normal(5))


def test_without_a_filler_the_tops_are_zero() -> None:
    rig = Rig(dummy_text("shape { dim: 2 dim: 3 }", tops=1), [])
    assert rig.top[0].shape == (2, 3)
    assert not rig.forward()[0].any()


def test_the_older_axes_once_or_for_each_top() -> None:
    rig = Rig(dummy_text("num: 2 channels: 3 height: 4 height: 5 width: 1"), [])
    assert [top.shape for top in rig.top] == [(2, 3, 4, 1), (2, 3, 5, 1)]


@pytest.mark.parametrize(
    ("param", "text"),
    [
        ("", r"one shape, or one for each of its 2 top\(s\), got 0"),
        ("shape { dim: 2 } " * 3, "one shape.*got 3"),
        ("shape { dim: 2 } data_filler { } data_filler { } data_filler { }", "one data_filler.*got 3"),
        ("shape { dim: 2 } num: 2", "either shape or num, got both"),
        ("num: 2 channels: 3 height: 4", "one width.*got 0"),
        ("shape { dim: -2 }", "lengths of 0 or more"),
        ('shape { dim: 2 } data_filler { type: "bilinear" }', "bilinear filler needs 4 axes"),
        ('shape { dim: 2 } data_filler { type: "gausian" }', 'did you mean "gaussian"'),
    ],
)
def test_what_does_not_fit_is_refused(param: str, text: str) -> None:
    with pytest.raises(CaffeError, match=rf"\(DummyData\): .*{text}"):
        Rig(dummy_text(param), []).forward()
