"""HingeLoss: against plain loops, at the margin, and labels it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import Rig
from rigs.net_rig import inputs, layer, make_net


def text(norm: str = "L1") -> str:
    return f'type: "HingeLoss" bottom: "x" bottom: "label" top: "loss" hinge_loss_param {{ norm: {norm} }}'


@pytest.mark.parametrize("norm", ["L1", "L2"])
def test_loss_is_that_of_plain_loops(norm: str, generator: np.random.Generator) -> None:
    x, label = generator.normal(size=(4, 2, 3)), generator.integers(0, 6, 4)
    expected = 0.0
    for n, k in np.ndindex(4, 6):
        side = 1 if k == label[n] else -1
        expected += max(0, 1 - side * x.reshape(4, 6)[n, k]) ** (1 if norm == "L1" else 2)
    np.testing.assert_allclose(Rig(text(norm), [x, label]).forward()[0], expected / 4, rtol=1e-6)


def test_a_margin_met_exactly_has_no_slope() -> None:
    rig = Rig(text(), [np.array([[1.0, -1, -2, 0]]), np.zeros(1)])
    assert rig.forward()[0] == 1
    np.testing.assert_array_equal(rig.backward([np.array(3.0)], [True, False])[0], [[0, 0, 0, 3]])


def test_in_place_is_refused() -> None:
    net = inputs(x=[2, 3], label=[2]) + layer("loss", "HingeLoss", ["x", "label"], ["x"])
    with pytest.raises(CaffeError, match="one axis or more"):
        make_net(net)


@pytest.mark.parametrize(("labels", "words"), [([0, 3], "from 0 to 2, got 3 at position"), ([0], "same first axis")])
def test_labels_that_do_not_fit(labels: list[int], words: str) -> None:
    with pytest.raises(CaffeError, match=words):
        Rig(text(), [np.zeros((2, 3)), np.array(labels)]).forward()
