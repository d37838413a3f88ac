"""SoftmaxWithLoss: against plain loops, its normalizations, and labels it refuses."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import Rig

LOSS = 'type: "SoftmaxWithLoss" bottom: "x" bottom: "label" top: "loss" '
FLT_MIN = 1.1754943508222875e-38


def naive_loss(x: np.ndarray, label: np.ndarray, ignore: int | None, mode: str) -> float:
    """The loss of N x C x M scores and N x M labels, one at a time."""
    total, valid = 0.0, 0
    for n, m in np.ndindex(label.shape):
        if label[n, m] != ignore:
            powers = [exp(score - max(x[n, :, m])) for score in x[n, :, m]]
            total -= log(max(powers[int(label[n, m])] / sum(powers), FLT_MIN))
            valid += 1
    divisor = {"FULL": label.size, "VALID": valid, "BATCH_SIZE": len(label), "NONE": 1}[mode]
    return total / max(1, divisor)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 4)),
    ignore=st.one_of(st.none(), st.integers(-1, 4)),
    mode=st.sampled_from(["FULL", "VALID", "BATCH_SIZE", "NONE"]),
    seed=st.integers(0, 99),
)
def test_loss_is_that_of_plain_loops(shape: tuple[int, int, int], ignore: int | None, mode: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    x = generator.normal(scale=4, size=shape)
    label = generator.integers(0, shape[1], (shape[0], shape[2]))
    ignored = "" if ignore is None else f"ignore_label: {ignore}"
    rig = Rig(LOSS + f"loss_param {{ {ignored} normalization: {mode} }}", [x, label])
    (loss,) = rig.forward()
    np.testing.assert_allclose(loss, naive_loss(x, label, ignore, mode), rtol=1e-5, atol=1e-6)


def test_the_name_of_the_top_is_optional_and_its_weight_is_one() -> None:
    layer = Rig(LOSS, [np.zeros((2, 3)), np.zeros(2)]).layer
    assert layer.auto_tops
    assert layer.loss_weights == [1]


def test_probability_has_a_floor() -> None:
    (loss,) = Rig(LOSS, [np.array([[0, 1e4]]), np.array([0])]).forward()
    np.testing.assert_allclose(loss, -log(FLT_MIN), rtol=1e-6)


def test_a_certain_and_right_prediction_costs_nothing() -> None:
    (loss,) = Rig(LOSS, [np.array([[0, 1e4]]), np.array([1])]).forward()
    assert loss == 0
    assert not np.signbit(loss)


def test_a_batch_that_is_all_ignored_costs_nothing() -> None:
    rig = Rig(LOSS + "loss_param { ignore_label: 255 }", [np.ones((2, 3)), np.full(2, 255)])
    (loss,) = rig.forward()
    assert loss == 0
    assert not rig.backward([np.ones(())], [True, False])[0].any()


def test_second_top_is_the_probabilities() -> None:
    x = np.array([[0.0, log(3)]])
    rig = Rig(LOSS + 'top: "p"', [x, np.array([0])])
    np.testing.assert_allclose(rig.forward()[1], [[0.25, 0.75]], rtol=1e-6)
    assert rig.layer.loss_weights == [1, 0]
    rig.backward([np.ones(()), np.zeros((1, 2))], [True, False])
    np.testing.assert_allclose(rig.top[1].data, [[0.25, 0.75]], rtol=1e-6)


def test_loss_weight_scales_the_gradient() -> None:
    rig = Rig(LOSS, [np.zeros((1, 2)), np.array([0])])
    rig.forward()
    np.testing.assert_allclose(rig.backward([np.array(3.0)], [True, False])[0], [[-1.5, 1.5]])


def test_a_fraction_of_a_label_is_cut_off() -> None:
    x = np.random.default_rng(1).normal(size=(3, 2))
    text = LOSS + "loss_param { ignore_label: 255 }"
    (whole,) = Rig(text, [x, np.array([0, 1, 255])]).forward()
    (cut,) = Rig(text, [x, np.array([-0.9, 1.9, 255.5])]).forward()
    assert whole == cut


@pytest.mark.parametrize("label", [-1, 3, np.nan, np.inf, 1e30])
def test_a_label_out_of_range_is_named(label: float) -> None:
    labels = np.array([0, 2, label, 7])
    rig = Rig(LOSS, [np.zeros((4, 3)), labels])
    with pytest.raises(CaffeError, match=r'"layer" \(SoftmaxWithLoss\): .*0 to 2, got (\S+) at position \[2\]'):
        rig.forward()


def test_position_of_a_wrong_label_is_that_in_its_blob() -> None:
    labels = np.zeros((2, 2, 3))
    labels[1, 0, 2] = 5
    with pytest.raises(CaffeError, match=r"got 5 at position \[1, 0, 2\]"):
        Rig(LOSS, [np.zeros((2, 4, 2, 3)), labels]).forward()


@pytest.mark.parametrize(
    ("scores", "labels", "text"),
    [
        ((4, 3), (5,), r"same first axis, got shapes \[4, 3\] and \[5\]"),
        ((4, 3), (4, 2), r"one label for each prediction, 4 .* got 8 of shape \[4, 2\]"),
        ((4, 3), (), "same first axis"),
        ((4,), (4,), "expected an axis"),
        ((4, 0), (4,), "one class or more"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(scores: tuple[int, ...], labels: tuple[int, ...], text: str) -> None:
    with pytest.raises(CaffeError, match=text):
        Rig(LOSS, [np.zeros(scores), np.zeros(labels)])


def test_labels_get_no_gradient() -> None:
    rig = Rig(LOSS, [np.zeros((2, 3)), np.zeros(2)])
    rig.forward()
    with pytest.raises(CaffeError, match="cannot propagate to its targets"):
        rig.backward([np.ones(())], [True, True])
