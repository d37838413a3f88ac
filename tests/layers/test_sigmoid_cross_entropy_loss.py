"""SigmoidCrossEntropyLoss: against the plain formula, its normalizations, and scores of any size."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import Rig


def text(fields: str = "") -> str:
    return f'type: "SigmoidCrossEntropyLoss" bottom: "x" bottom: "t" top: "loss" loss_param {{ {fields} }}'


@pytest.mark.parametrize(
    ("fields", "divisor"),
    [
        ("", 3),
        ("normalization: FULL", 24),
        ("normalization: VALID", 24),
        ("normalization: NONE", 1),
        ("normalize: true", 24),
        ("normalize: false", 3),
    ],
)
def test_loss_is_that_of_the_formula(fields: str, divisor: int, generator: np.random.Generator) -> None:
    x, t = generator.normal(size=(3, 2, 4)), generator.uniform(size=(3, 2, 4))
    s = 1 / (1 + np.exp(-x))
    rig = Rig(text(fields), [x, t])
    (loss,) = rig.forward()
    np.testing.assert_allclose(loss, -np.sum(t * np.log(s) + (1 - t) * np.log(1 - s)) / divisor, rtol=1e-5)
    (diff, _) = rig.backward([np.array(2.0)], [True, False])
    np.testing.assert_allclose(diff, (s - t) * 2 / divisor, rtol=1e-4, atol=1e-6)


def test_large_scores_cost_their_size_and_no_more() -> None:
    rig = Rig(text(), [np.array([[-1e4, 1e4, 1e4, -1e4]]), np.array([[0.0, 1, 0, 1]])])
    assert rig.forward()[0] == 2e4
    np.testing.assert_array_equal(rig.backward([np.ones(())], [True, False])[0], [[0, 0, 1, -1]])


def test_targets_are_compared_without_their_fractions() -> None:
    x, t = np.ones((1, 4)), np.array([[1.5, 1, 0.5, 2]])
    rig = Rig(text("ignore_label: 1 normalization: VALID"), [x, t])
    (loss,) = rig.forward()
    (expected,) = Rig(text("normalization: VALID"), [x[:, 2:], t[:, 2:]]).forward()
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    assert np.array_equal(rig.backward([np.ones(())], [True, False])[0] == 0, [[True, True, False, False]])


def test_a_batch_that_is_all_ignored_costs_nothing() -> None:
    rig = Rig(text("ignore_label: 1 normalization: VALID"), [np.ones((2, 3)), np.ones((2, 3))])
    assert rig.forward()[0] == 0
    assert not rig.backward([np.ones(())], [True, False])[0].any()


@pytest.mark.parametrize(("t", "words"), [((2, 4), "one target for each of the 6"), ((3, 2), "same first axis")])
def test_shapes_that_do_not_fit(t: tuple[int, ...], words: str) -> None:
    with pytest.raises(CaffeError, match=words):
        Rig(text(), [np.zeros((2, 3)), np.zeros(t)])
