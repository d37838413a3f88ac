"""ArgMax: against plain sorting, ties, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import Rig


def text(fields: str) -> str:
    return f'type: "ArgMax" bottom: "x" top: "y" argmax_param {{ {fields} }}'


def best(values: np.ndarray, count: int) -> list[int]:
    """The greatest first, of equals the one with the greater index."""
    return [i for _, i in sorted(((value, i) for i, value in enumerate(values)), reverse=True)[:count]]


@settings(max_examples=60, deadline=None)
@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=5), data=st.data(), values=st.booleans())
def test_along_any_axis(shape: list[int], data: st.DataObject, values: bool) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    count = data.draw(st.integers(1, shape[axis]))
    x = np.random.default_rng(3).integers(0, 3, shape)  # few values, so that many are equal
    (y,) = Rig(text(f"axis: {axis} top_k: {count} out_max_val: {str(values).lower()}"), [x]).forward()
    rows, ours = np.moveaxis(x, axis, -1), np.moveaxis(y, axis, -1)
    assert ours.shape == (*rows.shape[:-1], count)
    for place in np.ndindex(rows.shape[:-1]):
        indices = best(rows[place], count)
        np.testing.assert_array_equal(ours[place], rows[place][indices] if values else indices)


@settings(max_examples=60, deadline=None)
@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=5), data=st.data())
def test_in_each_item(shape: list[int], data: st.DataObject) -> None:
    x = np.random.default_rng(3).integers(0, 3, shape)
    items = x.reshape(len(x), -1)
    count = data.draw(st.integers(1, items.shape[1]))
    (indices,) = Rig(text(f"top_k: {count}"), [x]).forward()
    (pairs,) = Rig(text(f"top_k: {count} out_max_val: true"), [x]).forward()
    more = [1] * (max(3, len(shape)) - 3)
    assert (indices.shape, pairs.shape) == ((len(x), 1, count, *more), (len(x), 2, count, *more))
    for n, item in enumerate(items):
        expected = best(item, count)
        np.testing.assert_array_equal(indices[n].reshape(-1), expected)
        np.testing.assert_array_equal(pairs[n].reshape(2, count), [expected, item[expected]])


@pytest.mark.parametrize(
    ("fields", "shape", "message"),
    [
        ("top_k: 0", (2, 3), r"expected top_k from 1 to 3, the number of values, for shape \[2, 3\], got 0"),
        ("top_k: 13", (2, 3, 4), "expected top_k from 1 to 12, .* got 13"),
        ("axis: 1 top_k: 4", (2, 3, 4), "expected top_k from 1 to 3, .* got 4"),
        ("axis: 2", (2, 3), "expected an axis of its .*bottom .* got 2"),
        ("", (), "expected an axis of its .*bottom"),
    ],
)
def test_what_cannot_be_is_refused(fields: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(CaffeError, match=rf"\(ArgMax\): {message}"):
        Rig(text(fields), [np.zeros(shape)])


def test_there_is_no_derivative() -> None:
    rig = Rig(text(""), [np.zeros((2, 3))])
    rig.forward()
    with pytest.raises(CaffeError, match="no derivative"):
        rig.backward([np.ones((2, 1, 1))])
