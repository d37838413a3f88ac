"""ContrastiveLoss: against plain loops, where there is no push, and shapes it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import Rig


def text(fields: str = "") -> str:
    return (
        'type: "ContrastiveLoss" bottom: "a" bottom: "b" bottom: "alike" top: "loss" '
        f"contrastive_loss_param {{ {fields} }}"
    )


@pytest.mark.parametrize("legacy", [False, True])
def test_loss_is_that_of_plain_loops(legacy: bool, generator: np.random.Generator) -> None:
    a, b = generator.normal(size=(2, 6, 3))
    alike = generator.integers(0, 2, 6)
    expected = 0.0
    for n in range(6):
        distance = np.linalg.norm(a[n] - b[n])
        apart = max(2.5 - distance**2, 0) if legacy else max(2.5 - distance, 0) ** 2
        expected += distance**2 if alike[n] else apart
    (loss,) = Rig(text(f"margin: 2.5 legacy_version: {str(legacy).lower()}"), [a, b, alike]).forward()
    np.testing.assert_allclose(loss, expected / 12, rtol=1e-6)


def test_equal_vectors_that_are_not_alike_are_not_pushed() -> None:
    rig = Rig(text(), [np.ones((1, 3)), np.ones((1, 3)), np.zeros(1)])
    assert rig.forward()[0] == 0.5
    assert not np.any(rig.backward([np.ones(())], [True, True, False])[0])


def test_a_fraction_is_cut_off() -> None:
    a, b = np.ones((3, 2)), np.zeros((3, 2))
    (whole,) = Rig(text(), [a, b, np.array([0, 1, 1])]).forward()
    (cut,) = Rig(text(), [a, b, np.array([0.9, 1.9, -1.5])]).forward()
    assert whole == cut


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        (((2, 3), (2, 4), (2,)), "as many channels"),
        (((2, 3, 2), (2, 3, 2), (2,)), "expected vectors"),
        (((2, 3, 1, 1, 1), (2, 3), (2,)), "expected vectors"),
        (((2, 3), (2, 3), (2, 2)), "one number for each of the 2 pairs"),
    ],
)
def test_shapes_that_do_not_fit(shapes: tuple[tuple[int, ...], ...], words: str) -> None:
    with pytest.raises(CaffeError, match=words):
        Rig(text(), [np.zeros(shape) for shape in shapes])


def test_alike_gets_no_gradient() -> None:
    rig = Rig(text(), [np.zeros((1, 2)), np.zeros((1, 2)), np.zeros(1)])
    rig.forward()
    with pytest.raises(CaffeError, match="cannot propagate to y"):
        rig.backward([np.ones(())])
