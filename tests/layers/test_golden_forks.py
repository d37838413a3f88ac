"""The layers of Caffe's forks give the forks' numbers."""

from __future__ import annotations

import pytest

from rigs.golden_forks import Golden, cases

CASES = cases()


def test_all_cases_are_there() -> None:
    assert len(CASES) == 146
    assert len({case.split("/")[0] for case in CASES}) == 27


@pytest.mark.parametrize("case", CASES)
def test_a_layer_gives_the_forks_numbers(case: str) -> None:
    Golden(case).check()
