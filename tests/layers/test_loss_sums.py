"""The losses that Caffe adds term by term in float32: they are its sums, roundings included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.layers.loss_base import sum_in_order
from pycaffe_lite.proto.read import read_solver
from pycaffe_lite.solvers.registry import get_solver
from rigs import ROOT
from rigs.layer_rig import Rig
from rigs.net_rig import layer, logged, make_solver, messages

Arrays = list[np.ndarray]
FLT_MIN = np.finfo(np.float32).tiny


def loop(terms: np.ndarray) -> np.float32:
    """0 plus each term, rounded after each."""
    total = np.float32(0)
    for term in terms.astype(np.float32).ravel():
        total = np.float32(total + term)
    return total


def float32(generator: np.random.Generator, *shape: int) -> np.ndarray:
    return generator.normal(size=shape).astype(np.float32)


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def softmax_terms(x: np.ndarray, label: np.ndarray) -> np.ndarray:
    return -np.log(np.take_along_axis(softmax(x), label[:, None].astype(int), 1))


def sigmoid_terms(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    above = (x >= 0).astype(np.float32)
    return np.log(1 + np.exp(-np.abs(x))) - x * (t - above)


def multinomial_terms(p: np.ndarray, label: np.ndarray) -> np.ndarray:
    return -np.log(p[np.arange(len(p)), label.astype(int)])


def infogain_terms(x: np.ndarray, label: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The classes of a position come one after the other, and the positions in order."""
    logarithms = np.log(softmax(x)).transpose(0, 2, 1)
    return -matrix[label.astype(int)] * logarithms


def contrastive_terms(a: np.ndarray, b: np.ndarray, alike: np.ndarray) -> np.ndarray:
    squared = np.square(a - b).sum(axis=1)
    apart = np.square(np.maximum(np.float32(1) - np.sqrt(squared), 0))
    return np.where(alike != 0, squared, apart)


def bottoms(kind: str, generator: np.random.Generator) -> Arrays:
    if kind == "SoftmaxWithLoss":
        return [float32(generator, 2, 5, 100000), generator.integers(0, 5, (2, 100000))]
    if kind == "SigmoidCrossEntropyLoss":
        return [float32(generator, 40, 1000), generator.random((40, 1000), np.float32)]
    if kind == "MultinomialLogisticLoss":
        return [generator.random((30000, 3), np.float32), generator.integers(0, 3, 30000)]
    if kind == "InfogainLoss":
        scores, labels = float32(generator, 2, 3, 9000), generator.integers(0, 3, (2, 9000))
        return [scores, labels, generator.random((3, 3), np.float32)]
    a, b = float32(generator, 200000, 2), float32(generator, 200000, 2)
    return [a, b, generator.integers(0, 2, 200000)]


@pytest.mark.parametrize(
    ("kind", "terms", "divisor"),
    [
        ("SoftmaxWithLoss", softmax_terms, 200000),
        ("SigmoidCrossEntropyLoss", sigmoid_terms, 40),
        ("MultinomialLogisticLoss", multinomial_terms, 30000),
        ("InfogainLoss", infogain_terms, 18000),
        ("ContrastiveLoss", contrastive_terms, 400000),
    ],
)
def test_a_loss_is_the_sum_of_its_terms_one_after_the_other(
    kind: str, terms: Callable[..., np.ndarray], divisor: int, generator: np.random.Generator
) -> None:
    arrays = bottoms(kind, generator)
    names = " ".join(f'bottom: "{i}"' for i in range(len(arrays)))
    (loss,) = Rig(f'type: "{kind}" {names} top: "loss"', arrays).forward()
    given = terms(*arrays)
    in_order, exact = loop(given) / divisor, given.sum(dtype=np.float64) / divisor
    # Terms that differ in their last bit move the sum by less than the roundings of the sum do.
    assert abs(loss - in_order) < 0.2 * abs(exact - in_order)
    assert abs(exact - in_order) > 1e-6 * exact


def test_the_sum_is_that_of_a_loop(generator: np.random.Generator) -> None:
    terms = generator.random((5, 4000), np.float32)
    assert sum_in_order(terms) == loop(terms) != np.float32(terms.sum())
    assert sum_in_order(terms.astype(np.float64)) == pytest.approx(terms.sum(dtype=np.float64), rel=1e-14)
    assert sum_in_order(np.zeros((3, 0), np.float32)) == 0


def printed(lines: list[str]) -> str:
    """The loss that the log gives for iteration 0."""
    (line,) = [text for text in messages(lines) if text.startswith("Iteration 0 (")]
    return line.split("loss = ")[1]


def test_an_autoencoder_prints_the_sum_in_order(tmp_path: Path) -> None:
    text = read_solver(str(ROOT / "configs" / "mnist_autoencoder" / "solver.prototxt"))
    del text.param.test_iter[:], text.param.test_state[:]
    text.param.ClearField("test_interval")
    text.param.snapshot_prefix, text.param.snapshot, text.param.display = str(tmp_path / "auto"), 0, 1
    text.param.snapshot_after_train = False
    solver = get_solver(text)
    lines = logged()
    solver.step(1)
    solver.close()
    x, t = (solver.net.blobs[name].data.reshape(100, 784) for name in ("decode1", "flatdata"))
    terms = sigmoid_terms(x, t)
    assert terms.size == 78400
    assert printed(lines) == f"{loop(terms) / 100:g}" != f"{terms.sum(dtype=np.float64) / 100:g}"


def test_a_net_over_pixels_prints_the_sum_in_order(tmp_path: Path) -> None:
    data = layer(
        "data", "DummyData", top=["x", "label"],
        more='dummy_data_param { shape { dim: 8 dim: 3 dim: 64 dim: 64 } shape { dim: 8 dim: 64 dim: 64 } '
        'data_filler { type: "gaussian" } data_filler { type: "uniform" min: 0 max: 5 } }',
    )  # fmt: skip
    score = layer(
        "score", "Convolution", ["x"], ["score"],
        'convolution_param { num_output: 5 kernel_size: 3 pad: 1 weight_filler { type: "gaussian" std: 0.1 } }',
    )  # fmt: skip
    loss = layer("loss", "SoftmaxWithLoss", ["score", "label"], ["loss"], "loss_param { normalize: false }")
    solver = make_solver(tmp_path, data + score + loss, "base_lr: 0 lr_policy: 'fixed' display: 1 random_seed: 3")
    lines = logged()
    solver.step(1)
    x, label = solver.net.blobs["score"].data, solver.net.blobs["label"].data
    terms = softmax_terms(x.reshape(8, 5, 4096), label.reshape(8, 4096))
    assert printed(lines) == f"{loop(terms) / 8:g}" != f"{terms.sum(dtype=np.float64) / 8:g}"
