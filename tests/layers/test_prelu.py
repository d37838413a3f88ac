"""PReLU: its slopes, 0, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import Rig

PRELU = 'type: "PReLU" bottom: "x" top: "y"'
X = np.array([[-2.0, -2], [0, -0.0], [4, 4]])


def test_slopes_are_a_quarter_unless_filled() -> None:
    np.testing.assert_array_equal(Rig(PRELU, [X]).params()[0], [0.25, 0.25])
    filled = Rig(PRELU + "prelu_param { filler { value: 0.5 } channel_shared: true }", [X])
    np.testing.assert_array_equal(filled.params()[0], 0.5)


def test_at_0_the_derivative_is_the_slope() -> None:
    rig = Rig(PRELU, [X])
    rig.set_params([np.array([0.5, -3])])
    np.testing.assert_array_equal(rig.forward()[0], [[-1, 6], [0, 0], [4, 4]])
    rig.clear_param_diffs()
    np.testing.assert_array_equal(rig.backward([np.full(X.shape, 2)])[0], [[1, -6], [1, -6], [2, 2]])
    np.testing.assert_array_equal(rig.param_diffs()[0], [-4, -4])


def test_a_bottom_without_channels_is_refused() -> None:
    with pytest.raises(CaffeError, match=r"\(PReLU\): expected a bottom of at least 2 axes, got shape \[3\]"):
        Rig(PRELU, [np.zeros(3)])


def test_another_number_of_channels_is_refused() -> None:
    rig = Rig(PRELU, [X])
    rig.put([np.zeros((3, 5))])
    with pytest.raises(CaffeError, match=r"expected 2 channels, as when it was made, got shape \[3, 5\]"):
        rig.reshape()
