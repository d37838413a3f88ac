"""Numbers that choose a row, a class or a side: the fraction is cut off, towards 0, and then they are checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from rigs.layer_rig import Rig
from rigs.net_rig import inner_product, layer, make_solver, softmax_loss

SCORES = np.array([[0.1, 2.0, 0.3], [1.0, 0.2, 0.4], [0.5, 0.6, 3.0]], np.float32)
FRACTIONS, WHOLE = np.array([-0.97, 1.99, 2.5]), np.array([0.0, 1.0, 2.0])
IDENTITY = 0.2 + np.eye(3)
INDICES = {
    "BatchReindex": ('bottom: "x" bottom: "i" top: "y"', [SCORES], []),
    "Embed": ('bottom: "i" top: "y" embed_param { input_dim: 3 num_output: 2 weight_filler { type: "msra" } }', [], []),
    "SoftmaxWithLoss": ('bottom: "x" bottom: "i" top: "y"', [SCORES], []),
    "MultinomialLogisticLoss": ('bottom: "x" bottom: "i" top: "y"', [SCORES / 4], []),
    "InfogainLoss": ('bottom: "x" bottom: "i" bottom: "h" top: "y"', [SCORES], [IDENTITY]),
    "HingeLoss": ('bottom: "x" bottom: "i" top: "y"', [SCORES], []),
    "Accuracy": ('bottom: "x" bottom: "i" top: "y" top: "by_class"', [SCORES], []),
}  # fmt: skip


def tops(kind: str, index: np.ndarray, more: str = "") -> list[np.ndarray]:
    text, before, after = INDICES[kind]
    return Rig(f'type: "{kind}" {text} {more}', [*before, index, *after]).forward()


@pytest.mark.parametrize("kind", INDICES)
def test_a_fraction_is_cut_off_before_the_check(kind: str) -> None:
    for ours, expected in zip(tops(kind, FRACTIONS), tops(kind, WHOLE), strict=True):
        np.testing.assert_array_equal(ours, expected)
    assert any(not np.array_equal(a, b) for a, b in zip(tops(kind, WHOLE), tops(kind, WHOLE[[1, 1, 2]]), strict=True))


@pytest.mark.parametrize("kind", INDICES)
@pytest.mark.parametrize("number", [-1.0, 3.0, 1e30, np.nan])
def test_what_is_outside_then_is_refused(kind: str, number: float) -> None:
    with pytest.raises(CaffeError, match=rf"\({kind}\): expected (row numbers|labels) from 0 to 2, got "):
        tops(kind, np.array([0.0, number, 1.0]))


@pytest.mark.parametrize(("kind", "param"), [
    ("SoftmaxWithLoss", "loss_param"), ("InfogainLoss", "loss_param"), ("Accuracy", "accuracy_param"),
])  # fmt: skip
def test_ignore_label_is_compared_once_the_fraction_is_off(kind: str, param: str) -> None:
    for ignored, label in ((-1, -1.6), (0, -0.97), (7, 7.2)):
        more = f"{param} {{ ignore_label: {ignored} }}"
        ours, expected = (tops(kind, np.array([1.0, number, 2.0]), more)[0] for number in (label, ignored))
        np.testing.assert_array_equal(ours, expected)


def test_a_pair_is_alike_if_its_number_is_not_0_once_the_fraction_is_off() -> None:
    a, b = np.ones((3, 2)), np.zeros((3, 2))
    text = 'type: "ContrastiveLoss" bottom: "a" bottom: "b" bottom: "y" top: "loss"'
    ours, expected = (Rig(text, [a, b, np.array(y)]).forward()[0] for y in ([-0.97, 0.97, -1.2], [0, 0, 1]))
    np.testing.assert_array_equal(ours, expected)


def test_a_target_is_ignored_if_it_is_ignore_label_once_the_fraction_is_off() -> None:
    text = 'type: "SigmoidCrossEntropyLoss" bottom: "x" bottom: "t" top: "loss" loss_param { ignore_label: 0 }'
    ours, expected = (Rig(text, [SCORES[0], np.array(t)]).forward()[0] for t in ([-0.97, 1, 0.4], [0, 1, 0]))
    np.testing.assert_array_equal(ours * 3, expected * 3)
    assert ours > 0


def test_a_selector_keeps_what_is_not_0_fractions_included() -> None:
    """Caffe does not make a whole number of it."""
    (kept,) = Rig('type: "Filter" bottom: "x" bottom: "s" top: "y"', [SCORES, np.array([-0.97, 0, 0.5])]).forward()
    np.testing.assert_array_equal(kept, SCORES[[0, 2]])


def test_labels_of_a_file_are_checked_once_the_fraction_is_off(tmp_path: Path) -> None:
    def train(labels: list[float]) -> None:
        np.savez(tmp_path / "d.npz", data=np.zeros((3, 1, 2, 2), np.float32), label=np.array(labels, np.float32))
        source = 'data_param { source: "d.npz" backend: NPZ batch_size: 3 }'
        net = layer("d", "Data", top=["x", "label"], more=source) + inner_product("fc", "x", 3) + softmax_loss("fc")
        solver = make_solver(tmp_path, net, 'base_lr: 0.1 lr_policy: "fixed" max_iter: 1 snapshot_after_train: false')
        try:
            solver.solve()
            assert 0 < float(solver.net.blobs["loss"].data) < 5
        finally:
            solver.close()

    train([-0.97, 2.9, 1])
    with pytest.raises(CaffeError, match=r"expected labels from 0 to 2, .* got -1 in record 0"):
        train([-1, 2.9, 1])
