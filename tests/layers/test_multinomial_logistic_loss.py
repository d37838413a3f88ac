"""MultinomialLogisticLoss: the floor of its probabilities, and labels it refuses."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import Rig

LOSS = 'type: "MultinomialLogisticLoss" bottom: "p" bottom: "label" top: "loss"'


def test_probability_has_a_floor() -> None:
    rig = Rig(LOSS, [np.array([[0.25, 0.75], [0, 1]]), np.array([1, 0])])
    np.testing.assert_allclose(rig.forward()[0], -(log(0.75) + log(1e-20)) / 2, rtol=1e-6)
    (diff, _) = rig.backward([np.ones(())], [True, False])
    np.testing.assert_allclose(diff, [[0, -0.5 / 0.75], [-0.5e20, 0]], rtol=1e-6)


def test_a_certain_and_right_prediction_costs_nothing() -> None:
    (loss,) = Rig(LOSS, [np.array([[0.0, 1]]), np.array([1])]).forward()
    assert loss == 0
    assert not np.signbit(loss)


def test_a_label_out_of_range_is_named() -> None:
    with pytest.raises(CaffeError, match=r"from 0 to 2, got -1 at position \[1\]"):
        Rig(LOSS, [np.ones((2, 3)), np.array([0, -1])]).forward()


def test_labels_get_no_gradient() -> None:
    rig = Rig(LOSS, [np.ones((2, 3)), np.zeros(2)])
    rig.forward()
    with pytest.raises(CaffeError, match="cannot propagate to its targets"):
        rig.backward([np.ones(())])
