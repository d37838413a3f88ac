"""LSTMUnit: gates far from 0, and shapes it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import Rig

UNIT = 'type: "LSTMUnit" bottom: "c" bottom: "gates" bottom: "cont" top: "c_next" top: "h"'


def test_gates_that_are_fully_open_or_shut() -> None:
    gates = np.array([[[-1e4, 1e4, 1e4, 1e4], [1e4, -1e4, -1e4, -1e4]]])
    rig = Rig(UNIT, [np.array([[[0.5], [0.5]]]), gates, np.ones((1, 2))])
    c, h = rig.forward()
    np.testing.assert_allclose(c.ravel(), [0.5, -1])
    np.testing.assert_allclose(h.ravel(), [np.tanh(0.5), 0], rtol=1e-6)
    assert np.isfinite(rig.backward([np.ones(c.shape)] * 2, [True, True, False])[1]).all()


@pytest.mark.parametrize(
    "shapes", [((1, 2, 3), (1, 2, 6), (1, 2)), ((2, 2, 3), (2, 2, 12), (2, 2)), ((1, 2, 3), (1, 2, 12), (1, 2, 1))]
)
def test_shapes_that_do_not_fit(shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(CaffeError, match=r"expected shapes 1 x N x D .*, got \["):
        Rig(UNIT, [np.zeros(shape) for shape in shapes])


def test_cont_gets_no_gradient() -> None:
    rig = Rig(UNIT, [np.zeros((1, 2, 3)), np.zeros((1, 2, 12)), np.zeros((1, 2))])
    rig.forward()
    with pytest.raises(CaffeError, match="cannot propagate to cont"):
        rig.backward([np.zeros((1, 2, 3))] * 2)
