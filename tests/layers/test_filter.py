"""Filter: tops as long as what is kept, and nets behind it."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from rigs.gradient_check import check_gradients
from rigs.layer_rig import CHANNELS_LAST, Rig
from rigs.net_rig import make_net

TEXT = 'type: "Filter" bottom: "x" bottom: "keep" top: "y" '
NET = """
    layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 4 dim: 2 } } }
    layer { name: "keep" type: "Input" top: "keep" input_param { shape { dim: 4 } } }
    layer { name: "ip" type: "InnerProduct" bottom: "x" top: "h"
            inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
    layer { name: "filter" type: "Filter" bottom: "h" bottom: "keep" top: "y" loss_weight: 3 }
"""


@pytest.mark.parametrize("order", [None, CHANNELS_LAST])
def test_kept_items_and_their_gradients(generator: np.random.Generator, order: tuple[int, ...] | None) -> None:
    x = generator.normal(size=(4, 2, 3, 2))
    rig = Rig(TEXT, [x, np.array([0.0, 2.0, 0.0, -1.0])], dtype=np.float64, order=order)
    assert rig.top[0].shape == x.shape  # as in Caffe, whose selectors have no values yet
    np.testing.assert_array_equal(rig.forward()[0], x[[1, 3]])
    check_gradients(rig, [generator.normal(size=(2, 2, 3, 2))], [0])
    assert not rig.bottom[0].diff[[0, 2]].any()


def test_none_may_be_kept() -> None:
    rig = Rig(TEXT, [np.ones((2, 3)), np.zeros(2)])
    assert rig.forward()[0].shape == (0, 3)
    rig.bottom[0].diff[...] = 9
    assert not rig.backward([np.zeros((0, 3))], [True, False])[0].any()


def test_a_net_follows_the_number_of_kept_items_and_keeps_the_loss_weight() -> None:
    net = make_net(NET)
    net.blobs["x"].data[...] = 1
    for keep in ([1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 1, 0]):
        net.blobs["keep"].data[...] = keep
        loss = net.forward_loss()
        assert net.blobs["y"].shape == (sum(keep), 2)
        assert loss == pytest.approx(3 * net.blobs["y"].data.sum())
        net.clear_param_diffs()
        net.backward()
        assert np.all(net.params["ip"][1].diff == 3 * sum(keep))


@pytest.mark.parametrize(
    ("text", "shapes", "message"),
    [
        (TEXT, ((2, 3), (2, 2)), "selector of shape N or N x 1"),
        (TEXT, ((2, 3), ()), "selector of shape N or N x 1"),
        (TEXT, ((2, 3), (3,)), r"bottoms with 3 items, as many as the selector, got shape \[2, 3\]"),
        (TEXT, ((), (3,)), "bottoms with 3 items"),
        (TEXT + 'top: "z"', ((2, 3), (2,)), "expected a top for each bottom but the last"),
    ],
)
def test_bottoms_that_do_not_fit_are_refused(text: str, shapes: tuple[tuple[int, ...], ...], message: str) -> None:
    with pytest.raises(CaffeError, match=message):
        Rig(text, [np.zeros(shape) for shape in shapes])


def test_nothing_is_propagated_into_the_selector() -> None:
    rig = Rig(TEXT, [np.ones((2, 3)), np.ones(2)])
    rig.forward()
    assert tuple(rig.layer.may_propagate) == (True, False)
    with pytest.raises(CaffeError, match="cannot propagate to its selector"):
        rig.backward([np.ones((2, 3))], [True, True])
