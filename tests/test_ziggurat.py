"""The ziggurat's order of words, with words chosen to be the rare ones."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycaffe_lite import ziggurat


def word(layer: int, fraction: float, plus: bool = True) -> int:
    """A word that picks the layer, the place in it, and the sign."""
    return int(fraction * 2**24) << 8 | layer << 1 | plus


REGULAR = word(5, 0.5)
WEDGE = word(1, 0.97)
INFLECTED = word(101, 0.99)
CONCAVE = word(110, 0.98)
TOP = word(127, 0.5)
TAIL = word(0, 0.99)
ONE = 2**32 - 1  # is 1.0 when divided by 2**32: a fraction to be drawn again; as a value, of the top layer
LEAST_ONE = 2**32 - 128
GREATEST_FRACTION = LEAST_ONE - 1


def values(stream: list[int], block: int, count: int) -> list[float]:
    """The first values of the stream, behind which all words are regular, with blocks of that many words."""
    following: Iterator[int] = chain(stream, repeat(REGULAR))
    got: list[float] = []
    while len(got) < count:
        words = np.array([next(following) for _ in range(min(block, count - len(got)))], np.uint32)
        got.extend(ziggurat.normals(words, lambda: next(following)).tolist())
    return got


def regular_value() -> float:
    return values([], 1, 1)[0]


def test_a_word_gives_sign_layer_and_place() -> None:
    plus, minus = values([word(5, 0.5, True), word(5, 0.5, False)], 2, 2)
    assert plus == -minus == pytest.approx(0.5 * 2.8943440070186706)


def test_what_gives_a_value_at_once_lies_inside_the_next_edge() -> None:
    """The table of limits, for all layers but the top one, where nothing does."""
    edges = ziggurat._NORMAL.edges
    for layer in range(127):
        least = int(ziggurat._LIMIT[2 * layer]) >> 8
        unit, edge = np.float32(2.0**-24), np.float32(edges[layer])
        inside, outside = (np.float32(place) * unit * edge for place in (least - 1, least))
        assert float(inside) < edges[layer + 1] <= float(outside)
    assert ziggurat._LIMIT[254] == 0


@pytest.mark.parametrize("block", [1, 2, 3, 50])
@pytest.mark.parametrize("wedge", [WEDGE, INFLECTED, CONCAVE, TOP])
def test_a_wedge_takes_one_more_word(wedge: int, block: int) -> None:
    """At its foot a wedge is under the curve, at its ceiling above."""
    foot, *after = values([wedge, 0], block, 3)
    assert foot > 0
    assert after == [regular_value()] * 2
    assert values([wedge, GREATEST_FRACTION], block, 3) == [regular_value()] * 3


@pytest.mark.parametrize("block", [1, 2, 3, 4, 50])
def test_a_fraction_of_one_is_drawn_again(block: int) -> None:
    assert values([WEDGE, ONE, LEAST_ONE, 0], block, 4) == values([WEDGE, 0], block, 4)


@pytest.mark.parametrize("block", [1, 2, 50])
def test_an_irregular_fraction_is_only_a_fraction(block: int) -> None:
    """A run of wedges: every other word is the fraction of the one before, here too high up."""
    assert values([WEDGE, WEDGE, WEDGE, ONE - 200], block, 3) == values([WEDGE, WEDGE], block, 3)
    assert values([WEDGE, TAIL], block, 3) == [regular_value()] * 3


@pytest.mark.parametrize("block", [1, 2, 3, 50])
def test_the_tail_takes_two_exponential_values(block: int) -> None:
    """Each of the two words lies in the middle of the exponential's own layers 1 and 2."""
    small, large = 2**31 + 200, 2**31 + 1
    right, *after = values([TAIL, small, large], block, 3)
    left = values([word(0, 0.99, False), small, large], block, 1)[0]
    assert right == -left
    assert 3.442619855899 < right < 5
    assert after == [regular_value()] * 2


def test_the_tail_goes_on_until_a_pair_fits() -> None:
    """A pair with 2 y < x x is thrown away: y is 0 here."""
    assert values([TAIL, 2**31 + 1, 0, 2**31 + 200, 2**31 + 1], 9, 3) == values([TAIL, 2**31 + 200, 2**31 + 1], 9, 3)


def test_the_exponentials_tail_is_itself_moved_right() -> None:
    """Word 0xFFFFFF00 is beyond the exponential's widest layer: its start is added, and a new one drawn."""
    plain, *after = values([TAIL, 2**31 + 200, 2**31 + 1], 9, 2)
    moved, *later = values([TAIL, 0xFFFFFF00, 2**31 + 200, 2**31 + 1], 9, 2)
    assert after == later == [regular_value()]
    assert moved - plain == pytest.approx(7.69711747013104972 / 3.442619855899)


@given(
    st.lists(
        st.sampled_from([REGULAR, WEDGE, INFLECTED, CONCAVE, TOP, TAIL, ONE, LEAST_ONE, 0]) | st.integers(0, ONE),
        max_size=60,
    ),
    st.integers(2, 40),
)
def test_where_blocks_end_does_not_matter(stream: list[int], block: int) -> None:
    assert values(stream, block, 60) == values(stream, 1, 60)


def test_the_values_are_normal() -> None:
    words = np.random.RandomState(3).randint(0, 2**32, 200_000, np.uint64).astype(np.uint32)
    got = ziggurat.normals(words, lambda: REGULAR)
    assert got.size / words.size == pytest.approx(0.96, abs=0.002)
    assert got.mean() == pytest.approx(0, abs=5 / got.size**0.5)
    assert got.std() == pytest.approx(1, abs=0.01)
    assert (np.abs(got) > 3).mean() == pytest.approx(0.0027, rel=0.2)
