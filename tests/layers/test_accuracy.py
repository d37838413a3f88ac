"""Accuracy: against plain loops, ties, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import Rig

ACCURACY = 'type: "Accuracy" bottom: "x" bottom: "label" top: "share" '


def naive_accuracy(x: np.ndarray, label: np.ndarray, top_k: int, ignore: int | None) -> float:
    """The share of right N x C x M scores for N x M labels, one at a time."""
    right = valid = 0
    for n, m in np.ndindex(label.shape):
        true = label[n, m]
        if true != ignore:
            valid += 1
            better = sum(x[n, k, m] >= x[n, true, m] for k in range(x.shape[1]) if k != true)
            right += better < top_k
    return right / max(1, valid)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 4)),
    ignore=st.one_of(st.none(), st.integers(0, 4)),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_share_is_that_of_plain_loops(
    shape: tuple[int, int, int], ignore: int | None, seed: int, data: st.DataObject
) -> None:
    generator = np.random.default_rng(seed)
    x = generator.integers(0, 4, shape)  # few values, so that many are equal
    label = generator.integers(0, shape[1], (shape[0], shape[2]))
    top_k = data.draw(st.integers(1, shape[1]))
    ignored = "" if ignore is None else f"ignore_label: {ignore}"
    rig = Rig(ACCURACY + f"accuracy_param {{ top_k: {top_k} {ignored} }}", [x, label])
    np.testing.assert_allclose(rig.forward()[0], naive_accuracy(x, label, top_k, ignore), rtol=1e-6)


def test_a_tie_counts_against_the_true_class() -> None:
    (share,) = Rig(ACCURACY, [np.array([[1, 1], [2, 1]]), np.array([0, 0])]).forward()
    assert share == 0.5


def test_scores_that_are_no_numbers_are_wrong() -> None:
    (share,) = Rig(ACCURACY, [np.full((3, 4), np.nan), np.arange(3)]).forward()
    assert share == 0


def test_shares_by_class() -> None:
    x = np.array([[3, 1, 0], [0, 1, 0], [0, 1, 0], [9, 0, 0]])
    rig = Rig(ACCURACY + 'top: "by_class"', [x, np.array([0, 0, 1, 0])])
    share, by_class = rig.forward()
    assert share == 0.75
    np.testing.assert_allclose(by_class, [2 / 3, 1, 0], rtol=1e-6)  # class 2 has no labels


def test_shares_by_class_leave_the_ignored_out() -> None:
    text = ACCURACY + 'top: "by_class" accuracy_param { ignore_label: 1 }'
    share, by_class = Rig(text, [np.array([[1, 0], [0, 1], [0, 1]]), np.array([0, 1, 0])]).forward()
    assert share == 0.5
    np.testing.assert_array_equal(by_class, [0.5, 0])


def test_axis_of_the_classes() -> None:
    text = ACCURACY + "accuracy_param { axis: -1 }"
    (share,) = Rig(text, [np.array([[[0, 1], [1, 0]]]), np.array([[1, 1]])]).forward()
    assert share == 0.5


def test_more_top_classes_than_classes_are_refused() -> None:
    with pytest.raises(CaffeError, match=r"\(Accuracy\): expected top_k of at most 3, .*, got 4"):
        Rig(ACCURACY + "accuracy_param { top_k: 4 }", [np.zeros((2, 3)), np.zeros(2)])


def test_a_label_out_of_range_is_named() -> None:
    with pytest.raises(CaffeError, match=r"labels from 0 to 2, got 3 at position \[1\]"):
        Rig(ACCURACY, [np.zeros((2, 3)), np.array([0, 3])]).forward()


def test_there_is_no_derivative() -> None:
    rig = Rig(ACCURACY, [np.zeros((2, 3)), np.zeros(2)])
    rig.forward()
    with pytest.raises(CaffeError, match="no derivative"):
        rig.backward([np.ones(())])
