"""The fillers against Caffe's own values, see golden/fillers/README.md."""

from __future__ import annotations

import json
import re
from math import prod
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format

from pycaffe_lite import rng
from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.layers.filler import fill
from pycaffe_lite.proto import caffe_pb2
from rigs import GOLDEN

FOLDER = GOLDEN / "fillers"
CASES: dict[str, list[dict[str, Any]]] = json.loads((FOLDER / "fillers.json").read_text())
with np.load(FOLDER / "arrays.npz") as _arrays:
    ARRAYS = dict(_arrays)

KNOWN = ["bilinear", "constant", "gaussian", "msra", "positive_unitball", "uniform", "xavier"]


def cases(kind: str) -> pytest.MarkDecorator:
    named = [pytest.param(case, id=f"{case.get('filler', '')} {case['shape']}") for case in CASES[kind]]
    return pytest.mark.parametrize("case", named)


def filled(text: str, shape: list[int], order: list[int] | None = None, dtype: type = np.float32) -> np.ndarray:
    blob = Blob(shape, order, dtype)
    fill(blob, text_format.Parse(text, caffe_pb2.FillerParameter()))
    assert not blob.has_diff
    return blob.data


def filled_from(seed: int, text: str, shape: list[int]) -> np.ndarray:
    rng.set_random_seed(seed)
    return filled(text, shape)


# -- Caffe's values ----------------------------------------------------------------------------------------


@cases("exact")
def test_without_chance(case: dict[str, Any]) -> None:
    rng.set_random_seed(1)
    np.testing.assert_allclose(filled(case["filler"], case["shape"]), ARRAYS[case["array"]], rtol=0, atol=1e-7)
    assert rng.word() == rng.Generator(1).word(), "it draws nothing"


@cases("seeded")
def test_same_seed_same_bits(case: dict[str, Any]) -> None:
    rng.set_random_seed(case["random_seed"])
    got = np.array([filled(case["filler"], case["shape"]).copy() for _ in range(case["fillings"])])
    want = ARRAYS[case["array"]]
    assert np.array_equal(got.view(np.uint32), want.view(np.uint32))


@cases("dropout")
def test_same_seed_same_masks(case: dict[str, Any]) -> None:
    """Where Caffe's Dropout let its input through, pass by pass."""
    rng.set_random_seed(case["random_seed"])
    for output in ARRAYS[case["array"]]:
        mask = rng.bernoulli(output.size, 1 - case["dropout_ratio"])
        assert np.array_equal(mask.reshape(output.shape), output != 0)


@cases("statistics")
def test_statistics(case: dict[str, Any]) -> None:
    rng.set_random_seed(1)
    fillings = case["values"] // prod(case["shape"])
    values = np.array([filled(case["filler"], case["shape"]).copy() for _ in range(fillings)])
    assert values.size == case["values"]
    assert np.isfinite(values).all()
    check(values, case["defined"])


def check(values: np.ndarray, defined: dict[str, float]) -> None:
    """The bounds the README gives, for each thing that the definition says."""
    nonzero = values[values != 0]
    mean, std = defined["mean"], defined.get("std", float(values.std(dtype=np.float64)))
    assert values.mean(dtype=np.float64) == pytest.approx(mean, abs=5 * std / values.size**0.5 + 1e-7)
    assert values.std(dtype=np.float64) == pytest.approx(std, rel=0.05)
    assert np.float32(defined.get("min", -np.inf)) <= values.min()
    assert values.max() <= np.float32(defined.get("max", np.inf))
    if "sum_over_all_but_axis_0" in defined:
        sums = values.reshape(*values.shape[:2], -1).sum(axis=2, dtype=np.float64)
        np.testing.assert_allclose(sums, 1, rtol=1e-4)
    if "nonzero_fraction" in defined:
        share = defined["nonzero_fraction"]
        deviation = (share * (1 - share) / values.size) ** 0.5
        assert nonzero.size / values.size == pytest.approx(share, abs=5 * deviation)
    if "nonzero_fraction" in defined and nonzero.size:
        spread = defined["std_of_nonzero"]
        assert nonzero.std(dtype=np.float64) == pytest.approx(spread, rel=0.05)
        error = 5 * spread / nonzero.size**0.5
        assert nonzero.mean(dtype=np.float64) == pytest.approx(defined["mean_of_nonzero"], abs=error)


def test_positive_unitball_sums_one_after_the_other() -> None:
    """As Caffe does; the order shows in the last bits of long rows."""
    got = filled_from(2, 'type: "positive_unitball"', [3, 1000])
    for row, values in zip(got, rng.Generator(2).uniform(3000).reshape(3, 1000), strict=True):
        total = np.float32(0)
        for value in values:
            total += value
        assert np.array_equal(row, values / total)


# -- where the values go -----------------------------------------------------------------------------------

TEXTS = [
    'type: "constant" value: 3',
    'type: "uniform" min: -1 max: 1',
    'type: "gaussian" sparse: 2',
    'type: "positive_unitball"',
    'type: "xavier"',
    'type: "msra" variance_norm: FAN_OUT',
    'type: "bilinear"',
]


@pytest.mark.parametrize("text", TEXTS)
def test_values_do_not_depend_on_memory_order_or_type(text: str) -> None:
    """A float64 blob, as gradient checks use it, gets the same float32 values."""
    results = []
    for order, dtype in [(None, np.float32), ((0, 2, 3, 1), np.float32), (None, np.float64)]:
        rng.set_random_seed(4)
        results.append((filled(text, [6, 3, 5, 5], order, dtype), rng.word()))
    (want, word), *others = results
    assert want.any()
    for got, next_word in others:
        assert np.array_equal(got, want)
        assert next_word == word


def test_the_blobs_own_array_is_filled() -> None:
    blob = Blob([2, 3])
    data = blob.data
    fill(blob, caffe_pb2.FillerParameter(type="uniform", min=1, max=2))
    assert blob.data is data
    assert (data >= 1).all()


def test_a_scalar_can_be_filled() -> None:
    assert filled("value: 2.5", []) == 2.5


# -- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shape", "message"),
    [
        ('type: "xavir"', [2, 3], f'out of {", ".join(KNOWN)}, got "xavir"; did you mean "xavier"?'),
        ('type: "MSRA"', [2, 3], 'did you mean "msra"?'),
        ('type: "?"', [2, 3], f'out of {", ".join(KNOWN)}, got "?".'),
        ('type: ""', [2, 3], 'got "".'),
        ('type: "constant"', [2, 0], "at least one element, got shape [2, 0]"),
        ('type: "xavier"', [0, 3], "at least one element, got shape [0, 3]"),
        ('type: "uniform" min: 2 max: 1', [2], "got min 2 and max 1"),
        ('type: "uniform" max: nan', [2], "got min 0 and max nan"),
        ('type: "gaussian" std: 0', [2], "got mean 0 and std 0"),
        ('type: "gaussian" std: -1', [2], "got mean 0 and std -1"),
        ('type: "gaussian" sparse: -2', [2], "sparse from 0 to 2, the blob's first axis, got -2"),
        ('type: "gaussian" sparse: 3', [2], "sparse from 0 to 2, the blob's first axis, got 3"),
        ('type: "gaussian" sparse: 1', [], "at least one axis, got a scalar"),
        ('type: "positive_unitball"', [], "at least one axis, got a scalar"),
        ('type: "xavier"', [], "at least one axis, got a scalar"),
        ('type: "msra"', [], "at least one axis, got a scalar"),
        ('type: "bilinear"', [2, 2, 3], "4 axes and a square kernel, got shape [2, 2, 3]"),
        ('type: "bilinear"', [2, 2, 3, 4], "4 axes and a square kernel, got shape [2, 2, 3, 4]"),
    ],
)
def test_refusals(text: str, shape: list[int], message: str) -> None:
    rng.set_random_seed(1)
    with pytest.raises(CaffeError, match=re.escape(message)):
        filled(text, shape)
    assert rng.word() == rng.Generator(1).word(), "a refusal draws nothing"


@pytest.mark.parametrize("name", sorted(set(KNOWN) - {"gaussian"}))
def test_sparse_is_for_gaussian_alone(name: str) -> None:
    with pytest.raises(CaffeError, match=f'Only a gaussian filler takes sparse, got sparse: 1 for "{name}"'):
        filled(f'type: "{name}" sparse: 1', [2, 2, 3, 3])
