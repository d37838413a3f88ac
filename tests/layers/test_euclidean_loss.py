"""EuclideanLoss: its formula, both derivatives, and shapes it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import Rig

LOSS = 'type: "EuclideanLoss" bottom: "a" bottom: "b" top: "loss"'


def test_both_bottoms_get_a_derivative() -> None:
    a, b = np.array([[1.0, 2], [3, 5]]), np.array([[0.0, 2], [3, 1]])
    rig = Rig(LOSS, [a, b])
    assert rig.forward()[0] == (1 + 16) / 4
    da, db = rig.backward([np.array(2.0)])
    np.testing.assert_array_equal(da, a - b)
    np.testing.assert_array_equal(db, b - a)


def test_both_bottoms_may_be_forced_to_have_one() -> None:
    assert Rig(LOSS, [np.zeros((1, 2))] * 2).layer.may_propagate == (True, True)


@pytest.mark.parametrize(("a", "b", "text"), [((2, 3), (3, 3), "same first axis"), ((2, 3), (2, 4), "as many values")])
def test_shapes_that_do_not_fit(a: tuple[int, ...], b: tuple[int, ...], text: str) -> None:
    with pytest.raises(CaffeError, match=rf"\(EuclideanLoss\): expected .*{text}"):
        Rig(LOSS, [np.zeros(a), np.zeros(b)])


def test_no_items_cost_nothing() -> None:
    assert Rig(LOSS, [np.zeros((0, 3))] * 2).forward()[0] == 0
