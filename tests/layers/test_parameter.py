"""Parameter: its top is its blob, also after the net has moved the blob."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.net import Net
from rigs.net_rig import make_net

NET = """
    layer { name: "p" type: "Parameter" top: "w" param { lr_mult: LR } parameter_param { shape { dim: 2 dim: 3 } } }
    layer { name: "r" type: "Reshape" bottom: "w" top: "flat" reshape_param { shape { dim: 6 } } loss_weight: 2 }
"""


def net(lr_mult: float = 1) -> Net:
    return make_net(NET.replace("LR", str(lr_mult)))


@pytest.mark.parametrize("flatten", [False, True])
def test_the_top_shows_the_parameter(flatten: bool) -> None:
    made = net()
    assert not made.params["p"][0].data.any()
    if flatten:
        made.flatten()
    made.params["p"][0].data[...] = np.arange(6).reshape(2, 3)
    assert made.forward_loss() == 2 * 15
    np.testing.assert_array_equal(made.blobs["flat"].data, np.arange(6))


def test_gradients_of_several_passes_add_up() -> None:
    made = net()
    for _ in range(3):
        made.forward_backward()
    assert np.all(made.params["p"][0].diff == 6)


def test_without_a_rate_there_is_no_gradient() -> None:
    made = net(0)
    made.forward_backward()
    assert not made.params["p"][0].diff.any()
