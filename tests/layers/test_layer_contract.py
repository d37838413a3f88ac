"""What holds for every layer type, on every case of `layer_cases/`."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.layers.registry import MODULES, create
from pycaffe_lite.parallel import set_num_threads
from rigs.gradient_check import check_gradients
from rigs.layer_cases.table import Case, all_cases
from rigs.layer_rig import CHANNELS_LAST, Rig, layer_param

CASES = [case for cases in all_cases().values() for case in cases]
BACKWARD = [case for case in CASES if case.has_backward]
IN_PLACE = [case for case in CASES if case.in_place and case.in_place_agrees]
IMAGES = [case for case in CASES if any(callable(spec) or len(spec) == 4 for spec in case.bottoms)]
FEW_AXES = ((), (0,), (1,), (3,), (2, 0), (0, 3), (2, 3))
ODD_SHAPES = (*FEW_AXES, (1, 1, 1, 1), (2, 3, 0, 4), (2, 3, 4, 5), (1, 2, 1, 2, 1, 2))
SHAPES_ALONE = ("AnnotatedData",)
"""Types that give a net its shapes and refuse to go forward; test_ssd_data.py has them."""
ODD_VALUES = (np.nan, np.inf, -np.inf, 1e30, -1.0)


def each(cases: Sequence[Case]) -> pytest.MarkDecorator:
    """A test for each case; that of each type's first is quick."""
    first = {case.type: case for case in reversed(cases)}
    params = [
        pytest.param(case, id=f"{case.type}-{case.name}", marks=[pytest.mark.quick] * (first[case.type] is case))
        for case in cases
    ]
    return pytest.mark.parametrize("case", params)


class Bench:
    """Builds rigs of one case that all get the same values."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case, self.folder = case, folder
        self.rigs: list[Rig] = []
        self.seed = zlib.crc32(f"{case.type} {case.name}".encode())
        if case.prepare is not None:
            case.prepare(folder)

    def arrays(self, large: bool = False) -> list[np.ndarray]:
        return self.case.arrays(np.random.default_rng(self.seed), large)

    def rig(self, arrays: Sequence[np.ndarray] | None = None, text: str | None = None, **options: Any) -> Rig:
        text = (text or self.case.text).replace("FOLDER", str(self.folder))
        arrays = self.arrays() if arrays is None else arrays
        rig = Rig(text, arrays, phase=self.case.phase, folder=str(self.folder), **options)
        self.rigs.append(rig)
        if self.case.arrange is not None:
            self.case.arrange(rig.layer)
        self._set_params(rig)
        return rig

    def close(self) -> None:
        for rig in self.rigs:
            rig.layer.close()

    def _set_params(self, rig: Rig) -> None:
        generator = np.random.default_rng(self.seed + 1)
        make = self.case.param_values
        if make is None:
            rig.set_params([generator.normal(size=blob.shape) for blob in rig.layer.blobs])
        elif callable(make):
            rig.set_params([make(generator, blob.shape) for blob in rig.layer.blobs])

    def top_diffs(self, rig: Rig) -> list[np.ndarray]:
        generator = np.random.default_rng(self.seed + 2)
        weighted = self.case.weighted_tops
        return [
            generator.normal(size=blob.shape) if weighted is None or i in weighted else np.zeros(blob.shape)
            for i, blob in enumerate(rig.top)
        ]

    def backward(self, rig: Rig) -> list[np.ndarray]:
        """The diffs of the bottoms that have one, after a forward."""
        wanted = [i in self.case.wanted for i in range(len(rig.bottom))]
        diffs = rig.backward(self.top_diffs(rig), wanted)
        return [diff for diff, want in zip(diffs, wanted, strict=True) if want]

    def run(self, rig: Rig) -> list[np.ndarray]:
        """Everything a forward and, where there is one, a backward compute."""
        rig.clear_param_diffs()
        results = rig.forward()
        if self.case.has_backward:
            results += self.backward(rig)
            results += rig.param_diffs()
        return results


@pytest.fixture
def bench(case: Case, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(case, tmp_path)
    yield bench
    bench.close()


def assert_same_bits(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_every_type_has_a_case() -> None:
    assert sorted([*all_cases(), *SHAPES_ALONE]) == sorted(MODULES)


@each(CASES)
def test_tops_get_their_shapes(case: Case, bench: Bench) -> None:
    rig = bench.rig()
    assert [blob.shape for blob in rig.top] == [tuple(shape) for shape in case.tops]
    assert [top.shape for top in rig.forward()] == [tuple(shape) for shape in case.tops]


@each([case for case in BACKWARD if case.is_derivative])
def test_gradients(case: Case, bench: Bench) -> None:
    rig = bench.rig(dtype=np.float64)
    tolerance = {"rtol": case.rtol, "atol": case.atol, "step": case.step}
    check_gradients(rig, bench.top_diffs(rig), case.wanted, case.differentiable_params, **tolerance)


@each([case for case in BACKWARD if not case.is_derivative])
def test_where_a_fork_has_no_derivative_the_docstring_says_so(case: Case, bench: Bench) -> None:
    rig = bench.rig(dtype=np.float64)
    assert "not the derivative" in " ".join((type(rig.layer).__doc__ or "").split())
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check_gradients(rig, bench.top_diffs(rig), case.wanted, case.differentiable_params)


@each([case for case in CASES if not case.in_place])
def test_bottoms_are_not_written_to(case: Case, bench: Bench) -> None:
    rig = bench.rig()
    bench.run(rig)
    assert_same_bits([blob.data for blob in rig.bottom], [array.astype(np.float32) for array in rig.arrays])


@each(BACKWARD)
def test_parameter_diffs_accumulate_and_bottom_diffs_do_not(case: Case, bench: Bench) -> None:
    rig = bench.rig(dtype=np.float64)
    once = bench.run(rig)
    rig.forward()
    if not case.in_place:
        for blob in rig.bottom:
            blob.diff[...] = 7
    bottom_diffs, param_diffs = bench.backward(rig), rig.param_diffs()
    first = len(rig.top)
    assert_same_bits(bottom_diffs, once[first : first + len(bottom_diffs)])
    for twice, one in zip(param_diffs, once[first + len(bottom_diffs) :], strict=True):
        np.testing.assert_allclose(twice, 2 * one, rtol=1e-12, atol=1e-12)


@each([case for case in BACKWARD if not case.in_place])
def test_unwanted_diffs_are_left_alone(case: Case, bench: Bench) -> None:
    rig = bench.rig()
    rig.forward()
    rig.layer.param_propagate_down = [False] * len(rig.layer.blobs)
    for blob in (*rig.bottom, *rig.layer.blobs):
        blob.diff[...] = 7
    rig.backward(bench.top_diffs(rig), [False] * len(rig.bottom))
    for blob in (*rig.bottom, *rig.layer.blobs):
        assert np.all(blob.diff == 7)


@each([case for case in CASES if not case.once])
def test_batch_size_may_change(case: Case, bench: Bench) -> None:
    arrays = bench.arrays()
    rig = bench.rig(arrays)
    params = rig.params()
    first = bench.run(rig)
    for values in (case.grown(arrays), arrays):
        rig.put(values)
        rig.set_params(params)
        rig.reshape()
        last = bench.run(rig)
        assert_same_bits(last, bench.run(bench.rig(values)))
    assert_same_bits(last, first)


@each(CASES)
def test_wrong_counts_of_blobs_are_refused(case: Case) -> None:
    layer = create(layer_param(case.text), case.phase)
    bottoms, tops = len(case.bottoms), len(case.tops)
    counts = [(layer.num_bottoms[0] - 1, tops), (bottoms, layer.num_tops[0] - 1)]
    if layer.num_bottoms[1] is not None:
        counts.append((layer.num_bottoms[1] + 1, tops))
    if layer.num_tops[1] is not None:
        counts.append((bottoms, layer.num_tops[1] + 1))
    if layer.equal_counts:
        counts.append((bottoms, tops + 1))
    for bottom, top in counts:
        if min(bottom, top) >= 0:
            with pytest.raises(CaffeError, match=r"expected .* (top|bottom)"):
                layer.build([Blob((2, 3))] * bottom, [Blob()] * top)


@each(CASES)
def test_any_number_of_threads_gives_the_same_bits(case: Case, bench: Bench) -> None:
    results = []
    for threads in (1, 2, 3):
        set_num_threads(threads)
        results.append(bench.run(bench.rig(bench.arrays(large=True))))
    assert_same_bits(results[1], results[0])
    assert_same_bits(results[2], results[0])


@each(IMAGES)
def test_channels_last_gives_the_same_numbers(case: Case, bench: Bench) -> None:
    plain = bench.run(bench.rig(dtype=np.float64))
    other = bench.run(bench.rig(dtype=np.float64, order=CHANNELS_LAST))
    for a, b in zip(other, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@each([case for case in CASES if case.bottoms])
def test_memory_with_gaps_gives_the_same_numbers(case: Case, bench: Bench) -> None:
    plain = bench.run(bench.rig(dtype=np.float64))
    other = bench.run(bench.rig(dtype=np.float64, gaps=True))
    for a, b in zip(other, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@each(IN_PLACE)
def test_in_place_agrees_with_out_of_place(case: Case, bench: Bench) -> None:
    assert_same_bits(bench.run(bench.rig()), bench.run(bench.rig(text=case.out_of_place())))


@each([case for case in CASES if case.bottoms])
def test_odd_shapes_work_or_are_refused(case: Case, bench: Bench) -> None:
    arrays = bench.arrays()
    for shape in ODD_SHAPES:
        odd = np.ones(shape)
        mixed = [[odd if i == at else a for i, a in enumerate(arrays)] for at in range(len(arrays))]
        for bottoms in ([odd] * len(arrays), *mixed):
            with suppress(CaffeError):
                bench.run(bench.rig(bottoms))


@each([case for case in CASES if case.bottoms])
def test_odd_values_work_or_are_refused(case: Case, bench: Bench) -> None:
    set_num_threads(1)
    arrays = bench.arrays()
    for at, value in product(range(len(arrays)), ODD_VALUES):
        odd = [np.full_like(a, value) if i == at else a for i, a in enumerate(arrays)]
        with np.errstate(all="ignore"), suppress(CaffeError):
            bench.run(bench.rig(odd))
