"""Silence: no gradient."""

from __future__ import annotations

import numpy as np

from rigs.layer_rig import Rig


def test_gradient_is_zero_where_it_is_wanted() -> None:
    rig = Rig('type: "Silence" bottom: "x" bottom: "y"', [np.ones(2), np.ones(3)])
    rig.forward()
    for blob in rig.bottom:
        blob.diff[...] = 4
    rig.layer.backward([], [True, False], rig.bottom)
    assert not rig.bottom[0].diff.any()
    assert np.all(rig.bottom[1].diff == 4)
